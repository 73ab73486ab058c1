"""Which cells to ask a reader about: typical ones first, then those that are unsure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.teaching.head import CHUNK, widened

if TYPE_CHECKING:
    from numpy.typing import NDArray

TYPICAL = 10
"""Verdicts that are asked of typical cells before unsure ones are looked for."""

NEAR = 10
"""So many times as many unsure cells as asked are looked at, spread over the features
(DropQuery, arXiv 2401.14555)."""

MOST = 4000
"""Cells that are compared with each other at a time; a sample where there are more."""

ROUNDS = 15
"""In which centres of clusters are moved."""

DIRECTIONS = 32
"""Principal directions in which cells are compared."""


def typical_cells(
    features: NDArray[Any], rows: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return the cells nearest to the centres of clusters, larger clusters first.

    Parameters
    ----------
    features : (N, F)
    rows : (M,) int64
        Those that may be asked about.
    count : int
    """
    if len(rows) <= count or count < 1:
        return rows[: max(0, count)]
    rows = _sample(rows)
    places = compact(features[rows])
    centres = places[_apart(places, count)]
    for _ in range(ROUNDS):
        members = distances(places, centres).argmin(axis=1)
        for cluster in range(count):
            if (inside := members == cluster).any():
                centres[cluster] = places[inside].mean(axis=0)
    away = distances(places, centres)
    members = away.argmin(axis=1)
    sizes = np.bincount(members, minlength=count)
    found: list[int] = []
    for cluster in np.argsort(-sizes, kind="stable"):
        own = away[:, cluster].copy()
        if sizes[cluster]:
            own[members != cluster] = np.inf
        # a cluster that ran empty gives the cell nearest to it that is free
        own[found] = np.inf
        found.append(int(own.argmin()))
    return rows[found]


def _apart(places: NDArray[Any], count: int) -> list[int]:
    """Return cells far from each other, drawn as k-means++ does (Arthur 2007)."""
    chance = np.random.default_rng(0)
    found = [int(chance.integers(len(places)))]
    away = distances(places, places[found])[:, 0]
    while len(found) < count:
        away[found] = 0
        total = away.sum()
        share = away / total if total > 0 else np.ones(len(away)) / len(away)
        found.append(int(chance.choice(len(away), p=share)))
        away = np.minimum(away, distances(places, places[found[-1:]])[:, 0])
    return found


def distances(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Return squared distances, (N, M)."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)
    return np.asarray(np.maximum(squares - 2 * one @ other.T, 0), np.float64)


def unsure_cells(
    features: NDArray[Any],
    probabilities: NDArray[np.float32],
    rows: NDArray[np.int64],
    count: int,
) -> NDArray[np.int64]:
    """Return cells between two classes, spread over features and classes.

    Parameters
    ----------
    features : (N, F)
    probabilities : (N, C)
    rows : (M,) int64
        Those that may be asked about.
    count : int
    """
    if len(rows) <= count or count < 1:
        return rows[: max(0, count)]
    best = np.sort(np.partition(probabilities[rows], -2, axis=1)[:, -2:], axis=1)
    margin = best[:, 1] - best[:, 0]
    called = probabilities[rows].argmax(axis=1)
    # each class gives its own least sure cells, so that a large one fills no queue
    order = np.argsort(margin, kind="stable")
    turn = np.empty(len(rows), np.int64)
    for code in np.unique(called):
        own = order[called[order] == code]
        turn[own] = np.arange(len(own))
    rank = turn + margin  # of a class in turn, the least sure first
    near = rows[np.argsort(rank, kind="stable")[: NEAR * count]]
    return typical_cells(features, near, count)


def drawn_cells(rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Return cells drawn at random, each with the same chance, for measuring."""
    chance = np.random.default_rng(seed)
    return chance.permutation(np.sort(rows))[:count]


def compact(features: NDArray[Any]) -> NDArray[np.float32]:
    """Return standardised features along their principal directions, (N, <= 32).

    Mean, scale and directions are those of at most `MOST` cells, evenly spread.
    """
    some = features[:: -(-len(features) // MOST)].astype(np.float64)
    mean, scale = some.mean(axis=0), np.maximum(some.std(axis=0), 1e-3)
    some = (some - mean) / scale
    if len(some) < some.shape[1]:
        power, turned = np.linalg.eigh(some @ some.T)
        turned = some.T @ turned / np.sqrt(np.maximum(power, 1e-9))
    else:
        _, turned = np.linalg.eigh(some.T @ some)
    directions = (turned[:, ::-1][:, :DIRECTIONS] / scale[:, None]).astype(np.float32)
    places = np.empty((len(features), directions.shape[1]), np.float32)
    for start in range(0, len(features), CHUNK):
        part = features[start : start + CHUNK]
        wide = widened(part) if part.dtype == np.float16 else part
        places[start : start + CHUNK] = wide @ directions
    return places - np.asarray(mean @ directions, np.float32)


def _sample(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(rows) <= MOST:
        return rows
    return np.sort(drawn_cells(rows, MOST, 0))
