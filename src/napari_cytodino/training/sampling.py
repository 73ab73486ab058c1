"""Which crops a step sees: sources and classes in balance, the order from the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def emphasise(
    weights: NDArray[np.float64],
    names: Sequence[Sequence[str]],
    emphasis: Mapping[str, float],
) -> NDArray[np.float64]:
    """Multiply the chance of each crop by the factors of its names.

    Parameters
    ----------
    weights : NDArray[np.float64]
        (N,) chances.
    names : sequence of sequences of str
        For each crop what it is called: its class and its source.
    emphasis : mapping
        Name -> factor; 1 where a name is not in it.
    """
    factors = [np.prod([emphasis.get(name, 1.0) for name in own]) for own in names]
    raised = weights * np.array(factors, np.float64)
    return raised / raised.sum()


def draw(
    weights: NDArray[np.float64], batch: int, seed: int, step: int
) -> NDArray[np.int64]:
    """Return the crops of one step; the same seed and step give the same crops."""
    rng = np.random.default_rng((seed, step))
    return rng.choice(len(weights), size=batch, p=weights)
