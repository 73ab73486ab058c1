"""Verdicts of one reader on the cells of one viewer: state and rules; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_cytodino.common import InputError
from napari_cytodino.taxonomy import NOT_A_CELL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from napari_cytodino.cells import Cells
    from napari_cytodino.review import Matching, ReviewLog, Verdict
    from napari_cytodino.widgets.session.messages import CellsReading
    from napari_cytodino.widgets.session.session import Session


NOBODY = "Start the review first: give a name and press 'Start review'."

BLIND = "The model's classes are hidden in a blind reading; name the class yourself."

LOOKING = "It is still found out whether these cells belong to the open case; wait."

ELSEWHERE = "That was about cells that are not among these; it is in the record."

NONE = np.zeros(0, np.int64)


class ReviewSession:
    """A reader's verdicts on the cells; each is on disk before the next.

    Attributes
    ----------
    log : ReviewLog or None
        The record of the case, while it is open.
    reader : str
        Under whose name verdicts are given.
    settling : bool
        True while what two readers called differently is settled.
    blind : bool
        True while the model's classes are hidden.
    """

    state = Signal()
    """Opened, closed, locked, another reader, blind or not."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.log: ReviewLog | None = None
        self.reader, self.settling, self.blind = "", False, False
        self.lost = 0
        self._attached: Cells | None = None
        self._reading: CellsReading | None = None
        self._image: Any = None
        session.results.connect(self._follow_cells)
        session.chosen.connect(self._follow_image)

    @property
    def is_open(self) -> bool:
        """True while a case is open."""
        return self.log is not None

    @property
    def writable(self) -> bool:
        """True while verdicts can be given."""
        known = self._attached is not None and self._attached is self._session.cells
        log = self.log
        return log is not None and known and not (log.read_only or log.locked)

    def start(self, log: ReviewLog, reader: str, *, blind: bool = False) -> None:
        """Read a case under a name; this reader's earlier verdicts are shown.

        Raises
        ------
        InputError
            When the name is empty.
        """
        reader = reader.strip()
        if not reader:
            raise InputError("Verdicts need a name: write yours, or your initials.")
        if self.log is not None and self.log is not log:
            self.stop()
        self.log, self._image = log, self._session.image
        self.read_as(reader, blind=blind)

    def read_as(
        self, reader: str, *, blind: bool = False, settling: bool = False
    ) -> None:
        """Go on under another name, or in another way, in the case that is open."""
        self.reader, self.settling = reader, settling
        self.blind = blind and not settling
        self._attach()
        self.state.emit()

    def close(self) -> None:
        """Let go of the file, as the viewer closes."""
        if self.log is not None:
            self.log.close()
            self.log = None

    def reattach(self) -> None:
        """Take cells that were read anew, once their pixels are known as the case's."""
        if self._attached is not self._session.cells:
            self._attach()
            self.state.emit()

    def refresh(self) -> None:
        """Take in what another viewer wrote meanwhile, where one may only look."""
        if self.log is None or not self.log.read_only or self._attached is None:
            return
        locked = self.log.locked
        rows = np.array(self.log.refresh(), np.int64)
        if len(rows):
            self._publish(rows.tolist())
        if len(rows) or locked != self.log.locked:
            self.state.emit()

    def stop(self) -> None:
        """Close the case; the table is the model's again."""
        if self.log is None:
            return
        self.close()
        self._attached, self.lost = None, 0
        self.reader, self.settling, self.blind = "", False, False
        self._session.take_reviews({})
        self.state.emit()

    def select(self, rows: Sequence[int] | npt.NDArray[Any]) -> None:
        """Select cells; the card shows the first of them."""
        chosen = np.asarray(rows, np.int64).reshape(-1)
        if not np.array_equal(chosen, self._session.selected_rows):
            self._session.select_many(chosen)

    def set_class(self, code: str, rows: Sequence[int] | None = None) -> None:
        """Say that cells are of a class of the taxonomy."""
        taxonomy = self._session.taxonomy
        if taxonomy is None or code not in taxonomy.codes:
            raise InputError(f"'{code}' is no class of the open checkpoint.")
        self._record(self._chosen(rows), code)

    def accept(self, rows: Sequence[int] | None = None) -> None:
        """Say that the model is right, or that the verdict stands."""
        if self.blind:
            raise InputError(BLIND)
        chosen = self._chosen(rows)
        if len(chosen) > 1:
            chosen = self._spared(chosen)
        codes = [self._standing_class(int(row)) for row in chosen]
        if any(not code for code in codes):
            raise InputError(
                "The model gave no class to a cell that is selected; name its class."
            )
        self._record(chosen, codes)

    def _spared(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Leave out of many cells those that must be looked at one by one."""
        fit = self.confirmable(chosen)
        more = len(chosen) - len(fit)
        if not len(fit):
            raise InputError(
                "None of these cells can be accepted with others: critical classes are "
                "looked at one by one, the rest have a verdict or no class."
            )
        if more:
            self._session.message.emit(
                f"{len(fit)} cells were accepted; {more} need a look one by one: of "
                "critical classes, without a class, or with a verdict."
            )
        return fit

    def reject(self, rows: Sequence[int] | None = None) -> None:
        """Say that something is not a cell; it is counted nowhere."""
        self._record(self._chosen(rows), NOT_A_CELL)

    def withdraw(self, rows: Sequence[int] | None = None) -> None:
        """Take verdicts back; the cells count as not looked at."""
        log = self._log()
        chosen = self._chosen(rows)
        self._publish(
            log.withdraw(chosen, reviewer=self.reader, settling=self.settling)
        )

    def confirm(self, rows: Sequence[int] | npt.NDArray[Any]) -> int:
        """Accept many cells at once, save those that demand a look one by one.

        Returns
        -------
        int
            How many were accepted; critical classes, cells that have a verdict, and
            cells without a class stay as they are.
        """
        if self.blind:
            raise InputError(BLIND)
        fit = self.confirmable(rows)
        if len(fit):
            self._record(fit, [self._standing_class(int(row)) for row in fit])
        return len(fit)

    def confirmable(
        self, rows: Sequence[int] | npt.NDArray[Any]
    ) -> npt.NDArray[np.int64]:
        """Return those of these rows that `confirm` would accept."""
        taxonomy = self._session.taxonomy
        chosen = np.asarray(rows, np.int64).reshape(-1)
        if taxonomy is None:
            return NONE
        harmless = {c.code for c in taxonomy.classes if c.risk != "critical"}
        model = self.model_classes(chosen)
        reviews = self._session.reviews
        keep = [
            code in harmless and int(row) not in reviews
            for row, code in zip(chosen, model, strict=True)
        ]
        return chosen[np.array(keep, bool)]

    def undo(self) -> None:
        """Undo this reader's last verdict or group of verdicts."""
        log = self._log()
        could = log.can_undo(self.reader, settling=self.settling)
        self._turned(could, log.undo(self.reader, settling=self.settling))

    def redo(self) -> None:
        """Do again what was undone."""
        log = self._log()
        could = log.can_redo(self.reader, settling=self.settling)
        self._turned(could, log.redo(self.reader, settling=self.settling))

    def verdict_of(self, row: int) -> Verdict | None:
        """Return this reader's last verdict on a cell."""
        return self._session.reviews.get(row)

    def model_classes(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Return the model's class of each row, empty where it gave none."""
        evidence, taxonomy = self._session.probabilities, self._session.taxonomy
        if evidence is None or taxonomy is None:
            return [""] * len(rows)
        return [
            taxonomy.codes[evidence.best[row]] if evidence.known[row] else ""
            for row in rows
        ]

    def lock(self, why: str = "") -> None:
        """Close the case for verdicts, as it is signed."""
        self._log().lock(self.reader, why)
        self.state.emit()

    def reopen(self, why: str) -> None:
        """Open a locked case again, as a new revision."""
        log = self.log
        if log is None:
            raise InputError(NOBODY)
        log.reopen(self.reader, why)
        self.state.emit()

    def _turned(self, could: bool, changed: Sequence[int]) -> None:
        self._publish(changed)
        if len(changed):
            self.select(np.asarray(changed, np.int64))
        elif could:
            self._session.message.emit(ELSEWHERE)
            self.state.emit()

    def _log(self) -> ReviewLog:
        if self.log is None:
            raise InputError(NOBODY)
        if self._attached is not self._session.cells:
            raise InputError(LOOKING)
        return self.log

    def _chosen(self, rows: Sequence[int] | None) -> npt.NDArray[np.int64]:
        given = self._session.selected_rows if rows is None else rows
        chosen = np.asarray(given, np.int64).reshape(-1)
        if not len(chosen):
            raise InputError("No cell is selected; click one.")
        predictions = self._session.predictions
        known = chosen[predictions.done[chosen]] if predictions is not None else NONE
        if not len(known):
            raise InputError("These cells are not classified yet; press Classify.")
        return known

    def _standing_class(self, row: int) -> str:
        verdict = self._session.reviews.get(row)
        return verdict.cell_class if verdict else self.model_classes(np.array([row]))[0]

    def _record(
        self, rows: npt.NDArray[np.int64], cell_class: str | Sequence[str]
    ) -> None:
        log, opened = self._log(), self._session.opened
        changed = log.record(
            [int(row) for row in rows],
            cell_class,
            reviewer=self.reader,
            model=self.model_classes(rows),
            checkpoint=opened.sha256 if opened else "",
            settling=self.settling,
        )
        self._publish(changed)

    def _publish(self, changed: Sequence[int]) -> None:
        rows = np.asarray(changed, np.int64)
        if self.settling and self.log is not None:
            self._session.reviews = self.log.settled()
        if not len(rows):
            return
        self._session.update_reviews(rows)

    def _attach(self, *, longer: bool = False) -> None:
        """Find the reviewed cells again among those of the session.

        Parameters
        ----------
        longer
            They are those that were attached, and some that were clicked.
        """
        log, cells = self.log, self._session.cells
        if log is None or cells is None:
            return
        matching: Matching = log.attach(cells)
        self._attached, self.lost = cells, matching.lost
        self._reading = self._session.reading
        verdicts: Mapping[int, Verdict] = log.verdicts(self.reader)
        # cells that were clicked come last, so rows that are asked about stay theirs
        asked = self._session.review_rows if longer else None
        if self.settling:
            verdicts, asked = log.settled(), np.array(log.disagreements(), np.int64)
        self._session.take_reviews(verdicts, blind=self.blind, asked=asked)

    def _follow_cells(self) -> None:
        cells = self._session.cells
        if self.log is None or cells is None or cells is self._attached:
            return
        if self._session.reading is self._reading:
            self._attach(longer=True)
        elif self._attached is not None:
            # of which pixels they are is found out in a worker (`CaseFinder`)
            self._attached = None
            self._session.take_reviews({}, blind=self.blind)
            self.state.emit()

    def _follow_image(self) -> None:
        if self.log is not None and self._session.image is not self._image:
            self.stop()
