"""A click on the canvas: show the cell there, classify it, or cut one out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from psygnal import Signal

from napari_cytodino.cells import CropStack
from napari_cytodino.common import InputError
from napari_cytodino.widgets.canvas import CELL_SHARE, unwrap
from napari_cytodino.widgets.canvas import picking as pointer
from napari_cytodino.widgets.controls import notices
from napari_cytodino.widgets.session import Progress, RunState
from napari_cytodino.widgets.workers import Worker
from napari_cytodino.widgets.workers import steps as work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_cytodino.cells import Cells
    from napari_cytodino.widgets.canvas import Canvas
    from napari_cytodino.widgets.session import Session


OTHER_PLANE = "These results are of another plane; press Classify to do this one."


class Host(Protocol):
    """What a click needs of the controller above it."""

    viewer: Any
    session: Session
    canvas: Canvas
    worker: Worker

    def point(self) -> tuple[float, ...]:
        """Return the viewer's place along all its axes, in world coordinates."""

    def attempt(self, start: Callable[[], None]) -> None:
        """Start something unless another thing runs."""

    def classify(self, rows: Sequence[int] | None = None) -> None:
        """Classify all cells, or some rows."""

    def read_cells(self, then: Callable[[], None]) -> None:
        """Read the cells without classifying them, then go on."""


class Clicks:
    """What clicks on the canvas do.

    Attributes
    ----------
    cut_bare_spots
        True when a click where there is no cell cuts one out and classifies it.
    paused
        True while clicks mean something else.
    """

    crop = Signal(object)
    """The picture of the selected cell, None where there is none."""

    def __init__(self, host: Host) -> None:
        self._host, self._session = host, host.session
        self._peeker = Worker()
        self.cut_bare_spots = False
        self.paused = False
        self._mouse = pointer.click_callback(self.click)
        host.viewer.mouse_drag_callbacks.append(self._mouse)
        self._session.selected.connect(self.peek)

    def close(self) -> None:
        """Let go of the viewer."""
        self._peeker.abandon()
        callbacks = self._host.viewer.mouse_drag_callbacks
        if self._mouse in callbacks:
            callbacks.remove(self._mouse)

    def click(self, position: Sequence[float]) -> None:
        """Show the cell at a place in world coordinates, or cut one out there."""
        session, host = self._session, self._host
        image = session.image
        if self.paused or image is None or unwrap(image) not in host.viewer.layers:
            return
        if session.reading is None:
            wanted = self.cut_bare_spots or session.cells_layer is not None
            if wanted and not session.busy:
                host.read_cells(lambda: self.click(position))
            return
        if not host.canvas.in_plane(host.point()):
            notices.info(OTHER_PLANE)
            return
        try:
            row = pointer.row_at(session, position)
        except InputError as error:
            notices.error(error)
            return
        if row is not None:
            session.select(row)
            done = session.predictions is not None and session.predictions.done[row]
            if not done and not session.busy:
                host.classify([row])
        elif self.cut_bare_spots and not session.busy:
            self._cut(*pointer.pixel_at(session, position))

    def peek(self) -> None:
        """Read the picture of the selected cell in a worker of its own."""
        session, row = self._session, self._session.selected_row
        self._peeker.abandon()
        reading, cells = session.reading, session.cells
        if row is None or reading is None or cells is None:
            self.crop.emit(None)
            return
        side = session.crop_side()

        def steps(cancelled: Callable[[], bool]) -> Iterator[Any]:
            yield work.crop_picture(reading, cells, row, side)

        self._peeker.start(
            steps,
            on_step=self.crop.emit,
            on_error=notices.error,
            on_end=lambda cancelled: None,
        )

    def _cut(self, y: float, x: float) -> None:
        session, host = self._session, self._host
        source = session.reading.source if session.reading else None
        if source is None or isinstance(source, CropStack):
            return
        diameter = CELL_SHARE * session.crop_side()
        generation = session.generation
        added: list[int] = []

        def steps(cancelled: Callable[[], bool]) -> Iterator[Cells]:
            yield work.cut_cell(source, y, x, diameter)

        def add(cell: Cells) -> None:
            if not session.current(generation):
                return
            known = pointer.box_at(session, 0, *(float(v) for v in cell.centre[0]))
            if known is None:
                added.append(session.add_cell(cell))
            session.select(added[0] if known is None else known)

        def end(cancelled: bool) -> None:
            session.set_state(RunState.IDLE)
            if added and not cancelled:
                host.classify(added)

        def start() -> None:
            session.set_state(RunState.FINDING, Progress())
            host.worker.start(steps, on_step=add, on_error=notices.error, on_end=end)

        host.attempt(start)
