"""The picture of a label image's classes: painted once, or only where one looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.widgets.canvas.layers import label_plane
from napari_cytodino.widgets.session import LabelPainter

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.widgets.canvas.transforms import PlanePlacement
    from napari_cytodino.widgets.session import CellsReading


FEW = 0.2
"""Up to this share of changed cells, their boxes alone are painted anew."""


class PaintedLevel:
    """A lazy label image as the values of its cells, each part when it is asked for.

    napari asks for what the screen shows, so that neither memory nor time grow with the
    image.

    Parameters
    ----------
    labels
        Array of integers that is read by slices.
    painter
        Of the ids.
    values : (N,) uint8
        Of each id; what is read afterwards follows its changes.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, labels: Any, painter: LabelPainter, values: npt.NDArray[np.uint8]
    ) -> None:
        self._labels, self._painter, self._values = labels, painter, values
        self.shape: tuple[int, ...] = tuple(labels.shape)
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape))

    def __getitem__(self, place: Any) -> npt.NDArray[np.uint8]:
        part = np.asarray(self._labels[place])
        flat = np.atleast_1d(part)
        return self._painter.paint(flat, self._values).reshape(part.shape)

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        return np.asarray(self[...], dtype)


def coarse_plane(
    plane: tuple[int, ...], full: tuple[int, ...], coarse: tuple[int, ...]
) -> tuple[int, ...]:
    """Return where a plane of the finest level lies in a coarser one.

    Parameters
    ----------
    plane
        Index along each leading axis.
    full, coarse
        Shapes of both levels; leading axes may be shortened too.
    """
    return tuple(
        min(index * few // many, few - 1)
        for index, many, few in zip(plane, full, coarse, strict=False)
    )


class LabelOverlay:
    """Values of the cells of a label image, as napari shows them.

    Parameters
    ----------
    layer
        The Labels layer that the cells are of.
    reading
        The cells as read from it.
    frame
        Where its plane lies in the viewer.

    Attributes
    ----------
    labels
        What `reading` had; the picture is of nothing else.
    values : (N,) uint8
        Of each cell, as painted last.
    """

    def __init__(
        self, layer: Any, reading: CellsReading, frame: PlanePlacement
    ) -> None:
        assert reading.labels is not None
        self.labels: Any = reading.labels
        self.values = np.zeros(len(reading.cells), np.uint8)
        self._ids = reading.cells.label
        self._frame = frame
        self._painter = LabelPainter(self._ids)
        self._levels: list[npt.NDArray[np.uint8]] = []
        coarser = list(layer.data)[1:] if layer.multiscale else []
        full = layer.data[0].shape if coarser else ()
        planes = [
            label_plane(level, coarse_plane(frame.plane, full, level.shape))
            for level in coarser
        ]
        if not self.lazy:
            # read once; those of numpy stay views, which follow what the user paints
            planes = [np.asarray(plane) for plane in planes]
        self._sources = [self.labels, *planes]

    @property
    def lazy(self) -> bool:
        """Whether the labels are too many to hold, and read where they are shown."""
        return not isinstance(self.labels, np.ndarray)

    @property
    def quick(self) -> bool:
        """Whether a few cells can be painted at once."""
        return not self.lazy and len(self._levels) == 1

    def data(self) -> list[Any]:
        """Return the levels, finest first, with the leading axes of the viewer."""
        if not self.lazy:
            return [self._frame.lift(level) for level in self._levels]
        return [
            PaintedLevel(self._frame.lift(level), self._painter, self.values)
            for level in self._sources
        ]

    def paint(
        self,
        values: npt.NDArray[np.uint8],
        boxes: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Give the cells these values.

        Parameters
        ----------
        boxes : (N, 4), optional
            Where the cells lie; few changes are then painted within them alone.
        """
        changed = np.flatnonzero(values != self.values)
        few = len(changed) <= max(8, FEW * len(values))
        if self.quick and few and boxes is not None:
            self.fill(changed, values[changed], boxes)
            return
        # in place, as the lazy levels read it
        self.values[:] = values
        if self.lazy:
            return
        if not self._levels:
            self._levels = [self._painter.paint(one, values) for one in self._sources]
        else:
            for one, own in zip(self._sources, self._levels, strict=True):
                self._painter.paint(one, values, out=own)

    def fill(
        self,
        rows: npt.NDArray[np.int64],
        values: npt.NDArray[np.uint8],
        boxes: npt.NDArray[np.int64],
    ) -> None:
        """Paint cells within their boxes; only where it is `quick`."""
        self.values[rows] = values
        for row, value in zip(rows, values, strict=True):
            top, left, bottom, right = boxes[row]
            window = np.s_[top:bottom, left:right]
            mask = self.labels[window] == self._ids[row]
            self._levels[0][window][mask] = value
