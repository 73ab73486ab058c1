"""Finds cells again after their labels were renumbered or their outlines redrawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_cytodino.cells.cells import Cells

NEAR = 0.5
"""A cell found again lies nearer than this, in radii of the smaller outline."""

EXACT = 0.5
"""Centres nearer than this, in pixels, are the same cell whatever was drawn around."""

AREA_RATIO = 2.0
"""Most by which the area of a cell found again may have grown or shrunk."""

_ROUNDS = 8
"""After each round those left over try again; more are needed by heaps only."""


def find_again(
    label: npt.NDArray[np.int64],
    centre: npt.NDArray[np.float64],
    area: npt.NDArray[np.float64],
    new_label: npt.NDArray[np.int64],
    new_centre: npt.NDArray[np.float64],
    new_area: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    """Return for each of M old cells its row among N new ones, -1 where it is gone.

    Two cells are the same when each is the other's nearest, their centres are nearer
    than half a radius, and neither is more than twice as large. No row is given twice.
    Labels count only where all new cells have one place and size, as crops of a stack.

    Parameters
    ----------
    label, new_label : (M,), (N,)
        Ids of the objects in their layer.
    centre, new_centre : (M, 2), (N, 2)
        y, x in pixels.
    area, new_area : (M,), (N,)
        In square pixels.
    """
    found = np.full(len(label), -1, np.int64)
    if not len(label) or not len(new_label):
        return found
    old, new = _circles(centre, area), _circles(new_centre, new_area)
    if len(new) > 1 and not np.ptp(new, axis=0).any():
        _, old_rows, new_rows = np.intersect1d(label, new_label, return_indices=True)
        found[old_rows] = new_rows
        return found
    left, free = np.arange(len(old)), np.arange(len(new))
    for _ in range(_ROUNDS):
        old_rows, new_rows = _mutual(old[left], new[free])
        found[left[old_rows]] = free[new_rows]
        left, free = np.delete(left, old_rows), np.delete(free, new_rows)
        if not len(old_rows) or not len(left) or not len(free):
            break
    return found


def _circles(
    centre: npt.NDArray[np.float64], area: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return y, x and radius: a change of size counts like a shift by as much."""
    return np.column_stack([centre, np.sqrt(np.maximum(area, 0) / np.pi)])


def _mutual(
    old: npt.NDArray[np.float64], new: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the pairs that are each other's nearest and alike enough."""
    from scipy.spatial import cKDTree

    nearest = cKDTree(new).query(old)[1]
    back = cKDTree(old).query(new)[1]
    rows = np.arange(len(old))
    pair = new[nearest]
    shift = np.hypot(*(old[:, :2] - pair[:, :2]).T)
    small = np.minimum(old[:, 2], pair[:, 2])
    large = np.maximum(old[:, 2], pair[:, 2])
    alike = (shift <= NEAR * small) & (large**2 <= AREA_RATIO * small**2)
    good = (back[nearest] == rows) & (alike | (shift <= EXACT))
    return rows[good], nearest[good].astype(np.int64)


def same_rows(cells: Cells, among: Cells) -> npt.NDArray[np.int64]:
    """Return the rows at which cells are found again among others."""
    found = find_again(
        cells.label, cells.centre, cells.area, among.label, among.centre, among.area
    )
    return found[found >= 0]
