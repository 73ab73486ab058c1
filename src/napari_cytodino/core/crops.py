"""A fixed field of view around each cell, cut lazily, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_cytodino.core.cells import Cells
from napari_cytodino.core.errors import InputError
from napari_cytodino.core.images import ImageSource

if TYPE_CHECKING:
    from collections.abc import Iterator

TILE = 2048
"""Cells are grouped by tiles of this side, so that lazy chunks are read once.

One read a tile was 24 to 43 times faster than one a cell (performance reference, 3).
"""


@dataclass(frozen=True)
class CropBatch:
    """Crops of some cells.

    Attributes
    ----------
    rows : (B,) int64
        Rows of the `Cells` that were asked for.
    pixels : (B, S, S, 3) uint8
    readable : (B,) bool
        False where the pixels could not be read; these crops are black.
    """

    rows: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.uint8]
    readable: npt.NDArray[np.bool_]


def crop_side(field_of_view: float, ratio: float = 1.0) -> int:
    """Return the side in image pixels of a field of view given at another scale.

    Parameters
    ----------
    field_of_view
        In pixels of the images that the model was trained on.
    ratio
        Image pixels for one training pixel.
    """
    side = round(field_of_view * ratio)
    if not 8 <= side <= 4096:
        raise InputError(
            f"A field of view of {side} image pixels is out of 8 to 4096; check the "
            "field of view and the scale of the image."
        )
    return side


def iter_crops(
    source: ImageSource, cells: Cells, side: int, batch_size: int = 8
) -> Iterator[CropBatch]:
    """Cut a square around the centre of each cell, never stretched to its box.

    What lies beyond the image is filled by reflection. Cells come in an order that
    reads each part of a lazy image once; `rows` says which they are.

    Parameters
    ----------
    side
        Of the square, in image pixels.
    """
    pending: list[tuple[int, npt.NDArray[np.uint8] | None]] = []
    for rows in _tiles(cells):
        block, origin = _read_union(source, cells, rows, side)
        for row in rows:
            pending.append(
                (int(row), _cut(source, cells, int(row), side, block, origin))
            )
            if len(pending) == batch_size:
                yield _batch(pending, side)
                pending = []
    if pending:
        yield _batch(pending, side)


def _tiles(cells: Cells) -> list[npt.NDArray[np.intp]]:
    tile = (cells.centre // TILE).astype(np.int64)
    order = np.lexsort((tile[:, 1], tile[:, 0]))
    ends = np.flatnonzero((np.diff(tile[order], axis=0) != 0).any(axis=1)) + 1
    return [part for part in np.split(order, ends) if len(part)]


def _window(cells: Cells, row: int, side: int) -> tuple[int, int]:
    # Pixel i covers i - 0.5 to i + 0.5, so a window's centre is top + (side - 1) / 2.
    top, left = np.floor(cells.centre[row] - (side - 1) / 2 + 0.5)
    return int(top), int(left)


def _read_union(
    source: ImageSource, cells: Cells, rows: npt.NDArray[np.intp], side: int
) -> tuple[npt.NDArray[np.uint8] | None, tuple[int, int]]:
    corners = np.array([_window(cells, int(row), side) for row in rows])
    low = np.clip(corners.min(axis=0), 0, None)
    high = np.minimum(corners.max(axis=0) + side, source.shape)
    try:
        block = source.read(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    except (InputError, OSError, RuntimeError, ValueError):
        # A fault in one place must not cost the others: each cell is read alone then.
        return None, (0, 0)
    return block, (int(low[0]), int(low[1]))


def _cut(
    source: ImageSource,
    cells: Cells,
    row: int,
    side: int,
    block: npt.NDArray[np.uint8] | None,
    origin: tuple[int, int],
) -> npt.NDArray[np.uint8] | None:
    top, left = _window(cells, row, side)
    clip_top, clip_left = max(top, 0), max(left, 0)
    bottom = min(top + side, source.shape[0])
    right = min(left + side, source.shape[1])
    if block is None:
        try:
            part = source.read(clip_top, clip_left, bottom, right)
        except (InputError, OSError, RuntimeError, ValueError):
            return None
    else:
        y, x = origin
        part = block[clip_top - y : bottom - y, clip_left - x : right - x]
    margins = (
        (clip_top - top, top + side - bottom),
        (clip_left - left, left + side - right),
        (0, 0),
    )
    return np.pad(part, margins, mode="symmetric")


def _batch(
    pending: list[tuple[int, npt.NDArray[np.uint8] | None]], side: int
) -> CropBatch:
    black = np.zeros((side, side, 3), np.uint8)
    return CropBatch(
        np.array([row for row, _ in pending], np.int64),
        np.stack([black if crop is None else crop for _, crop in pending]),
        np.array([crop is not None for _, crop in pending]),
    )


class CropSeries(Protocol):
    """Single cells, one picture each: a stack in memory or a folder of files."""

    @property
    def count(self) -> int:
        """How many cells there are."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the first picture, in pixels."""

    def source(self, row: int) -> ImageSource:
        """Return the picture of one cell."""


def iter_series(
    series: CropSeries, side: int, batch_size: int = 8
) -> Iterator[CropBatch]:
    """Cut the middle `side` pixels of each picture, reflected where it is smaller."""
    for start in range(0, series.count, batch_size):
        rows = range(start, min(start + batch_size, series.count))
        yield _batch([(row, _middle(series, row, side)) for row in rows], side)


def _middle(series: CropSeries, row: int, side: int) -> npt.NDArray[np.uint8] | None:
    try:
        source = series.source(row)
        cell = Cells(
            np.array([1], np.int64),
            (np.array([source.shape], float) - 1) / 2,
            np.array([[0, 0, *source.shape]], np.int64),
            np.ones(1),
            np.zeros(1, bool),
        )
        return _cut(source, cell, 0, side, None, (0, 0))
    except (InputError, OSError):
        return None


class CropStack:
    """Ready-made crops of one cell each, as an array.

    Parameters
    ----------
    data
        (N, S, S'), (N, S, S', 3) or (N, S, S', 4); numpy, dask or zarr.
    channel_axis, limits
        As in `ImageSource`.
    """

    def __init__(
        self,
        data: Any,
        *,
        channel_axis: int | None = None,
        limits: tuple[float, float] | None = None,
    ) -> None:
        self._data, self._axis, self._limits = data, channel_axis, limits
        self.count = int(data.shape[0])
        if not self.count:
            raise InputError("A stack of 0 crops holds no cell; choose another.")
        first = self.source(0)
        self.shape, self._limits = first.shape, first.limits

    def source(self, row: int) -> ImageSource:
        """Return the picture of one cell."""
        return ImageSource(
            self._data,
            channel_axis=self._axis,
            limits=self._limits,
            plane=(row,),
        )
