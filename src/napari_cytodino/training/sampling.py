"""Which crops a step sees: sources and classes in balance, the order from the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sampling_weights(
    targets: NDArray[np.int64], sources: NDArray[np.str_], power: float
) -> NDArray[np.float64]:
    """Return the chance of each crop: sources in equal shares, classes evened out.

    Parameters
    ----------
    targets : NDArray[np.int64]
        (N,) class indices.
    sources : NDArray[np.str_]
        (N,) data sets.
    power : float
        1 gives each class of a source the same share, 0 leaves its frequency.
    """
    weights = np.zeros(len(targets))
    for source in np.unique(sources):
        own = sources == source
        counts = np.bincount(targets[own])
        chance = counts[targets[own]].astype(np.float64) ** -power
        weights[own] = chance / chance.sum()
    return weights / weights.sum()


def draw(
    weights: NDArray[np.float64], batch: int, seed: int, step: int
) -> NDArray[np.int64]:
    """Return the crops of one step; the same seed and step give the same crops."""
    rng = np.random.default_rng((seed, step))
    return rng.choice(len(weights), size=batch, p=weights)
