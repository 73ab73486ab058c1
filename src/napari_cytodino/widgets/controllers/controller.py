"""Carry intentions of the panels to the worker; follow the viewer's layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from superqt.utils import qdebounced, qthrottled

from napari_cytodino.common import CytoDinoError
from napari_cytodino.taxonomy import ReviewCosts, read_costs
from napari_cytodino.widgets.canvas import (
    Canvas,
    LayerWatch,
    bare_reader,
    cells_reader,
    source_spec,
)
from napari_cytodino.widgets.controllers._classification_run import ClassificationRun
from napari_cytodino.widgets.controllers._nearest_cells import Nearest
from napari_cytodino.widgets.controllers._review_actions import ReviewActions
from napari_cytodino.widgets.controllers._review_case import CaseFinder
from napari_cytodino.widgets.controllers.cell_edits import CellEdits
from napari_cytodino.widgets.controllers.cell_sizes import CellSizes
from napari_cytodino.widgets.controllers.clicks import Clicks
from napari_cytodino.widgets.controllers.folder_run import FolderRun
from napari_cytodino.widgets.controls import notices
from napari_cytodino.widgets.session import (
    ClassifyRequest,
    Progress,
    ReviewSession,
    RunState,
    Teaching,
    read_preferences,
    review_queue,
)
from napari_cytodino.widgets.workers import Worker
from napari_cytodino.widgets.workers import steps as work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.finding import Search
    from napari_cytodino.review import ReviewKeys
    from napari_cytodino.widgets.session import Session


BUSY = "Something is running; wait for it or press Cancel."

NONE_FLAGGED = "No cell is flagged that has no verdict yet."

NOT_YET = "Nothing is classified yet; press Classify first."

DRAW_MS, WRITE_MS = 30, 400
"""Least time between drawings, and rest before `features` are written, while
thresholds move."""


class Controller:
    """What the dock can do, without any widget.

    Parameters
    ----------
    viewer
        As napari hands it to plugins.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        self.viewer, self.session = viewer, session
        self.worker = Worker()
        self.canvas = Canvas(viewer, session)
        self.run = ClassificationRun(session, self.canvas, self.worker)
        self.folder = FolderRun()
        self.watch = LayerWatch(viewer, self._changed, self._removed)
        self.clicks = Clicks(self)
        self.sizes = CellSizes(self)
        self.edits = CellEdits(self)
        self.edits.changed.connect(self._pause_clicks)
        self.nearest = Nearest(session)
        self.review = ReviewSession(session)
        self.teaching = Teaching(session, self.review)
        self.case = CaseFinder(session, self.review)
        self.actions = ReviewActions(
            session, self.review, self.canvas, self.next_flagged
        )
        self.keys: ReviewKeys | None = None
        self._draw_soon = qthrottled(self.run.redraw, timeout=DRAW_MS, leading=False)
        self._draw_later = qdebounced(self.run.redraw, timeout=WRITE_MS)
        self._write_later = qdebounced(self.canvas.write_features, timeout=WRITE_MS)
        session.display.connect(self.run.redraw)
        session.results.connect(self._on_results)
        session.decided.connect(self._on_decided)
        session.verdicts_changed.connect(self._on_verdicts)
        session.selected.connect(self.canvas.draw_selected)

    def find(self) -> None:
        """Find stained nucleated cells in the chosen image."""
        session = self.session

        def start() -> None:
            spec = source_spec(
                session.image, self.point(), channel_axis=session.channel_axis
            )
            frame = self.canvas.image_frame(self.point())
            generation, size = session.generation, session.cell_size
            last: list[Search] = []
            microns, wish = self.sizes.of_layer(), session.sensitivity

            def step(found: Search) -> None:
                last[:] = [found]
                session.set_state(session.state, Progress(found.done, found.total))

            def end(cancelled: bool) -> None:
                if last and last[0].cells and not cancelled:
                    self._found(generation, last[0], frame)
                self._idle(cancelled)

            session.set_state(RunState.FINDING, Progress())
            self.worker.start(
                lambda cancelled: work.find_steps(spec.open, size, microns, wish),
                on_step=step,
                on_error=notices.error,
                on_end=end,
            )

        self.attempt(start)

    def _pause_clicks(self) -> None:
        self.clicks.paused = bool(self.edits.tool)

    def typical_diameter(self) -> float:
        """Return the diameter of a typical cell in pixels, as far as it is known."""
        return self.session.cell_size or self.sizes.typical()

    def classify(self, rows: Sequence[int] | None = None) -> None:
        """Classify all cells, or some rows of those that were read already."""

        def start() -> None:
            if rows is None:
                self.canvas.place(self.point())
            self.run.start(self._request(rows))

        self.attempt(start)

    def read_cells(self, then: Callable[[], None]) -> None:
        """Read the cells without classifying them, then go on."""

        def start() -> None:
            self.canvas.place(self.point())
            self.run.start(self._request(()), then)

        self.attempt(start)

    def open_checkpoint(self) -> None:
        """Open the chosen checkpoint, to show its card and its classes."""
        source = self.session.checkpoint

        def opened(checkpoint: Checkpoint) -> None:
            if self.session.checkpoint is source:
                self.session.open_checkpoint(checkpoint)

        def start() -> None:
            self.session.set_state(RunState.OPENING, Progress())
            self.worker.start(
                lambda cancelled: _once(work.open_checkpoint, source),
                on_step=opened,
                on_error=notices.error,
                on_end=self._idle,
            )

        self.attempt(start)

    def next_flagged(self, step: int = 1) -> None:
        """Select the flagged cell next in the order of costs, and show it.

        Parameters
        ----------
        step
            -1 goes back.
        """
        session = self.session
        self._read_costs()
        rows = review_queue.queue(session)
        row = review_queue.following(rows, session.selected_row, step)
        if row is None:
            there = session.predictions is not None
            notices.info(NONE_FLAGGED if there else NOT_YET)
            return
        session.select(row)
        if self.review.is_open:
            self.canvas.show_at_scale()
        else:
            self.canvas.fly_to_selected()

    def _read_costs(self) -> None:
        """Take the user's costs of errors; a faulty file is reported and left aside."""
        path = read_preferences().review_costs
        try:
            costs = read_costs(Path(path).expanduser()) if path else ReviewCosts()
        except CytoDinoError as error:
            notices.error(error)
        else:
            self.session.costs = costs

    def cancel(self) -> None:
        """Stop after the batch under way; what is done stays."""
        if self.session.busy:
            self.session.set_state(RunState.STOPPING)
            self.worker.cancel()

    def attempt(self, start: Callable[[], None]) -> None:
        """Start something unless another thing runs; errors become notifications."""
        if self.worker.busy:
            notices.info(BUSY)
            return
        try:
            start()
        except CytoDinoError as error:
            self.session.set_state(RunState.IDLE)
            notices.error(error)

    def save(
        self,
        steps: Callable[[Callable[[], bool]], Iterator[Any]],
        words: Callable[[Any], str],
    ) -> None:
        """Write something in the worker, and say in words what came of it."""
        session = self.session
        session.set_state(RunState.SAVING, Progress())
        sentences: list[str] = []

        def end(cancelled: bool) -> None:
            session.set_state(RunState.IDLE)
            for text in sentences:
                session.message.emit(text)

        self.worker.start(
            steps,
            on_step=lambda done: sentences.append(words(done)),
            on_error=notices.error,
            on_end=end,
        )

    def save_profile(self, name: str) -> None:
        """Save what verdicts taught as a checkpoint of the user's own.

        Raises
        ------
        InputError
            When nothing was taught, or the name cannot be one of a folder.
        """
        from napari_cytodino.checkpoints import profile_place, save_profile

        base = self.session.untaught
        profile, policy, card = self.teaching.profile(name)
        place, wish = profile_place(name), self.session.field_of_view
        assert base is not None

        def steps(cancelled: Callable[[], bool]) -> Iterator[Path]:
            yield save_profile(place, base, profile, policy, card, wish)

        self.attempt(
            lambda: self.save(
                steps, lambda path: f"Profile '{name}' is saved in {path}."
            )
        )

    def point(self) -> tuple[float, ...]:
        """Return the viewer's place along all its axes, in world coordinates."""
        return tuple(float(p) for p in self.viewer.dims.point)

    def close(self) -> None:
        """Stop all work and let go of the viewer."""
        self._draw_soon.cancel()
        self._draw_later.cancel()
        self._write_later.cancel()
        self.worker.abandon()
        self.folder.close()
        self.nearest.close()
        self.case.close()
        self.review.close()
        self.clicks.close()
        self.sizes.close()
        self.edits.close()
        self.watch.close()

    def _request(self, rows: Sequence[int] | None) -> ClassifyRequest:
        session, preferences = self.session, read_preferences()
        session.set_min_confidence(preferences.min_confidence)
        reading: Any = session.reading
        if rows is None or reading is None:
            reading = self._reader(bare=rows is not None or session.clicked is not None)
        return ClassifyRequest(
            session.generation,
            reading,
            session.checkpoint,
            session.field_of_view,
            preferences.device,
            preferences.batch_size or None,
            session.clicked,
            None if rows is None else tuple(rows),
            self.sizes.known(),
        )

    def _reader(self, *, bare: bool) -> Any:
        session, point = self.session, self.point()
        if session.cells_layer is None and bare:
            return bare_reader(session.image, point, channel_axis=session.channel_axis)
        return cells_reader(
            session.image,
            session.cells_layer,
            point,
            channel_axis=session.channel_axis,
        )

    def _on_results(self) -> None:
        if self.session.predictions is None:
            self.canvas.clear()

    def _on_decided(self) -> None:
        """Follow moved thresholds; what napari does for it is slower than deciding."""
        if self.session.predictions is not None:
            self._draw_soon()
            self._write_later()

    def _on_verdicts(self, rows: Any) -> None:
        """Show a verdict at once; all that takes long waits until the reader rests."""
        if rows is not None:
            self.canvas.touch(rows)
            self._draw_later()
        elif self.session.predictions is not None:
            # all are others, as of another reader
            self.run.redraw()
        self._write_later()

    def _idle(self, cancelled: bool) -> None:
        self.session.set_state(RunState.IDLE)

    def _found(self, generation: int, found: Search, frame: Any) -> None:
        if self.session.current(generation):
            # those found before may go, and are missed by nobody
            self.session.choose(cells_layer=None)
            drawn = self.canvas.result_layers
            layer = drawn.add_found(found.labels, frame)
            drawn.add_thick(found.thick, found.cell_size, frame)
            self.session.choose(cells_layer=layer)
            self.session.learn_pixel_size(found.pixel_size)
            self.session.message.emit(f"{found}.")

    def _changed(self, layer: Any) -> None:
        session = self.session
        if layer is session.image:
            self.sizes.known()
        chosen = layer is session.image or layer is session.cells_layer
        if not chosen or session.stale:
            return
        if session.reading is None and not session.busy:
            return
        # a file being saved is of what was on the screen when that began
        busy = session.busy and session.state is not RunState.SAVING
        dropped = "answers under way are dropped; " if busy else ""
        why = (
            f"Layer '{layer.name}' changed; {dropped}press Classify to bring results "
            "up to date."
        )
        session.invalidate(why)
        if busy:
            self.run.drop(why)

    def _removed(self, layer: Any) -> None:
        session = self.session
        if layer is not session.image and layer is not session.cells_layer:
            return
        if session.busy and session.state is not RunState.SAVING:
            self.run.drop(
                f"Layer '{layer.name}' was deleted; answers under way are dropped."
            )
        if layer is session.image:
            session.choose(image=None, cells_layer=None)
        else:
            session.choose(cells_layer=None)


def _once(do: Callable[[Any], Any], what: Any) -> Iterator[Any]:
    yield do(what)
