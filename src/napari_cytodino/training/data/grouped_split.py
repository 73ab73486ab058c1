"""Deal whole groups of cells to parts: every class in every part, shares kept."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


TRIES = 100
"""How many seeded orders of a few groups are compared."""

EFFORT = 20_000
"""Groups dealt in all tries together: where there are many, one order is as good."""

_FREE = -1


def stratified_group_split(
    levels: Sequence[NDArray[np.int64]],
    names: Sequence[str],
    shares: NDArray[np.float64],
    seed: int,
) -> NDArray[np.int64]:
    """Choose a part for each group.

    First each part gets a group of each class, rare classes first and large parts
    first, so that a class of few groups is at least in the largest parts. Then the
    groups that are left go, large ones first, where they bring the counts nearest to
    the shares (least chi-square). Greedy stratification of the rarest class first:
    K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the stratification of multi-label data",
    2011; here with whole groups and several orders.

    Parameters
    ----------
    levels : sequence of NDArray[np.int64]
        Each (G, C): cells of each group and stratum. The first level is covered first:
        the classes, then perhaps the classes of each laboratory.
    names : sequence of str
        (G,) different names; with the seed they alone give the order of dealing, so
        that neither the order of the groups nor of the files matters.
    shares : NDArray[np.float64]
        (P,) of the cells that each part should get; their sum is 1.
    seed : int
        Another seed deals otherwise.

    Returns
    -------
    NDArray[np.int64]
        (G,) index of a part.

    Raises
    ------
    InputError
        When a part would stay empty.
    """
    levels = [level[:, level.any(axis=0)] for level in levels]
    strata = [i for level in _rare_first(levels) for i in level]
    counts = np.concatenate(levels, axis=1).astype(np.float64)
    wanted = shares[:, None] * counts.sum(axis=0)
    best, best_score = np.empty(0, np.int64), (np.inf, np.inf)
    for attempt in range(max(1, min(TRIES, EFFORT // max(1, len(names))))):
        order = _order(names, f"{seed}:{attempt}")
        parts = _deal_once(counts, order, wanted, strata)
        got = np.stack([counts[parts == p].sum(axis=0) for p in range(len(shares))])
        score = (float((got == 0).sum()), float(((got - wanted) ** 2 / wanted).sum()))
        if score < best_score:
            best, best_score = parts, score
    empty = len(shares) - len(np.unique(best))
    if empty:
        raise InputError(
            f"{len(names)} groups of cells cannot be dealt to {len(shares)} parts, "
            f"{empty} of them would be empty: give more cells or smaller groups."
        )
    return best


def _order(names: Sequence[str], salt: str) -> list[int]:
    # A hash, not a generator: no version of numpy deals otherwise.
    keys = [hashlib.sha256(f"{salt}:{name}".encode()).digest() for name in names]
    return sorted(range(len(names)), key=keys.__getitem__)


def _rare_first(levels: Sequence[NDArray[np.int64]]) -> Iterator[list[int]]:
    """Give for each level its columns in the whole, those of few groups first."""
    start = 0
    for level in levels:
        holders = (level > 0).sum(axis=0)
        yield (start + np.argsort(holders, kind="stable")).tolist()
        start += level.shape[1]


def _deal_once(
    counts: NDArray[np.float64],
    order: list[int],
    wanted: NDArray[np.float64],
    strata: list[int],
) -> NDArray[np.int64]:
    parts = np.full(len(counts), _FREE, np.int64)
    got = np.zeros_like(wanted)
    ranked = np.array(order, np.int64)
    large_first = np.argsort(-wanted.sum(axis=1), kind="stable")
    for stratum in strata:
        own = ranked[counts[ranked, stratum] > 0]
        for part in large_first:
            free = own[parts[own] == _FREE]
            if got[part, stratum] or not len(free):
                continue
            cost = _added_cost(counts[free], got[part], wanted[part])
            group = free[int(np.argmin(cost))]
            parts[group] = part
            got[part] += counts[group]
    left = ranked[parts[ranked] == _FREE]
    for group in left[np.argsort(-counts[left].sum(axis=1), kind="stable")]:
        part = int(np.argmin(_added_cost(counts[group], got, wanted)))
        parts[group] = part
        got[part] += counts[group]
    return parts


def _added_cost(
    counts: NDArray[np.float64],
    got: NDArray[np.float64],
    wanted: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return by how much chi-square grows; what it falls by is negative."""
    return (counts * (2 * (got - wanted) + counts) / wanted).sum(axis=-1)
