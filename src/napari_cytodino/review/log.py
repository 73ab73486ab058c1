"""The record of a case: who called which cell what, when and why; nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from napari_cytodino.common import InputError
from napari_cytodino.review._lock import WriterLock
from napari_cytodino.review._notes import CaseNotes
from napari_cytodino.review._store import ReviewStore
from napari_cytodino.review.state import (
    READING,
    SETTLING,
    CaseState,
    Event,
    Verdict,
    same,
)
from napari_cytodino.review.tracked_cells import CaseCells, Matching, StoredCell

if TYPE_CHECKING:
    from napari_cytodino.cells import Cells


__all__ = ["Event", "Matching", "ReviewLog", "Verdict"]

PROGRAM = version("napari-cytodino")
"""Noted in every new record."""


class VerdictsByRow(Mapping[int, Verdict]):
    """Verdicts by row; a live view: each lookup asks the log anew."""

    def __init__(
        self,
        verdict: Callable[[int], Verdict | None],
        rows: Callable[[], Iterator[int]],
    ) -> None:
        self._verdict, self._rows = verdict, rows

    def __getitem__(self, row: int) -> Verdict:
        found = self._verdict(row)
        if found is None:
            raise KeyError(row)
        return found

    def __iter__(self) -> Iterator[int]:
        return self._rows()

    def __len__(self) -> int:
        return sum(1 for _ in self._rows())


class ReviewLog:
    """One case: events in a file, only ever added to, and what they amount to.

    Made by `open`. Cells are known by place and size, so `attach` finds them again
    after labels were renumbered; rows are those of the cells attached last.

    Attributes
    ----------
    path
        Of the file.
    read_only, why_read_only
        True, with the reason, where nothing can be recorded.
    notes
        Cells drawn at random, and classes added.
    """

    def __init__(self, file: ReviewStore, lock: WriterLock | None, why: str) -> None:
        self.path = file.path
        self.read_only, self.why_read_only = lock is None, why
        self._file, self._lock = file, lock
        self._state, self._cells = CaseState(), CaseCells()
        self._closed = False
        self.notes = CaseNotes(file, self._cells, lambda who: self._draft("", who))
        self.refresh()

    @classmethod
    def open(
        cls, path: Path | str, *, image: str, case: str = "", read_only: bool = False
    ) -> ReviewLog:
        """Open the record of a case, or begin one.

        Parameters
        ----------
        path
            Of the file; its folder is made where it is missing.
        image
            Fingerprint of the pixels (`core.fingerprint`).
        case
            Its name, without patient data; a case that has one keeps it.
        read_only
            Only look.

        Returns
        -------
        ReviewLog
            With `read_only` set, and a reason, where another program has it open for
            writing or the place cannot be written.

        Raises
        ------
        InputError
            When the file is of another image, damaged, newer, or no review at all.
        """
        path = Path(path)
        lock, why = None, "it was opened to look only"
        if not read_only:
            lock, why = _take_lock(path)
        with ExitStack() as undo:
            if lock is not None:
                undo.callback(lock.release)
            case = _plain(case)
            facts = {"image": image, "case": case, "program": PROGRAM}
            file = ReviewStore.open(path, facts, _now(), read_only=lock is None)
            undo.callback(file.close)
            if file.facts.get("image") != image:
                raise InputError(
                    f"{path} is the review of another image; open that image, or "
                    "choose another file for this one."
                )
            if case and lock is not None and not file.facts.get("case"):
                file.note("case", case, _now())
            log = cls(file, lock, why)
            undo.pop_all()
        return log

    @property
    def case(self) -> str:
        """The name of the case."""
        return self._file.facts.get("case", "")

    @property
    def image(self) -> str:
        """The fingerprint of the image."""
        return self._file.facts["image"]

    @property
    def locked(self) -> bool:
        """True after `lock`, until `reopen`."""
        return self._state.locked

    @property
    def revision(self) -> int:
        """1, and one more after each reopening."""
        return self._state.revision

    @property
    def readers(self) -> tuple[str, ...]:
        """Who gave verdicts of their own, in order of appearance; not who settled."""
        return tuple(self._state.readers)

    @property
    def reviewed(self) -> int:
        """How many cells have a verdict of anyone, attached or not."""
        return len(self._state.reviewed())

    def attach(self, cells: Cells, *, plane: str = "") -> Matching:
        """Say which cells the rows mean from now on, and find those of the record.

        Parameters
        ----------
        plane
            Which plane of a stack they lie in; cells of other planes are never meant.
        """
        return self._cells.attach(cells, plane, self._state.reviewed())

    def record(
        self,
        rows: Sequence[int] | npt.NDArray[Any],
        cell_class: str | Sequence[str],
        *,
        reviewer: str,
        model: Sequence[str] = (),
        why: str = "",
        checkpoint: str = "",
        settling: bool = False,
    ) -> tuple[int, ...]:
        """Write what a reader says of cells: on the disk, as one action, or not at all.

        Parameters
        ----------
        rows
            Of the cells attached.
        cell_class
            A class code or `NOT_A_CELL`, for all rows or one for each.
        model
            The model's class of each row; empty when there is no model.
        checkpoint
            Hash of the model's checkpoint.
        settling
            A third look at what two readers called differently.

        Returns
        -------
        tuple of int
            Rows whose verdict changed; saying the same again changes nothing.

        Raises
        ------
        InputError
            When the case is locked or only looked at, the name is empty, a row is no
            cell, or the disk refuses; then nothing has changed.
        """
        places = np.asarray(rows, np.int64).reshape(-1).tolist()
        count = len(places)
        codes = [cell_class] * count if isinstance(cell_class, str) else cell_class
        models = list(model) or [""] * count
        if len(codes) != count or len(models) != count or not all(codes):
            raise InputError(
                f"{len(codes)} classes and {len(models)} answers of the model do not "
                f"fit {count} cells; give one for each, no class empty."
            )
        draft = self._draft("verdict", reviewer, settling, why, checkpoint)
        return self._record_verdicts(draft, zip(places, codes, models, strict=True))

    def withdraw(
        self,
        rows: Sequence[int] | npt.NDArray[Any],
        *,
        reviewer: str,
        why: str = "",
        settling: bool = False,
    ) -> tuple[int, ...]:
        """Take verdicts back, as an event of its own; else as `record`."""
        places = np.asarray(rows, np.int64).reshape(-1).tolist()
        draft = self._draft("withdraw", reviewer, settling, why)
        return self._record_verdicts(draft, ((row, "", "") for row in places))

    def undo(self, reviewer: str, *, settling: bool = False) -> tuple[int, ...]:
        """Undo the reader's last action, of any session, as an event of its own.

        Returns
        -------
        tuple of int
            Rows whose verdict changed; none when there is nothing to undo, or when
            none of the cells is attached.

        Raises
        ------
        InputError
            As `record`.
        """
        return self._undo_or_redo(self._draft("undo", reviewer, settling))

    def redo(self, reviewer: str, *, settling: bool = False) -> tuple[int, ...]:
        """Do again what was undone last; as `undo`."""
        return self._undo_or_redo(self._draft("redo", reviewer, settling))

    def can_undo(self, reviewer: str, *, settling: bool = False) -> bool:
        """Say whether there is something to undo."""
        return self._state.undoable(_plain(reviewer), _look(settling)) is not None

    def can_redo(self, reviewer: str, *, settling: bool = False) -> bool:
        """Say whether there is something to do again."""
        return self._state.redoable(_plain(reviewer), _look(settling)) is not None

    def lock(self, reviewer: str, why: str = "") -> None:
        """Sign the case: nothing is recorded until it is reopened.

        Raises
        ------
        InputError
            As `record`.
        """
        self._commit([self._draft("lock", reviewer, why=why)])

    def reopen(self, reviewer: str, why: str) -> None:
        """Open a locked case again, as its next revision.

        Raises
        ------
        InputError
            When it is not locked or no reason is given; else as `record`.
        """
        draft = self._draft("reopen", reviewer, why=why)
        if not self.locked:
            raise InputError(f"Case '{self.case}' is not locked; go on reading.")
        if not why.strip():
            raise InputError("A locked case is reopened for a reason; write it down.")
        self._commit([draft._replace(revision=self.revision + 1)])

    def verdicts(
        self, reviewer: str, *, settling: bool = False
    ) -> Mapping[int, Verdict]:
        """Return one reader's verdicts, by row of the cells attached; a live view."""
        reviewer, look = _plain(reviewer), _look(settling)

        def verdict(row: int) -> Verdict | None:
            known = self._state.verdicts(reviewer, look)
            return known.get(self._cells.cell(row))

        return VerdictsByRow(
            verdict,
            lambda: iter(self._cells.rows(self._state.verdicts(reviewer, look))),
        )

    def settled(self) -> Mapping[int, Verdict]:
        """Return the case's verdicts, by row of the cells attached; a live view.

        That is the last verdict of a third look, else the latest of those who read the
        cell, where they agree; else none.
        """

        def verdict(row: int) -> Verdict | None:
            return self._state.settled(self._cells.cell(row))

        def rows() -> Iterator[int]:
            known = self._cells.rows(self._state.reviewed())
            return (row for row in known if verdict(row) is not None)

        return VerdictsByRow(verdict, rows)

    def readings(self) -> list[tuple[StoredCell, tuple[str, ...]]]:
        """Return every cell with a verdict, and its class; more where readers differ.

        Cells that are not attached are among them.
        """
        found = []
        for number in sorted(self._state.reviewed()):
            settled = self._state.settled(number)
            codes = (
                {settled.cell_class}
                if settled is not None
                else {
                    verdict.cell_class
                    for reader in self.readers
                    if (verdict := self._state.verdicts(reader, READING).get(number))
                }
            )
            found.append((self._cells.stored(number), tuple(sorted(codes))))
        return found

    def disagreements(self) -> tuple[int, ...]:
        """Return the rows that two readers called differently and nobody settled."""
        return tuple(self._cells.rows(self._state.disputed))

    def events(self) -> list[Event]:
        """Return the whole history, oldest first, as it is on the disk."""
        return list(self._file.events_after(0))

    def refresh(self) -> tuple[int, ...]:
        """Take in what another program wrote meanwhile; returns the rows concerned."""
        touched = self._state.apply(self._file.events_after(self._state.last))
        fresh = self._file.cells_after(len(self._cells))
        self._cells.learn(fresh)
        return tuple(self._cells.rows(touched))

    def close(self) -> None:
        """Close the file and let others write; all is on the disk already."""
        if self._closed:
            return
        self._closed, self.read_only = True, True
        self.why_read_only = "it was closed"
        self._file.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draft(
        self,
        kind: str,
        reviewer: str,
        settling: bool = False,
        why: str = "",
        checkpoint: str = "",
    ) -> Event:
        """Return the next event without its cell, where one can be recorded."""
        if self.read_only:
            raise InputError(
                f"{self.path.name} can only be looked at: {self.why_read_only}; close "
                "it there and open the case anew."
            )
        reviewer = _plain(reviewer)
        if not reviewer:
            raise InputError("A verdict needs its reader; enter your name first.")
        self.refresh()
        if self.locked and kind != "reopen":
            raise InputError(
                f"Case '{self.case}' is locked as revision {self.revision}; reopen it "
                "to go on."
            )
        number = self._state.last + 1
        return Event(
            id=number,
            action=number,
            kind=kind,
            at=_now(),
            reviewer=reviewer,
            look=_look(settling),
            revision=self.revision,
            why=_plain(why),
            checkpoint=checkpoint,
        )

    def _record_verdicts(
        self, draft: Event, verdicts: Iterable[tuple[int, str, str]]
    ) -> tuple[int, ...]:
        """Record class and the model's answer by row, empty to take a verdict back."""
        standing = self._state.verdicts(draft.reviewer, draft.look)
        events: dict[int, Event] = {}
        fresh: dict[int, StoredCell] = {}
        for row, code, model in verdicts:
            cell = self._cells.cell(row)
            noted = self._cells.draft(row, len(fresh)) if not cell else None
            before = standing.get(cell)
            if row in events or same(before, code, model, draft.why):
                continue
            if noted is not None:
                fresh[row] = noted
                cell = noted.id
            label = noted.label if noted else self._cells.label(cell)
            was, of_old = (before.cell_class, before.model) if before else ("", "")
            # what is taken back keeps the answer of the model that it was given with
            answer = model if code else of_old
            number = len(events)
            events[row] = draft.of_cell(number, cell, label, was, code, answer)
        self._commit(list(events.values()), fresh)
        return tuple(sorted(events))

    def _undo_or_redo(self, draft: Event) -> tuple[int, ...]:
        events = self._state.draft_turn(draft, self._cells.label)
        self._commit(events)
        return tuple(self._cells.rows(event.cell for event in events))

    def _commit(
        self, events: list[Event], fresh: dict[int, StoredCell] | None = None
    ) -> None:
        """Write first, believe then: a disk that refuses leaves all as it was."""
        if events:
            fresh = fresh or {}
            self._file.append(list(fresh.values()), events)
            self._cells.take(fresh)
            self._state.apply(events)


def _take_lock(path: Path) -> tuple[WriterLock | None, str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent} cannot be made ({error.strerror}); choose another folder."
        ) from error
    if path.exists() and not os.access(path, os.W_OK):
        return None, "the file is write-protected"
    lock, why = WriterLock.take(path)
    if lock is None and not path.exists():
        raise InputError(f"{path} cannot be made: {why}; choose another folder.")
    return lock, why


def _look(settling: bool) -> str:
    return SETTLING if settling else READING


def _plain(text: str) -> str:
    """Return text without outer blanks, and without halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8").strip()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
