"""One run of the model: batches come in, the table grows, the canvas follows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from napari_cytodino.finding import PixelSize
from napari_cytodino.uncertainty import PredictionBatch
from napari_cytodino.widgets.controls import notices
from napari_cytodino.widgets.session import CellsReading, Progress, RunState
from napari_cytodino.widgets.workers import steps as work

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_cytodino.widgets.canvas import Canvas
    from napari_cytodino.widgets.session import ClassifyRequest, Session
    from napari_cytodino.widgets.workers import Worker


PAUSE = 0.2
"""Least seconds between two drawings while batches come in."""

SHARE = 4
"""A drawing waits this many times as long as the last one took."""

GREY = (
    "This image is grey, but the models know stained cells in colour; take the result "
    "as a guess, or choose the colour axis."
)

LATE = "Answers came too late and were dropped."


class ClassificationRun:
    """Hands the worker's answers to the session, as long as they fit."""

    def __init__(self, session: Session, picture: Canvas, runner: Worker) -> None:
        self._session, self._picture, self._runner = session, picture, runner
        self._models = work.ClassifierCache()
        self._request: ClassifyRequest | None = None
        self._then: Callable[[], None] | None = None
        self._pending: list[PredictionBatch] = []
        self._why = LATE
        self._began = self._drawn_at = self._cost = 0.0
        self._first = 0

    def start(
        self, request: ClassifyRequest, then: Callable[[], None] | None = None
    ) -> None:
        """Start the worker; `then` is called when it ends well."""
        self._request, self._then, self._pending = request, then, []
        self._began, self._first, self._why = 0.0, 0, LATE
        total = 0 if request.rows is None else len(request.rows)
        self._session.set_state(RunState.OPENING, Progress(0, total))
        models = self._models
        self._runner.start(
            lambda cancelled: work.classify_steps(request, models, cancelled),
            on_step=self._step,
            on_error=self._failed,
            on_end=self._ended,
        )

    def drop(self, why: str) -> None:
        """Stop the worker, because its answers no longer fit, and say why."""
        self._why = why
        self._session.message.emit(why)
        self._runner.cancel()

    def redraw(self) -> None:
        """Draw the table in the colours that are chosen."""
        started = time.perf_counter()
        self._picture.draw()
        self._drawn_at = time.perf_counter()
        self._cost = self._drawn_at - started

    def _step(self, step: Any) -> None:
        assert self._request is not None
        if not self._session.current(self._request.generation):
            self._runner.cancel()
        elif isinstance(step, work.Opened):
            self._session.open_checkpoint(step.checkpoint, step.device)
        elif isinstance(step, PixelSize):
            self._session.learn_pixel_size(step)
        elif isinstance(step, CellsReading):
            self._read(step)
        elif isinstance(step, PredictionBatch):
            self._batch(step)

    def _read(self, reading: CellsReading) -> None:
        self._session.set_cells(reading)
        assert self._session.cells is not None
        total = len(self._session.cells)
        self._session.set_state(self._state(), Progress(0, total))
        if not getattr(reading.source, "colour", True):
            notices.warning(GREY)
        if reading.cells.left_out:
            more = len(reading.cells.left_out) - 1
            tail = f" (and {more} more)" if more else ""
            notices.warning(reading.cells.left_out[0] + tail + ".")

    def _batch(self, batch: PredictionBatch) -> None:
        now, progress = time.perf_counter(), self._session.progress
        done, left = progress.done + len(batch.rows), None
        if not self._began:
            # The first batch loads the model, so it says nothing of the pace.
            self._began, self._first = now, done
        elif done > self._first:
            pace = (now - self._began) / (done - self._first)
            left = pace * max(0, progress.total - done)
        self._pending.append(batch)
        self._session.set_state(self._state(), Progress(done, progress.total, left))
        if now - self._drawn_at > max(PAUSE, SHARE * self._cost):
            self._flush()

    def _state(self) -> RunState:
        stopping = self._session.state is RunState.STOPPING
        return RunState.STOPPING if stopping else RunState.CLASSIFYING

    def _flush(self) -> None:
        assert self._request is not None
        batches, self._pending = self._pending, []
        if batches and self._session.add_predictions(self._request.generation, batches):
            self.redraw()

    def _failed(self, error: BaseException) -> None:
        self._then = None
        notices.error(error)

    def _ended(self, cancelled: bool) -> None:
        session, request, then = self._session, self._request, self._then
        assert request is not None
        try:
            if session.current(request.generation):
                self._flush()
                self._picture.write_features()
                if cancelled and request.rows is None:
                    session.message.emit(_stopped(session))
            else:
                session.message.emit(self._why)
        finally:
            self._request, self._then, self._pending = None, None, []
            session.set_state(RunState.IDLE)
        if session.selected_row is not None:
            session.selected.emit()
        if then is not None and not cancelled:
            then()


def _stopped(session: Session) -> str:
    done = len(session.table)
    total = len(session.cells) if session.cells is not None else 0
    return f"Stopped: {done} of {total} cells are classified; the table is partial."
