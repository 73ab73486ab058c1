"""Labels, points, boxes or ready-made crops as one list of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_cytodino.core.errors import InputError


@dataclass(frozen=True)
class Cells:
    """N cells of one image, in pixels of that image.

    Attributes
    ----------
    label : (N,) int64
        The id of the object in its layer; never a class.
    centre : (N, 2) float64
        y, x.
    bbox : (N, 4) int64
        top, left, bottom, right; half open.
    area : (N,) float64
        In square pixels.
    at_border : (N,) bool
        True where the edge of the image cuts the cell.
    left_out : tuple of str
        One sentence for each object that is not a row, with the reason.
    """

    label: npt.NDArray[np.int64]
    centre: npt.NDArray[np.float64]
    bbox: npt.NDArray[np.int64]
    area: npt.NDArray[np.float64]
    at_border: npt.NDArray[np.bool_]
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: npt.NDArray[Any]) -> Cells:
        """Return the cells of these rows (indices or mask), in their order."""
        return Cells(
            self.label[rows],
            self.centre[rows],
            self.bbox[rows],
            self.area[rows],
            self.at_border[rows],
            self.left_out,
        )


def cells_from_labels(labels: npt.NDArray[Any]) -> Cells:
    """Return one cell for each positive id, in ascending order of id.

    Parameters
    ----------
    labels : (H, W) integers
        0 is background. Ids may be sparse and as large as int64 allows.

    Raises
    ------
    InputError
        When the array is not a label image or holds no object.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or 0 in labels.shape:
        raise InputError(
            f"An array of shape {labels.shape} and type {labels.dtype} is not a label "
            "image; a plane (Y, X) of whole numbers is needed."
        )
    ids, dense = _dense(labels)
    dense = dense.reshape(labels.shape)
    left_out = tuple(
        f"label {value} left out: {why}"
        for value, why in (
            (int(v), "negative ids are no objects" if v < 0 else "ids end at 2^63 - 1")
            for v in ids
            if v < 0 or int(v) > np.iinfo(np.int64).max
        )
    )
    kept = np.array([0 < int(v) <= np.iinfo(np.int64).max for v in ids], bool)
    if not kept.any():
        raise InputError(
            "The label image holds no cell; segment the image or use 'Find cells'."
        )
    rows = np.flatnonzero(kept)
    centre, bbox, area = _measure(dense, len(ids), rows)
    return Cells(
        ids[rows].astype(np.int64),
        centre,
        bbox,
        area,
        _touches(bbox, labels.shape),
        left_out,
    )


def _dense(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Ids in ascending order and, for each pixel, the place of its id among them."""
    low, high = int(labels.min()), int(labels.max())
    if low >= 0 and high < 4 * labels.size + 1024:
        # A table is several times faster than sorting all pixels, when ids are small.
        present = np.zeros(high + 1, bool)
        present[labels.ravel()] = True
        ids = np.flatnonzero(present).astype(labels.dtype)
        place = np.cumsum(present) - 1
        return ids, place[labels].ravel()
    ids, dense = np.unique(labels, return_inverse=True)
    return ids, dense.ravel()


def _measure(
    dense: npt.NDArray[np.int64], count: int, rows: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    from scipy import ndimage

    flat = dense.ravel()
    area = np.bincount(flat, minlength=count).astype(np.float64)
    y_sum = np.bincount(
        flat, np.repeat(np.arange(dense.shape[0], dtype=float), dense.shape[1]), count
    )
    x_sum = np.bincount(
        flat, np.tile(np.arange(dense.shape[1], dtype=float), dense.shape[0]), count
    )
    slices = ndimage.find_objects(dense + 1, max_label=count)
    bbox = np.array(
        [[s[0].start, s[1].start, s[0].stop, s[1].stop] for s in slices], np.int64
    )
    centre = np.stack([y_sum, x_sum], axis=1) / area[:, None]
    return centre[rows], bbox[rows], area[rows]


def cells_from_points(
    points: npt.NDArray[Any], shape: tuple[int, int], *, diameter: float
) -> Cells:
    """Return one cell around each point; label is the row of the point plus one.

    Parameters
    ----------
    points : (N, 2)
        y, x in pixels.
    shape
        Height and width of the image.
    diameter
        Of a cell, in pixels.

    Raises
    ------
    InputError
        When there is no point inside the image, or the diameter is not positive.
    """
    if not diameter > 0:
        raise InputError(f"A cell diameter of {diameter} px is not positive; raise it.")
    points = np.asarray(points, float).reshape(-1, 2)
    half = diameter / 2
    boxes = np.concatenate([points - half, points + half], axis=1)
    return _from_boxes(boxes, points, shape, np.pi * half**2, "point")


def cells_from_boxes(boxes: npt.NDArray[Any], shape: tuple[int, int]) -> Cells:
    """Return one cell for each box; label is the row of the box plus one.

    Parameters
    ----------
    boxes : (N, 4)
        top, left, bottom, right in pixels.
    shape
        Height and width of the image.

    Raises
    ------
    InputError
        When no box has its centre inside the image.
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return _from_boxes(boxes, centre, shape, area, "box")


def _from_boxes(
    boxes: npt.NDArray[np.float64],
    centre: npt.NDArray[np.float64],
    shape: tuple[int, int],
    area: float | npt.NDArray[np.float64],
    what: str,
) -> Cells:
    limits = np.array(shape, float)
    inside: npt.NDArray[np.bool_] = np.asarray(
        np.isfinite(boxes).all(axis=1)
        & (centre >= -0.5).all(axis=1)
        & (centre < limits - 0.5).all(axis=1)
        & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    )
    if not inside.any():
        raise InputError(
            f"None of the {len(boxes)} {what}s lies inside the image of "
            f"{shape[0]} x {shape[1]} pixels; check the layers' scale and translation."
        )
    whole = np.where(inside[:, None], boxes, 0)
    bbox = np.concatenate(
        [np.floor(whole[:, :2]), np.ceil(whole[:, 2:])], axis=1
    ).astype(np.int64)
    clipped = np.clip(bbox, 0, np.tile(np.array(shape), 2))
    areas = np.broadcast_to(np.asarray(area, float), len(boxes))
    return Cells(
        np.flatnonzero(inside) + 1,
        centre[inside],
        clipped[inside],
        areas[inside].copy(),
        _touches(clipped, shape)[inside],
        tuple(
            f"{what} {row + 1} left out: it is empty or outside the image"
            for row in np.flatnonzero(~inside)
        ),
    )


def cells_from_crops(count: int, side: int) -> Cells:
    """Return one cell for each of `count` ready-made crops of `side` pixels.

    Raises
    ------
    InputError
        When there is no crop.
    """
    if count < 1 or side < 1:
        raise InputError(
            f"A stack of {count} crops of {side} px holds no cell; choose another."
        )
    return Cells(
        np.arange(1, count + 1, dtype=np.int64),
        np.full((count, 2), (side - 1) / 2),
        np.tile(np.array([0, 0, side, side], np.int64), (count, 1)),
        np.full(count, float(side) ** 2),
        np.zeros(count, bool),
    )


def _touches(
    bbox: npt.NDArray[np.int64], shape: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    top_left = (bbox[:, :2] <= 0).any(axis=1)
    bottom_right = (bbox[:, 2:] >= np.array(shape[:2])).any(axis=1)
    return np.asarray(top_left | bottom_right, bool)
