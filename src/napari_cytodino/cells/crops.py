"""A fixed field of view around each cell, cut lazily, batch by batch."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from math import isfinite, prod
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from napari_cytodino.common import InputError
from napari_cytodino.images import (
    LIMIT,
    ImageSource,
    LastChunkCache,
    WindowReader,
    chunk_edges,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_cytodino.cells.cells import Cells


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
    wide = field_of_view * ratio
    side = round(wide) if isfinite(wide) else wide
    if not 8 <= side <= 4096:
        raise InputError(
            f"A field of view of {side} image pixels is out of 8 to 4096; check the "
            "field of view and the scale of the image."
        )
    return int(side)


def iter_crops(
    source: ImageSource, cells: Cells, side: int, batch_size: int = 8
) -> Iterator[CropBatch]:
    """Cut a square around the centre of each cell, never stretched to its box.

    What lies beyond the image is filled by reflection. Cells come in an order that
    reads each chunk of a lazy image once; `rows` says which they are. Of a cell whose
    pixels cannot be read, or are no numbers, the crop is black.

    Parameters
    ----------
    side
        Of the square, in image pixels.
    """
    # Pixel i covers i - 0.5 to i + 0.5, so a window's centre is top + (side - 1) / 2.
    corners = np.floor(cells.centre - (side - 1) / 2 + 0.5).astype(np.int64)
    windows = WindowReader(source, corners, side)
    for start in range(0, len(cells), batch_size):
        rows = windows.order[start : start + batch_size]
        pixels = np.zeros((len(rows), side, side, 3), np.uint8)
        readable = [windows.fill(start + i, out) for i, out in enumerate(pixels)]
        yield CropBatch(rows, pixels, np.array(readable))


@runtime_checkable
class CropSeries(Protocol):
    """Single cells, one picture each: a stack in memory or a folder of files."""

    @property
    def count(self) -> int:
        """How many cells there are."""

    def source(self, row: int) -> ImageSource:
        """Return the picture of one cell."""


def iter_series(
    series: CropSeries,
    side: int,
    batch_size: int = 8,
    chosen: npt.NDArray[np.int64] | None = None,
) -> Iterator[CropBatch]:
    """Cut the middle `side` pixels of each picture, reflected where it is smaller.

    Parameters
    ----------
    chosen
        Rows of the pictures wanted; None takes all. The rows of a batch are places in
        `chosen`.
    """
    if isinstance(series, CropStack):
        series = series.held()
    wanted = np.arange(series.count) if chosen is None else chosen
    for start in range(0, len(wanted), batch_size):
        rows = np.arange(start, min(start + batch_size, len(wanted)))
        pixels = np.zeros((len(rows), side, side, 3), np.uint8)
        readable = [
            _fill_middle(series, int(row), out)
            for row, out in zip(wanted[rows], pixels, strict=True)
        ]
        yield CropBatch(rows, pixels, np.array(readable))


def crops_of(
    source: ImageSource | CropSeries,
    cells: Cells,
    rows: npt.NDArray[np.int64],
    side: int,
    batch_size: int,
) -> Iterator[CropBatch]:
    """Cut the crops of some cells; the rows of a batch are places in `rows`.

    Parameters
    ----------
    source
        The image, or ready-made crops in the order of `cells`.
    """
    if isinstance(source, CropSeries):
        return iter_series(source, side, batch_size, rows)
    return iter_crops(source, cells.take(rows), side, batch_size)


def _fill_middle(series: CropSeries, row: int, out: npt.NDArray[np.uint8]) -> bool:
    try:
        source = series.source(row)
    except (InputError, OSError):
        return False
    corner = np.floor(np.array(source.shape) / 2 - len(out) / 2 + 0.5)
    return WindowReader(source, corner.astype(np.int64)[None], len(out)).fill(0, out)


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
        self._limits = self.source(0).limits

    def held(self) -> CropStack:
        """Return the same stack for one run, in which each lazy chunk is read once.

        It shows what the data were when it read them: ask for it anew for each run.
        """
        edges = chunk_edges(self._data, 0)
        if edges is None:
            return self
        crop = np.dtype(self._data.dtype).itemsize * prod(self._data.shape[1:])
        if int(np.diff(edges).max()) * crop > LIMIT:
            return self
        stack = copy(self)
        stack._data = LastChunkCache(self._data, edges)
        return stack

    def source(self, row: int) -> ImageSource:
        """Return the picture of one cell."""
        return ImageSource(
            self._data,
            channel_axis=self._axis,
            limits=self._limits,
            plane=(row,),
        )
