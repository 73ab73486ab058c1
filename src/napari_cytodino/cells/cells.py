"""Labels, points, boxes or ready-made crops as one list of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_cytodino.cells._regions import measure_regions
from napari_cytodino.common import InputError
from napari_cytodino.images import full_resolution

_LARGEST_ID = np.iinfo(np.int64).max


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


def cells_from_labels(labels: Any) -> Cells:
    """Return one cell for each positive id, in ascending order of id.

    Parameters
    ----------
    labels : (H, W) integers
        0 is background. Ids may be sparse and as large as int64 allows. dask, zarr and
        the like are read chunk by chunk, each once; of multiscale data, the finest.

    Raises
    ------
    InputError
        When the array is not a label image, holds no object, or cannot be read.
    """
    labels = full_resolution(labels)
    if not (hasattr(labels, "shape") and hasattr(labels, "dtype")):
        labels = np.asarray(labels)
    kind = np.dtype(labels.dtype).kind
    if len(labels.shape) != 2 or kind not in "iu" or 0 in labels.shape:
        raise InputError(
            f"An array of shape {labels.shape} and type {labels.dtype} is not a label "
            "image; a plane (Y, X) of whole numbers is needed."
        )
    found = measure_regions(labels)
    kept = (found.ids > 0) & (found.ids <= _LARGEST_ID)
    left_out = tuple(
        f"label {value} left out: "
        + ("negative ids are no objects" if value < 0 else "ids end at 2^63 - 1")
        for value in found.ids[~kept].tolist()
    )
    if not kept.any():
        why = f" ({'; '.join(left_out)})" if left_out else ""
        raise InputError(
            f"The label image holds no cell{why}; segment the image or use 'Find "
            "cells'."
        )
    bbox = np.concatenate([found.low, found.high], axis=1)[kept]
    area = found.sums[kept, 0].astype(np.float64)
    return Cells(
        found.ids[kept].astype(np.int64),
        found.sums[kept, 1:] / area[:, None],
        bbox,
        area,
        _touches(bbox, tuple(labels.shape)),
        left_out,
    )


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
