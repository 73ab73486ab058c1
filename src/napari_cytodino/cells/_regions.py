"""Place and size of labelled regions, from the runs of equal ids along rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import InputError
from napari_cytodino.images import chunk_edges, merged, split

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt


_SIDE = 1024
"""Chunks of a lazy image shorter than this are read together, in pixels."""

_SLAB = 2**19
"""Pixels whose runs are found at once, so that all that is computed stays in cache."""


@dataclass(frozen=True)
class Regions:
    """N regions of a label image, or runs or other parts of them, in pixels.

    Attributes
    ----------
    ids : (N,)
        Of the type of the image; 0, the background, is no region.
    sums : (N, 3) int64
        Number of pixels, sum of their y, sum of their x.
    low, high : (N, 2) int64
        y, x of the bounding box, half open.
    """

    ids: npt.NDArray[Any]
    sums: npt.NDArray[np.int64]
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]


def measure_regions(labels: Any) -> Regions:
    """Measure every region in one pass, each once, in ascending order of id.

    Memory is needed for one block and for the regions, however large the image.

    Parameters
    ----------
    labels : (H, W) integers
        numpy, or dask, zarr and the like, which are read chunk by chunk.

    Raises
    ------
    InputError
        When a part of the labels cannot be read.
    """
    parts = [_united(_runs(*slab)) for slab in _slabs(labels)]
    return _united(
        Regions(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.sums for part in parts]),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.high for part in parts]),
        )
    )


def _slabs(labels: Any) -> Iterator[tuple[npt.NDArray[Any], int, int]]:
    """Yield flat parts of the image that together cover it, with top and left."""
    height, width = (int(n) for n in labels.shape)
    rows, columns = chunk_edges(labels, 0), chunk_edges(labels, 1)
    if rows is None or columns is None:
        rows = split(np.array([0, height]), max(1, _SIDE**2 // width))
        columns = np.array([0, width])
    for top, bottom in _pairs(merged(rows, _SIDE)):
        for left, right in _pairs(merged(columns, _SIDE)):
            block = _read(labels, slice(top, bottom), slice(left, right))
            step = max(1, _SLAB // (right - left))
            for y in range(0, bottom - top, step):
                yield np.ascontiguousarray(block[y : y + step]), top + y, left


def _pairs(edges: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    return zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)


def _read(labels: Any, rows: slice, columns: slice) -> npt.NDArray[Any]:
    try:
        return np.asarray(labels[rows, columns])
    except MemoryError:
        raise
    except Exception as error:  # each decoder of chunks has errors of its own
        raise InputError(
            f"The labels cannot be read in rows {rows.start} to {rows.stop}, columns "
            f"{columns.start} to {columns.stop} ({error}); repair or export them anew."
        ) from error


def _runs(slab: npt.NDArray[Any], top: int, left: int) -> Regions:
    """Return the runs: pixels of one id that follow each other in one row."""
    height, width = slab.shape
    first = np.empty((height, width), bool)
    first[:, 0] = True
    np.not_equal(slab[:, 1:], slab[:, :-1], out=first[:, 1:])
    start = np.flatnonzero(first)
    length = np.diff(start, append=height * width)
    ids = slab.ravel()[start]
    kept = np.flatnonzero(ids)
    length = length[kept]
    y, x = np.divmod(start[kept], width)
    y, x = y + top, x + left
    x_sum = x * length + length * (length - 1) // 2
    return Regions(
        ids[kept],
        np.stack([length, y * length, x_sum], axis=1),
        np.stack([y, x], axis=1),
        np.stack([y + 1, x + length], axis=1),
    )


def _united(parts: Regions) -> Regions:
    """Return one region for each id, from any parts of it."""
    if not len(parts.ids):
        return parts
    order = np.argsort(parts.ids, kind="stable")
    ids = parts.ids[order]
    begins = np.concatenate([[0], np.flatnonzero(ids[1:] != ids[:-1]) + 1])
    return Regions(
        ids[begins],
        np.add.reduceat(parts.sums[order], begins, axis=0),
        np.minimum.reduceat(parts.low[order], begins, axis=0),
        np.maximum.reduceat(parts.high[order], begins, axis=0),
    )
