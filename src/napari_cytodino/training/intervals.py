"""Bootstrap intervals of whatever can be computed from a confusion table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from napari_cytodino.core.errors import InputError
from napari_cytodino.training.metrics import REPEATS, confusion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

LEVELS = (2.5, 97.5)
"""Percentiles of a 95 % interval."""


def resampled_tables(
    targets: NDArray[np.int64],
    guesses: NDArray[np.int64],
    classes: int,
    *,
    groups: NDArray[np.str_] | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Iterator[NDArray[np.int64]]:
    """Yield confusion tables of cells, or of whole groups, drawn with replacement.

    Cells drawn with replacement fill the table as a multinomial does, so that none
    needs to be drawn. Cells of one patient are alike: where there are groups, groups
    are drawn (cluster bootstrap; Field & Welsh 2007, doi
    10.1111/j.1467-9868.2007.00593.x) and the intervals are wider.

    Parameters
    ----------
    targets, guesses : NDArray[np.int64]
        (N,) class indices.
    classes : int
        Number of classes C; tables are (C, C).
    groups : NDArray[np.str_], optional
        (N,) patient or other unit of each cell.
    repeats, seed : int
        How many tables, and which.

    Raises
    ------
    InputError
        When there is only one group: one patient tells nothing of others.
    """
    rng = np.random.default_rng(seed)
    flat = targets * classes + guesses
    if groups is None:
        shares = np.bincount(flat, minlength=classes**2) / len(flat)
        for _ in range(repeats):
            yield rng.multinomial(len(flat), shares).reshape(classes, classes)
        return
    names, member = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise InputError(
            f"All {len(flat)} cells are of the one group '{names[0]}': give the groups "
            "of at least two patients, or none."
        )
    ones = np.ones(len(flat), np.int64)
    shape = (len(names), classes**2)
    held = csr_array((ones, (member, flat)), shape=shape).T.tocsr()
    equal = np.full(len(names), 1 / len(names))
    for _ in range(repeats):
        drawn = rng.multinomial(len(names), equal)
        yield np.asarray(held @ drawn, np.int64).reshape(classes, classes)


def intervals(
    scores: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    targets: NDArray[np.int64],
    guesses: NDArray[np.int64],
    classes: int,
    *,
    groups: NDArray[np.str_] | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return value and 95 % percentile interval of each score.

    Parameters
    ----------
    scores : callable
        From a confusion table to K numbers; NaN where one is not defined.
    targets, guesses, classes, groups, repeats, seed
        As for `resampled_tables`.

    Returns
    -------
    NDArray[np.float64]
        (K, 3): value, low, high. Draws in which a score is not defined are left out.
    """
    value = scores(confusion(targets, guesses, classes))
    drawn = np.stack(
        [
            scores(table)
            for table in resampled_tables(
                targets, guesses, classes, groups=groups, repeats=repeats, seed=seed
            )
        ]
    )
    low, high = (np.full(len(value), np.nan) for _ in LEVELS)
    for i, column in enumerate(drawn.T):
        known = column[~np.isnan(column)]
        if len(known) and not np.isnan(value[i]):
            low[i], high[i] = np.percentile(known, LEVELS)
    return np.stack([value, low, high], axis=1)
