"""The state of one viewer: what is chosen, what was found, what is running; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_cytodino.cells import same_rows
from napari_cytodino.common import InputError
from napari_cytodino.inference import side_of_crops
from napari_cytodino.results import blinded, build_table, empty_table, write_verdicts
from napari_cytodino.review import verdict_line
from napari_cytodino.taxonomy import ReviewCosts
from napari_cytodino.uncertainty import (
    Predictions,
    check_error_rate,
    with_user_threshold,
)
from napari_cytodino.widgets.session._evidence import Evidence
from napari_cytodino.widgets.session.messages import Progress, RunState, join

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import pandas as pd

    from napari_cytodino.cells import Cells
    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.finding import PixelSize
    from napari_cytodino.review import Verdict
    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty import (
        ClassProbabilities,
        DecisionPolicy,
        PredictionBatch,
    )
    from napari_cytodino.widgets.session.messages import CellsReading


CELLS = ("image", "cells_layer", "channel_axis")
"""Choices that decide which cells there are."""

CHOICES = (*CELLS, "cell_size", "sensitivity", "checkpoint", "field_of_view")
"""What `Session.choose` takes."""

UNKNOWN_SIDE = 128
"""Side of a crop in pixels before a checkpoint is open."""


class Session:
    """What one viewer's dock knows; panels observe it and never each other."""

    chosen = Signal()
    """Another image, cells layer, checkpoint or field of view."""
    results = Signal()
    """The cells, their predictions or the policy changed."""
    decided = Signal()
    """Thresholds moved: the same answers, decided anew."""
    verdicts_changed = Signal(object)
    """Verdicts on these rows of the cells changed, (M,) int64; None means all."""
    display = Signal()
    """The colour mode or the hidden classes changed."""
    run = Signal()
    """The run state or the progress changed."""
    selected = Signal()
    """Another cell is looked at."""
    message = Signal(str)
    """A sentence for the user that is no error."""

    def __init__(self) -> None:
        self.image: Any = None
        self.cells_layer: Any = None
        self.channel_axis: int | None = None
        self.checkpoint: Checkpoint | str = ""
        self.field_of_view: float | None = None
        self.cell_size: float | None = None
        self.sensitivity: float | None = None
        self.pixel_size: PixelSize | None = None
        self.min_confidence = 0.0
        self.risk: float | None = None
        self._evidence = Evidence()
        self.costs = ReviewCosts()
        self.device_text = ""
        self.generation = 0
        self.reading: CellsReading | None = None
        self.cells: Cells | None = None
        self.own: Predictions | None = None
        self.predictions: Predictions | None = None
        self._taught: Checkpoint | None = None
        self.table = empty_table()
        self.partial = False
        self.stale = ""
        self.mode = "class"
        self.hidden: frozenset[str] = frozenset()
        self.state = RunState.IDLE
        self.progress = Progress()
        self.selected_rows = np.zeros(0, np.int64)
        self.layer_cell_count = 0
        self.reviews: Mapping[int, Verdict] = {}
        self._verdict_lines: dict[int, tuple[str, str, str]] = {}
        self.blind = False
        self.review_rows: npt.NDArray[np.int64] | None = None
        self.kept_queue: tuple[tuple[Any, ...], npt.NDArray[np.int64]] | None = None

    @property
    def opened(self) -> Checkpoint | None:
        """The checkpoint, once it is open, with what verdicts taught it here."""
        return self._taught or self.untaught

    @property
    def untaught(self) -> Checkpoint | None:
        """The checkpoint, once it is open, as it is stored."""
        return None if isinstance(self.checkpoint, str) else self.checkpoint

    @property
    def taxonomy(self) -> Taxonomy | None:
        """The classes of the open checkpoint."""
        return self.opened.taxonomy if self.opened else None

    @property
    def policy(self) -> DecisionPolicy | None:
        """The thresholds in force: those for the risk asked for, or the user's own."""
        if self.opened is None:
            return None
        # one without a calibration has its own thresholds, whatever is asked for
        risk = None if self.opened.calibration is None else self.risk
        return with_user_threshold(self.opened.policy_at(risk), self.min_confidence)

    @property
    def probabilities(self) -> ClassProbabilities | None:
        """What the answers amount to; thresholds change nothing of it."""
        return self._evidence.probabilities(self.predictions, self.opened)

    @property
    def acceptance_cost(self) -> npt.NDArray[np.float64] | None:
        """What it costs to accept each cell unseen, (N,); verdicts change nothing."""
        return self._evidence.cost(self.probabilities, self.opened, self.costs)

    def crop_side(self) -> int:
        """Return the side of a crop in image pixels, as far as it is known."""
        if self.opened is None:
            return round(self.field_of_view or UNKNOWN_SIDE)
        model, wish = self.opened.preprocessing, self.field_of_view
        try:
            return side_of_crops(model, self.pixel_size, field_of_view=wish)
        except InputError:
            # out of range: said when cells are classified, not wherever it is shown
            return round(wish or model.field_of_view)

    def learn_pixel_size(self, size: PixelSize | None) -> None:
        """Take how large a pixel of the image is, given or estimated."""
        if size != self.pixel_size:
            self.pixel_size = size
            self.chosen.emit()

    @property
    def cells_count(self) -> int:
        """How many cells there are, classified or not."""
        return 0 if self.cells is None else len(self.cells)

    @property
    def busy(self) -> bool:
        """True while a worker runs."""
        return self.state is not RunState.IDLE

    def choose(self, **choices: Any) -> None:
        """Set some of `CHOICES`.

        Results of an earlier choice are forgotten, and their late answers dropped.
        """
        if unknown := set(choices) - set(CHOICES):
            raise TypeError(f"A session has no choice named {sorted(unknown)}.")
        changed = {k: v for k, v in choices.items() if getattr(self, k) is not v}
        if not changed:
            return
        for name, value in changed.items():
            setattr(self, name, value)
        if "image" in changed:
            self.cell_size = self.pixel_size = None
        if set(changed) & set(CELLS):
            self.clear_cells()
        elif "checkpoint" in changed:
            self.generation += 1
            self._taught = None
            self._drop_predictions()
        elif "field_of_view" in changed and (self.busy or self.predictions is not None):
            self.invalidate("The field of view changed; press Classify.")
        self.chosen.emit()

    def open_checkpoint(self, checkpoint: Checkpoint, device_text: str = "") -> None:
        """Take the checkpoint that the worker opened; forgets another one's answers."""
        previous = self.opened
        if previous is not None and (previous.sha256, previous.dtype) != (
            checkpoint.sha256,
            checkpoint.dtype,
        ):
            self._taught = None
            self._drop_predictions()
        self.checkpoint = checkpoint
        self.device_text = device_text or self.device_text
        self.chosen.emit()

    def clear_cells(self) -> None:
        """Drop the cells and all that is known of them."""
        self.generation += 1
        self.reading, self.cells, self.layer_cell_count = None, None, 0
        self.stale = ""
        self.selected_rows = np.zeros(0, np.int64)
        self._drop_predictions()
        self.selected.emit()

    def teach(self, taught: Checkpoint | None) -> None:
        """Answer by what verdicts taught the open checkpoint; None as it is stored."""
        if taught is self._taught:
            return
        before, self._taught = self.taxonomy, taught
        self._answer()
        self._decide_anew()
        if self.taxonomy is not before:
            self.chosen.emit()

    def _answer(self) -> None:
        """Read the model's own predictions by the head in force."""
        if self.own is not None and self.opened is not None:
            self.predictions = self.opened.answer(self.own)

    def _drop_predictions(self) -> None:
        self.own = self.predictions = None
        self.partial = False
        self._evidence.forget()
        self.table = empty_table()
        self.results.emit()

    def invalidate(self, why: str) -> None:
        """Make answers under way late, because what they are about has changed."""
        self.generation += 1
        self.stale = why
        self.message.emit(why)
        self.run.emit()

    def set_state(self, state: RunState, progress: Progress | None = None) -> None:
        """Say what the worker is doing."""
        self.state = state
        self.progress = progress or self.progress
        self.run.emit()

    def current(self, generation: int) -> bool:
        """Say whether an answer of this generation still fits."""
        return generation == self.generation

    @property
    def clicked(self) -> Cells | None:
        """The cells that were clicked on bare spots."""
        if self.cells is None or len(self.cells) == self.layer_cell_count:
            return None
        return self.cells.take(np.arange(self.layer_cell_count, len(self.cells)))

    def set_cells(self, reading: CellsReading, *, anew: bool = True) -> None:
        """Take the cells that the worker read; cells that were clicked stay last."""
        before, self.cells = self.cells, join(reading.cells, self.clicked)
        self.reading = reading
        self.layer_cell_count = len(reading.cells)
        self.stale = ""
        if anew:
            self._drop_predictions()
        if before is not None and len(self.selected_rows):
            self.select_many(same_rows(before.take(self.selected_rows), self.cells))

    def add_cell(self, cell: Cells) -> int:
        """Append one cell that was cut out around a click; returns its row."""
        known = self.cells if self.cells is not None else cell.take(np.zeros(0, int))
        self.cells = join(known, cell)
        if self.own is not None:
            self.own = self.own.longer(len(self.cells))
            self._answer()
        return len(self.cells) - 1

    def add_predictions(
        self, generation: int, batches: Sequence[PredictionBatch]
    ) -> bool:
        """Take answers of the worker; False when they came too late and are dropped."""
        if not self.current(generation) or self.cells is None:
            return False
        if not batches:
            return True
        own = self.own or Predictions.like(batches[0], len(self.cells))
        self.own = own.with_batches(list(batches))
        self._answer()
        self.rebuild()
        return True

    def rebuild(self) -> None:
        """Compute the table anew from predictions and policy."""
        if self.predictions is None or self.cells is None or self.opened is None:
            self.table = empty_table()
        else:
            self.table = self._table(self._verdict_lines)
            if self.blind:
                self.table = blinded(self.table)
            self.partial = not bool(self.predictions.done.all())
        self.results.emit()

    def table_of(self, reviews: Mapping[int, Verdict]) -> pd.DataFrame:
        """Return the table with these verdicts, by row, whatever is shown.

        Raises
        ------
        InputError
            When nothing is classified.
        """
        if self.predictions is None or self.cells is None or self.opened is None:
            raise InputError("Nothing is classified yet; press Classify first.")
        return self._table({row: verdict_line(v) for row, v in reviews.items()})

    def _table(self, verdicts: dict[int, tuple[str, str, str]]) -> pd.DataFrame:
        assert self.cells is not None
        assert self.predictions is not None
        assert self.opened is not None
        assert self.policy is not None
        return build_table(
            self.cells,
            self.predictions,
            self.opened.taxonomy,
            self.policy,
            verdicts,
            evidence=self.probabilities,
        )

    def take_reviews(
        self,
        reviews: Mapping[int, Verdict],
        *,
        blind: bool = False,
        asked: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Show the verdicts of another reader, with or without the model's classes.

        Parameters
        ----------
        reviews
            By row of the cells; a live view, that changes with each verdict.
        blind
            Hide the model's predictions everywhere.
        asked
            The rows to look at, in their order; None for what the model flagged.
        """
        self.reviews, self.blind, self.review_rows = reviews, blind, asked
        # kept, as thresholds that move change no verdict
        self._verdict_lines = {r: verdict_line(v) for r, v in reviews.items()}
        self.rebuild()
        self.verdicts_changed.emit(None)

    def update_reviews(self, rows: npt.NDArray[np.int64]) -> None:
        """Bring the lines of these rows up to date, and nothing else."""
        if self.predictions is not None:
            done = self.predictions.done
            rows = rows[done[rows]]
            lines = (np.cumsum(done) - 1)[rows]
            verdicts = [verdict_line(self.reviews.get(int(row))) for row in rows]
            write_verdicts(self.table, lines, verdicts)
            self._verdict_lines.update(zip(rows.tolist(), verdicts, strict=True))
        self.verdicts_changed.emit(rows)

    def set_min_confidence(self, value: float) -> None:
        """Override the least confidence of the policy; 0 takes the checkpoint's."""
        if value != self.min_confidence:
            self.min_confidence = value
            self._decide_anew()

    def set_risk(self, risk: float | None) -> None:
        """Ask for another share of errors among accepted cells.

        Parameters
        ----------
        risk
            One of `RISKS`; None takes the checkpoint's own.

        Raises
        ------
        InputError
            When it is another number.
        """
        if risk is not None:
            check_error_rate(risk)
        if risk != self.risk:
            self.risk = risk
            self._decide_anew()

    def _decide_anew(self) -> None:
        self.rebuild()
        self.decided.emit()

    def show(
        self, *, mode: str | None = None, hidden: frozenset[str] | None = None
    ) -> None:
        """Change what colours mean and which classes are hidden."""
        self.mode = self.mode if mode is None else mode
        self.hidden = self.hidden if hidden is None else hidden
        self.display.emit()

    @property
    def selected_row(self) -> int | None:
        """The cell that is looked at: the first of those selected."""
        return int(self.selected_rows[0]) if len(self.selected_rows) else None

    def select(self, row: int | None) -> None:
        """Look at another cell."""
        self.select_many([] if row is None else [row])

    def select_many(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> None:
        """Select cells; the card shows the first of them."""
        self.selected_rows = np.asarray(rows, np.int64).reshape(-1)
        self.selected.emit()
