"""One run over many images: how far it is and what failed; no widget."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from superqt.utils import ensure_main_thread

from napari_cytodino.widgets.controls import notices
from napari_cytodino.widgets.session import Progress, RunState
from napari_cytodino.widgets.workers import Ready, Tally, Worker, folder_steps

if TYPE_CHECKING:
    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.widgets.workers import FolderPlan


class FolderRun:
    """Runs a plan in a worker of its own, so that the dock can be used meanwhile.

    Attributes
    ----------
    plan
        Of the run under way, or of the last one; None before the first.
    stopped
        True where the last run was cancelled before its end.
    fault
        Why the last run ended at once, in words; empty where it did not.
    """

    changed = Signal()
    """The state, the progress or the tally changed."""

    def __init__(self) -> None:
        self._runner = Worker()
        self._checkpoint: Checkpoint | None = None
        self._began = 0.0
        self.plan: FolderPlan | None = None
        self.state = RunState.IDLE
        self.progress = Progress()
        self.tally = Tally()
        self.stopped = False
        self.fault = ""

    @property
    def busy(self) -> bool:
        """True while a worker runs."""
        return self.state is not RunState.IDLE

    @property
    def guarantee(self) -> str:
        """What the accepted cells are promised; empty before there are any."""
        if self.plan is None or self._checkpoint is None or not self.tally.cells:
            return ""
        tally = self.tally
        return self._checkpoint.guarantee_on(
            tally.unfamiliar, self.plan.risk, tally.cells - tally.flagged
        )

    def start(self, plan: FolderPlan) -> None:
        """Start a run; there must be none.

        Raises
        ------
        RuntimeError
            When one runs.
        """
        self.plan, self.tally, self.stopped = plan, Tally(), False
        self._checkpoint, self.fault = None, ""
        self._runner.start(
            lambda cancelled: folder_steps(plan, self._cells_done, cancelled),
            on_step=self._step,
            on_error=self._failed,
            on_end=self._ended,
        )
        self._set(RunState.OPENING, Progress(0, len(plan.images)))

    def cancel(self) -> None:
        """Stop after the cells under way; images that are done stay."""
        if self.busy:
            self._runner.cancel()
            self._set(RunState.STOPPING, self.progress)

    def close(self) -> None:
        """Stop, and hear nothing of it any more."""
        self._runner.abandon()
        self.state = RunState.IDLE

    def _step(self, step: Any) -> None:
        if isinstance(step, Ready):
            self._checkpoint, self._began = step.checkpoint, time.perf_counter()
            self._set(self._state(), self.progress)
            return
        self.tally = step if isinstance(step, Tally) else self.tally.plus(step)
        self._advance(self.tally.done)

    @ensure_main_thread
    def _cells_done(self, done: int, total: int) -> None:
        if self.busy:
            self._advance(done)

    def _advance(self, done: int) -> None:
        total, left = self.progress.total, None
        # what was done before takes no time, and says nothing of the rest
        worked = done - self.tally.skipped
        if worked > 0:
            pace = (time.perf_counter() - self._began) / worked
            left = pace * (total - done)
        self._set(self._state(), Progress(done, total, left))

    def _state(self) -> RunState:
        stopping = self.state is RunState.STOPPING
        return RunState.STOPPING if stopping else RunState.CLASSIFYING

    def _failed(self, error: BaseException) -> None:
        self.fault = str(error) or type(error).__name__
        notices.error(error)

    def _ended(self, cancelled: bool) -> None:
        # a run that was cancelled during its last image is whole all the same
        whole = self.tally.done == self.progress.total
        self.stopped = cancelled and not whole
        self._set(RunState.IDLE, self.progress)

    def _set(self, state: RunState, progress: Progress) -> None:
        self.state, self.progress = state, progress
        self.changed.emit()
