"""Pictures of the cells in view, cut in a worker and kept within bounds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap

from napari_cytodino.cells import crops_of
from napari_cytodino.widgets.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from napari_cytodino.cells import Cells
    from napari_cytodino.widgets.session import CellsReading, Session


BATCH = 12
"""Pictures cut at a time; between batches the worker looks what is wanted now."""

MAX_BYTES = 96 * 2**20
"""Of the pictures kept; a page of a large screen takes a tenth of it."""

ROOM = 1.3
"""The side of a picture is that of the largest cells times this."""

STEP = 8
"""Sides are multiples of so many pixels, so that one cell more changes nothing."""


@dataclass(frozen=True)
class Thumbnail:
    """One cell as it was cut; `pixmap` is None where its pixels cannot be read."""

    pixmap: QPixmap | None
    side: int

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return 64 if self.pixmap is None else 4 * self.side * self.side


class Thumbnails:
    """Reads what is wanted, the first of the list first; forgets what is old.

    Parameters
    ----------
    max_bytes
        Of all pictures kept; the ones that were longest unseen go first.
    """

    arrived = Signal(object)
    """Rows whose pictures are there now."""

    def __init__(self, session: Session, max_bytes: int = MAX_BYTES) -> None:
        self._session, self._max_bytes = session, max_bytes
        self._runner = Worker()
        self._kept: OrderedDict[int, Thumbnail] = OrderedDict()
        self._bytes = 0
        self._of: tuple[int, CellsReading | None, int] = (-1, None, 0)
        self._measured: tuple[Cells | None, int] = (None, -1)
        self._field = 0
        self._lock = threading.Lock()
        self._wanted: list[int] = []
        self._side = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes that the pictures take."""
        return self._bytes

    @property
    def field(self) -> int:
        """Side of every picture in pixels of the image."""
        now = (self._session.cells, self._session.crop_side())
        if self._measured[0] is not now[0] or self._measured[1] != now[1]:
            self._measured, self._field = now, field(self._session)
        return self._field

    @property
    def busy(self) -> bool:
        """True while pictures are read."""
        return self._runner.busy

    def close(self) -> None:
        """Read nothing any more."""
        self._closed = True
        self.forget()

    def forget(self) -> None:
        """Forget all pictures; those under way are dropped too."""
        self._take([])
        self._runner.abandon()
        self._kept.clear()
        self._bytes = 0

    def get(self, row: int) -> Thumbnail | None:
        """Return the picture of a cell, None while there is none; at once.

        It may be of another side than what was last wanted.
        """
        found = self._kept.get(row)
        if found is not None:
            self._kept.move_to_end(row)
        return found

    def want(self, rows: Sequence[int], side: int) -> None:
        """Read the pictures of these rows next, and no others that are waiting.

        Parameters
        ----------
        side
            Of the picture on the screen, in pixels of the device.
        """
        if self._closed:
            # a paint that was under way asks once more
            return
        self._follow()
        reading, cells = self._session.reading, self._session.cells
        lacking = [
            int(row)
            for row in rows
            if (have := self._kept.get(int(row))) is None
            or (have.side != side and have.pixmap is not None)
        ]
        self._side = side
        self._take(lacking)
        if not lacking or self._runner.busy or reading is None or cells is None:
            return
        of = self._of

        def steps(cancelled: Callable[[], bool]) -> Iterator[Any]:
            return self._read(reading, cells, of[2], cancelled)

        self._runner.start(
            steps,
            on_step=lambda made: self._keep(of, made),
            on_error=lambda error: None,
            on_end=lambda cancelled: self._again(),
        )

    def _follow(self) -> None:
        """Forget the pictures of another image, of changed pixels or of another field.

        Answers under way are dropped with them.
        """
        session = self._session
        of = (session.generation, session.reading, self.field)
        same = of[1] is self._of[1] and (of[0], of[2]) == (self._of[0], self._of[2])
        if not same:
            self.forget()
            self._of = of

    def _take(self, rows: list[int]) -> None:
        with self._lock:
            self._wanted = rows

    def _next(self) -> tuple[list[int], int]:
        with self._lock:
            part, self._wanted = self._wanted[:BATCH], self._wanted[BATCH:]
            return part, self._side

    def _again(self) -> None:
        """Go on where something was wanted just as the worker ended."""
        if self._wanted:
            self.want(list(self._wanted), self._side)

    def _read(
        self,
        reading: CellsReading,
        cells: Cells,
        crop: int,
        cancelled: Callable[[], bool],
    ) -> Iterator[tuple[int, list[tuple[int, QImage | None]]]]:
        while not cancelled():
            rows, side = self._next()
            if not rows:
                return
            yield (
                side,
                [
                    (row, None if pixels is None else scaled(pixels, side))
                    for row, pixels in cut(reading, cells, rows, crop)
                ],
            )

    def _keep(
        self,
        of: tuple[int, Any, int],
        made: tuple[int, list[tuple[int, QImage | None]]],
    ) -> None:
        if self._of is not of or not self._session.current(of[0]):
            return
        side, images = made
        for row, image in images:
            pixmap = None if image is None else QPixmap.fromImage(image)
            old = self._kept.pop(row, None)
            picture = self._kept[row] = Thumbnail(pixmap, side)
            self._bytes += picture.size - (old.size if old else 0)
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].size
        self.arrived.emit([row for row, _ in images])


def field(session: Session) -> int:
    """Return the side of every picture in pixels of the image, one for all cells.

    As much as the largest cells need, but not more than the model sees.
    """
    side = session.crop_side()
    cells = session.cells
    if cells is None or not len(cells):
        return side
    extent = (cells.bbox[:, 2:] - cells.bbox[:, :2]).max(axis=1)
    wanted = ROOM * float(np.quantile(extent, 0.98))
    return min(side, max(STEP, STEP * round(wanted / STEP)))


def cut(
    reading: CellsReading, cells: Cells, rows: Sequence[int], side: int
) -> list[tuple[int, npt.NDArray[np.uint8] | None]]:
    """Return the crops of some rows; None for those that cannot be read.

    A fault of any kind costs the cell it lies in, and no other.
    """
    wanted = np.array(rows, np.int64)
    try:
        return [
            (int(wanted[place]), pixels if readable else None)
            for batch in crops_of(reading.source, cells, wanted, side, BATCH)
            for place, pixels, readable in zip(
                batch.rows, batch.pixels, batch.readable, strict=True
            )
        ]
    # lazy arrays run other people's code, which may raise anything
    except Exception:
        if len(rows) == 1:
            return [(int(rows[0]), None)]
        return [pair for row in rows for pair in cut(reading, cells, [row], side)]


def scaled(pixels: npt.NDArray[np.uint8], side: int) -> QImage:
    """Return a square (h, h, 3) picture at another size, as Qt draws it fastest."""
    solid = np.ascontiguousarray(pixels)
    height, width = solid.shape[:2]
    # Qt reads these bytes where they are, so they must outlive the image
    data = solid.tobytes()
    image = QImage(data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return image.scaled(
        side,
        side,
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    ).convertToFormat(QImage.Format.Format_RGB32)
