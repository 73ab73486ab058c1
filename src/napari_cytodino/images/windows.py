"""Many windows of one image, read in an order that needs each chunk once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.images.chunks import Edges, read_blocks, split

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.images.source import ImageSource


LIMIT = 192 * 2**20
"""Most that is kept, in bytes; beyond it the longest unused is read again."""

TILE = 256
"""Side of the squares in which pixels are converted, kept and let go, at most."""


@dataclass(frozen=True)
class _Tile:
    pixels: npt.NDArray[np.uint8]
    gaps: npt.NDArray[np.bool_] | None

    @property
    def size(self) -> int:
        return self.pixels.nbytes + (0 if self.gaps is None else self.gaps.nbytes)


class TileCache:
    """Reads windows of an image, each part once, and lets go what is needed no more.

    Parameters
    ----------
    units
        From `read_blocks`.
    boxes : (N, 4) int64
        The windows in the order in which they come: top, left, bottom, right.
    """

    def __init__(
        self,
        source: ImageSource,
        units: tuple[Edges, Edges],
        boxes: npt.NDArray[np.int64],
    ) -> None:
        self._source, self._boxes = source, boxes.tolist()
        y, x = (split(edges, TILE) for edges in units)
        self._y, self._x = y.tolist(), x.tolist()
        # Where the parts begin, counted in pieces.
        self._units = np.searchsorted(y, units[0]), np.searchsorted(x, units[1])
        first = [
            np.searchsorted(e, boxes[:, i], "right") - 1 for i, e in enumerate((y, x))
        ]
        end = [
            np.searchsorted(e, boxes[:, i + 2], "left") for i, e in enumerate((y, x))
        ]
        self._spans = np.stack([*first, *end], axis=1).tolist()
        self._last_use = np.full((len(y), len(x)), -1, np.int64)
        for step, (i, j, i_end, j_end) in enumerate(self._spans):
            self._last_use[i:i_end, j:j_end] = step
        self._kept: OrderedDict[tuple[int, int], _Tile] = OrderedDict()
        self._bytes = 0
        self._broken: set[tuple[int, int]] = set()

    def copy(self, step: int, out: npt.NDArray[np.uint8]) -> bool | None:
        """Write the `step`-th window; say whether all its values are numbers.

        Returns
        -------
        bool or None
            None where a part could not be read: the window may be readable alone.
        """
        i, j, i_end, j_end = self._spans[step]
        places = [
            (row, column) for row in range(i, i_end) for column in range(j, j_end)
        ]
        found = [self._get(place, step) for place in places]
        for place in places:
            if self._last_use[place] <= step and place in self._kept:
                self._bytes -= self._kept.pop(place).size
        numbers = True
        for place, piece in zip(places, found, strict=True):
            if piece is None:
                return None
            numbers &= self._paste(place, piece, self._boxes[step], out)
        return numbers

    def _paste(
        self,
        place: tuple[int, int],
        piece: _Tile,
        box: list[int],
        out: npt.NDArray[np.uint8],
    ) -> bool:
        """Write where piece and window overlap."""
        at_y, at_x = self._y[place[0]], self._x[place[1]]
        top, left = max(box[0], at_y), max(box[1], at_x)
        bottom = min(box[2], at_y + len(piece.pixels))
        right = min(box[3], at_x + piece.pixels.shape[1])
        part = slice(top - at_y, bottom - at_y), slice(left - at_x, right - at_x)
        target = (
            slice(top - box[0], bottom - box[0]),
            slice(left - box[1], right - box[1]),
        )
        out[target] = piece.pixels[part]
        return piece.gaps is None or not piece.gaps[part].any()

    def _get(self, place: tuple[int, int], step: int) -> _Tile | None:
        if place in self._kept:
            self._kept.move_to_end(place)
            return self._kept[place]
        unit = self._unit_of(place)
        if unit in self._broken:
            return None
        try:
            read = self._read(unit, step)
        except MemoryError:
            raise
        except Exception:  # each decoder of chunks has errors of its own
            self._broken.add(unit)
            return None
        for at, piece in read.items():
            self._kept[at] = piece
            self._bytes += piece.size
        while self._bytes > LIMIT:
            self._bytes -= self._kept.popitem(last=False)[1].size
        return read[place]

    def _unit_of(self, place: tuple[int, int]) -> tuple[int, int]:
        row, column = (
            int(np.searchsorted(begins, at, "right")) - 1
            for begins, at in zip(self._units, place, strict=True)
        )
        return row, column

    def _read(self, unit: tuple[int, int], step: int) -> dict[tuple[int, int], _Tile]:
        """Read one part and return those of its pieces that are needed and not kept."""
        i, i_end = self._units[0][unit[0] : unit[0] + 2].tolist()
        j, j_end = self._units[1][unit[1] : unit[1] + 2].tolist()
        top, left = self._y[i], self._x[j]
        raw = self._source.raw(slice(top, self._y[i_end]), slice(left, self._x[j_end]))
        pieces = {}
        for row in range(i, i_end):
            for column in range(j, j_end):
                place = row, column
                if self._last_use[place] < step or place in self._kept:
                    continue
                rows = slice(self._y[row] - top, self._y[row + 1] - top)
                columns = slice(self._x[column] - left, self._x[column + 1] - left)
                pixels, gaps = self._source.to_rgb8(raw[rows, columns])
                # Not a view, which would keep all that was read.
                pixels = pixels if pixels.base is None else pixels.copy()
                pieces[place] = _Tile(pixels, gaps)
        return pieces


class WindowReader:
    """N squares of one image, which may reach beyond it.

    What is read is kept only until the last window that needs it, and only here: made
    anew for each run, they never show what the image was before.

    Parameters
    ----------
    corners : (N, 2) int64
        Top and left of each window.
    side
        Of a window, in pixels.

    Attributes
    ----------
    order : (N,) int64
        The rows of `corners` in the order in which they are read.
    """

    def __init__(
        self, source: ImageSource, corners: npt.NDArray[np.int64], side: int
    ) -> None:
        self._source, self._corners, self._side = source, corners, side
        limits = np.array(source.shape, np.int64)
        boxes = np.concatenate([corners, corners + side], axis=1)
        self._boxes = np.clip(boxes, 0, np.tile(limits, 2))
        chunks = source.edges()
        edges = chunks or tuple(split(np.array([0, n]), TILE) for n in source.shape)
        units = read_blocks((edges[0], edges[1]), side * len(corners) ** 0.5)
        # The last part that a window needs, one row of parts after the other: then no
        # more is kept than a strip as high as a window. A very wide image is read in
        # stripes, so that the strip stays within half of the limit.
        stripe = max(4 * side, LIMIT // (6 * (side + 2 * TILE)))
        last = self._boxes[:, 2:] - 1
        down, across = (
            np.searchsorted(units[axis], last[:, axis], "right") for axis in (0, 1)
        )
        self.order = np.lexsort((across, down, last[:, 1] // stripe)).astype(np.int64)
        # Copies of 8-bit pixels in memory cost nothing; others are converted once
        # where the windows overlap.
        crowded = len(corners) * side**2 > limits.prod()
        self._pieces: TileCache | None = None
        if chunks is not None or (crowded and not source.is_rgb8):
            self._pieces = TileCache(source, units, self._boxes[self.order])

    def fill(self, step: int, out: npt.NDArray[np.uint8]) -> bool:
        """Write the window that is `step`-th in order; say whether it is readable.

        Parameters
        ----------
        out : (side, side, 3)
            What lies beyond the image is reflected; black where it is unreadable.
        """
        row = self.order[step]
        box = self._boxes[row]
        top, left = (box[:2] - self._corners[row]).tolist()
        bottom, right = (box[2:] - self._corners[row]).tolist()
        inner = out[top:bottom, left:right]
        if not inner.size or not self._read(step, box.tolist(), inner):
            out[...] = 0
            return False
        if inner.shape != out.shape:
            margins = (top, self._side - bottom), (left, self._side - right), (0, 0)
            out[...] = np.pad(inner, margins, mode="symmetric")
        return True

    def _read(self, step: int, box: list[int], out: npt.NDArray[np.uint8]) -> bool:
        if self._pieces is not None:
            readable = self._pieces.copy(step, out)
            if readable is not None:
                return readable
        # A fault in one place must not cost the others: each is read alone then.
        try:
            out[...] = self._source.read(*box)
        except MemoryError:
            raise
        except Exception:  # each decoder of chunks has errors of its own
            return False
        return True
