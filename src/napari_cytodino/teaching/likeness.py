"""Cells by likeness: those like one, those of a group that stand out, a map of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.teaching.asking import compact, distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIKE = 40
"""Cells that one press shows."""

STAND_OUT = 3.5
"""Deviations (median and 1.4826 times the median absolute deviation) of the distance to
a group's middle from which on a cell stands out (Iglewicz & Hoaglin 1993)."""

MAPPED = 2500
"""Cells whose place on the map is computed; others lie beside the one they are like."""

NEAR = 12
"""Nearest cells that are joined on the map."""

THREAD = 1e-3
"""How strongly any two cells are joined beside that."""

ROUNDS, PUSHED = 150, 5
"""Steps in which cells find their places, and cells pushed away in each."""


def alike(
    features: NDArray[Any], row: int, rows: NDArray[np.int64], count: int = LIKE
) -> NDArray[np.int64]:
    """Return the cells most like one, itself first, then the nearest first.

    Parameters
    ----------
    features : (N, F)
    row : int
        The cell.
    rows : (M,) int64
        Those that may be shown.
    count : int
    """
    others = rows[rows != row]
    if not len(others):
        return np.array([row], np.int64)
    places = compact(features[np.concatenate([[row], others])])
    away = ((places[1:] - places[0]) ** 2).sum(axis=1)
    return np.concatenate([[row], others[np.argsort(away, kind="stable")[: count - 1]]])


def standing_out(features: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the cells of a group that look unlike the rest, the least like last."""
    if len(rows) < 5:
        return np.zeros(0, np.int64)
    places = compact(features[rows])
    away = np.sqrt(((places - np.median(places, axis=0)) ** 2).sum(axis=1))
    usual = np.median(away)
    spread = 1.4826 * np.median(np.abs(away - usual))
    odd = np.flatnonzero(away > usual + STAND_OUT * max(spread, 1e-9))
    return rows[odd[np.argsort(away[odd], kind="stable")]]


def map_of(features: NDArray[Any]) -> NDArray[np.float32]:
    """Return a place in the unit square for each cell, like ones near each other.

    Cells pull the nearest to themselves and push others away, as in UMAP (McInnes 2018,
    arXiv 1802.03426), from the two slowest eigenvectors of the graph of nearest cells
    on. On the map distances between groups mean nothing.

    Parameters
    ----------
    features : (N, F)

    Returns
    -------
    (N, 2) float32 array
        From 0 to 1.
    """
    count = len(features)
    if count <= NEAR:
        line = np.linspace(0, 1, max(count, 1), dtype=np.float32)[:count]
        return np.column_stack([line, line])
    chance = np.random.default_rng(0)
    drawn = np.sort(chance.permutation(count)[:MAPPED])
    places = compact(features).astype(np.float64)
    near = _nearest(places[drawn])
    spread = _within(_pulled(_slowest(near), near, chance))
    found = np.empty((count, 2))
    for start in range(0, count, MAPPED):
        beside = distances(places[start : start + MAPPED], places[drawn]).argmin(axis=1)
        found[start : start + MAPPED] = spread[beside]
    found += chance.normal(0, 0.004, found.shape)
    found[drawn] = spread
    return np.clip(found, 0, 1).astype(np.float32)


def _nearest(places: NDArray[Any]) -> NDArray[np.int64]:
    away = distances(places, places)
    np.fill_diagonal(away, np.inf)
    return np.asarray(np.argpartition(away, NEAR, axis=1)[:, :NEAR], np.int64)


def _slowest(near: NDArray[np.int64]) -> NDArray[Any]:
    """Return the two slowest vectors of the graph of nearest cells."""
    from scipy import sparse
    from scipy.sparse.linalg import LinearOperator, eigsh

    count = len(near)
    rows = np.repeat(np.arange(count), NEAR)
    joined = sparse.csr_matrix(
        (np.ones(len(rows)), (rows, near.ravel())), shape=(count, count)
    )
    joined = joined.maximum(joined.T)
    degree = np.asarray(joined.sum(axis=1)).ravel() + THREAD
    scale = 1 / np.sqrt(degree)

    def product(vector: NDArray[Any]) -> NDArray[Any]:
        scaled = scale * vector.ravel()
        # a thread between all cells holds parts together that hang apart
        return np.asarray(scale * (joined @ scaled + THREAD * scaled.mean()))

    graph = LinearOperator((count, count), matvec=product, dtype=np.float64)
    _, vectors = eigsh(graph, k=3, which="LA", v0=np.sqrt(degree), tol=1e-4)
    return np.asarray(scale[:, None] * vectors[:, [1, 0]])


def _pulled(
    vectors: NDArray[Any], near: NDArray[np.int64], chance: np.random.Generator
) -> NDArray[Any]:
    """Return places after each cell pulled its nearest and pushed some others."""
    at = 10 * _within(vectors) + chance.normal(0, 1e-3, vectors.shape)
    for step in range(ROUNDS):
        pull = at[near] - at[:, None]
        far = (pull**2).sum(axis=2, keepdims=True)
        move = (2 * pull / (1 + far)).sum(axis=1) / NEAR
        others = chance.integers(len(at), size=(len(at), PUSHED))
        push = at[:, None] - at[others]
        far = (push**2).sum(axis=2, keepdims=True)
        shove = np.clip(2 * push / ((0.01 + far) * (1 + far)), -4, 4)
        move += shove.sum(axis=1) / PUSHED
        at += (1 - step / ROUNDS) * move
    return at


def _within(places: NDArray[Any]) -> NDArray[Any]:
    """Return places in the unit square; the outermost hundredth at its edge."""
    low, high = np.percentile(places, [0.5, 99.5], axis=0)
    return np.asarray(np.clip((places - low) / np.maximum(high - low, 1e-12), 0, 1))
