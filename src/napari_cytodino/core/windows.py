"""Many windows of one image, read in an order that needs each chunk once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.core.blocks import split
from napari_cytodino.core.pieces import LIMIT, PIECE, Pieces, read_units

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.core.images import ImageSource


class Windows:
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
        edges = chunks or tuple(split(np.array([0, n]), PIECE) for n in source.shape)
        units = read_units((edges[0], edges[1]), side * len(corners) ** 0.5)
        # The last part that a window needs, one row of parts after the other: then no
        # more is kept than a strip as high as a window. A very wide image is read in
        # stripes, so that the strip stays within half of the limit.
        stripe = max(4 * side, LIMIT // (6 * (side + 2 * PIECE)))
        last = self._boxes[:, 2:] - 1
        down, across = (
            np.searchsorted(units[axis], last[:, axis], "right") for axis in (0, 1)
        )
        self.order = np.lexsort((across, down, last[:, 1] // stripe)).astype(np.int64)
        # Copies of 8-bit pixels in memory cost nothing; others are converted once
        # where the windows overlap.
        crowded = len(corners) * side**2 > limits.prod()
        self._pieces: Pieces | None = None
        if chunks is not None or (crowded and not source.is_rgb8):
            self._pieces = Pieces(source, units, self._boxes[self.order])

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
