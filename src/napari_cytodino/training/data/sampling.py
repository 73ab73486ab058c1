"""Which crops a step sees: sources and classes in balance, the order from the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


REFERENCES = 100
"""Training cells of each class and source that a checkpoint keeps to compare with."""


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


def class_weights(targets: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Return the square root of each class's balanced weight.

    Parameters
    ----------
    targets : NDArray[np.int64]
        (N,) class indices of the training part only.
    classes : int
        Number of classes C of the taxonomy.

    Returns
    -------
    NDArray[np.float64]
        (C,) ``sqrt(N / (present * n_c))`` with the number of classes that are present;
        1 where a class is absent, so that it neither counts nor shifts the others.
        Source: domain reference, 1.3 "alpha"; balanced weights as in G. King and
        L. Zeng, "Logistic regression in rare events data", 2001.

    Raises
    ------
    InputError
        When there is no target, or one that is no class.
    """
    counts = _counts(targets, classes)
    present = counts > 0
    weights = np.ones(classes)
    weights[present] = np.sqrt(len(targets) / (present.sum() * counts[present]))
    return weights


def epoch_order(
    targets: NDArray[np.int64],
    *,
    power: float,
    multiplier: float,
    seed: int,
    epoch: int,
) -> NDArray[np.int64]:
    """Return the crops of one epoch, in order; a function of seed and epoch only.

    Every crop comes once, and ``(multiplier - 1) * N`` more are drawn with replacement,
    a crop of class c with weight ``(n_c + 1) ** -power``. Source: the published sampler
    (domain reference, 1.3), there with power 0.7 and multiplier 2 and without a seed.

    Parameters
    ----------
    targets : NDArray[np.int64]
        (N,) class indices of the training part only.
    power : float
        0 draws every crop alike, 1 nearly every class alike.
    multiplier : float
        Length of the epoch in training parts, from 1.

    Raises
    ------
    InputError
        When there is no target, or a setting is out of its range.
    """
    if power < 0 or multiplier < 1:
        raise InputError(
            f"An epoch with power {power} and multiplier {multiplier} cannot be drawn: "
            "use a power from 0 and a multiplier from 1."
        )
    counts = _counts(targets, int(targets.max(initial=0)) + 1)
    chance = _chance(counts, power)[targets]
    rng = np.random.default_rng((seed, epoch))
    more = rng.choice(
        len(targets), size=_extra(len(targets), multiplier), p=chance / chance.sum()
    )
    return rng.permutation(np.concatenate([np.arange(len(targets)), more]))


def _counts(targets: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    if not len(targets):
        raise InputError("The training part has no cell: give a split that has some.")
    if targets.min() < 0 or targets.max() >= classes:
        wrong = targets.min() if targets.min() < 0 else targets.max()
        raise InputError(f"Target {wrong} is no class: use 0 to {classes - 1}.")
    return np.bincount(targets, minlength=classes)


def _chance(counts: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    return np.asarray((counts + 1.0) ** -power, np.float64)


def _extra(crops: int, multiplier: float) -> int:
    return round((multiplier - 1) * crops)


def some_of_each(
    targets: NDArray[np.int64],
    sources: NDArray[np.str_],
    seed: int,
    most: int = REFERENCES,
) -> NDArray[np.int64]:
    """Return rows of at most so many cells of each class and source, rising."""
    rng = np.random.default_rng(seed)
    rows = [
        rng.permutation(np.flatnonzero((targets == target) & (sources == source)))
        for target in np.unique(targets)
        for source in np.unique(sources)
    ]
    chosen = [own[:most] for own in rows]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *chosen]))
