"""What all events of a case amount to: verdicts by reader, what can be undone."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


READING = "reading"

SETTLING = "settling"
"""Two ways to look at a cell: on one's own, and to settle what others disagree on."""

KINDS = ("verdict", "withdraw", "undo", "redo", "lock", "reopen")


class Event(NamedTuple):
    """One line of the history: one cell, or a lock or reopening of the whole case.

    Attributes
    ----------
    id
        1, 2, ... in the order of the disk; clocks may go back, this does not.
    action
        The id of the first event of the same action; a bulk is one action.
    kind
        One of `KINDS`.
    at
        UTC, ISO 8601 with milliseconds.
    look
        `READING` or `SETTLING`.
    cell
        The cell in the file; 0 for a lock or reopening.
    label
        Of the cell in its layer when the event was written.
    was, now
        Class before and after; empty for none.
    model
        The model's class at that time.
    checkpoint
        Hash of the model's checkpoint.
    undoes
        The action that is undone or redone; else 0.
    """

    id: int
    action: int
    kind: str
    at: str
    reviewer: str
    look: str
    revision: int
    cell: int = 0
    label: int = 0
    was: str = ""
    now: str = ""
    why: str = ""
    model: str = ""
    checkpoint: str = ""
    undoes: int = 0

    def of_cell(
        self,
        number: int,
        cell: int,
        label: int,
        was: str,
        now: str,
        model: str,
        undoes: int = 0,
    ) -> Event:
        """Return the event of one cell of the action that this one begins.

        `number` counts the cells before it. `_replace` would take four times as long.
        """
        return Event(
            self.id + number,
            self.action,
            self.kind,
            self.at,
            self.reviewer,
            self.look,
            self.revision,
            cell,
            label,
            was,
            now,
            self.why,
            model,
            self.checkpoint,
            undoes,
        )


@dataclass(frozen=True)
class Verdict:
    """The last verdict of one reader on one cell.

    Attributes
    ----------
    cell_class
        A class code, or `NOT_A_CELL`.
    reviewer
        Who gave it.
    at
        UTC, ISO 8601 with milliseconds.
    why
        The reader's own words.
    model
        The model's class when the verdict was given.
    event
        The id of the event that gave it; a later verdict has a higher one.
    """

    cell_class: str
    reviewer: str
    at: str
    why: str = ""
    model: str = ""
    event: int = field(default=0, compare=False)


class Change(NamedTuple):
    """One cell of an action: the verdict before and after, None for none."""

    cell: int
    before: Verdict | None
    after: Verdict | None


class Action(NamedTuple):
    """What can be undone or redone in one go."""

    id: int
    changes: tuple[Change, ...]


class _Reader:
    """One reader in one look: verdicts by cell, and the two stacks."""

    def __init__(self) -> None:
        self.verdicts: dict[int, Verdict] = {}
        self.done: list[Action] = []
        self.undone: list[Action] = []

    def put(self, cell: int, verdict: Verdict | None) -> None:
        if verdict is None:
            self.verdicts.pop(cell, None)
        else:
            self.verdicts[cell] = verdict

    def act(self, events: list[Event]) -> None:
        changes = []
        for event in events:
            after = None
            if event.now:
                after = Verdict(
                    event.now,
                    event.reviewer,
                    event.at,
                    event.why,
                    event.model,
                    event.id,
                )
            changes.append(Change(event.cell, self.verdicts.get(event.cell), after))
            self.put(event.cell, after)
        self.done.append(Action(events[0].action, tuple(changes)))
        self.undone.clear()

    def turn(self, event: Event, *, back: bool) -> None:
        """Undo or redo what the event says, which must be next in line."""
        source, target = self.done, self.undone
        if not back:
            source, target = target, source
        if not source or source[-1].id != event.undoes:
            raise InputError(
                f"Event {event.id} turns back action {event.undoes}, which is not the "
                "last one; the record was altered by hand. Restore it from a copy."
            )
        action = source.pop()
        for cell, before, after in action.changes:
            self.put(cell, before if back else after)
        target.append(action)


class CaseState:
    """The state of a case after some events; more events bring it further.

    Attributes
    ----------
    locked, revision
        Whether it is signed, and how often it was reopened, plus one.
    last
        The id of the last event.
    readers
        Who read on their own, in order of appearance.
    disputed
        Cells that two readers called differently and nobody settled.
    """

    def __init__(self) -> None:
        self.locked = False
        self.revision = 1
        self.last = 0
        self.readers: list[str] = []
        self.disputed: set[int] = set()
        self._passes: dict[tuple[str, str], _Reader] = {}

    def apply(self, events: Iterable[Event]) -> set[int]:
        """Follow further events, whole actions in order; returns the cells they name.

        Raises
        ------
        InputError
            When they cannot follow what is here.
        """
        touched: set[int] = set()
        for _, group in groupby(events, key=attrgetter("action")):
            action = list(group)
            first = action[0]
            self.last = action[-1].id
            if first.kind in ("lock", "reopen"):
                self.locked = first.kind == "lock"
                self.revision = first.revision
                continue
            self._follow(first, action)
            touched.update(event.cell for event in action)
        return touched

    def _follow(self, first: Event, action: list[Event]) -> None:
        reader = self._passes.setdefault((first.reviewer, first.look), _Reader())
        if first.look == READING and first.reviewer not in self.readers:
            self.readers.append(first.reviewer)
        if first.kind in ("undo", "redo"):
            reader.turn(first, back=first.kind == "undo")
        else:
            reader.act(action)
        if len(self._passes) > 1:
            for event in action:
                self._weigh(event.cell)

    def _weigh(self, cell: int) -> None:
        classes = {verdict.cell_class for verdict in self._verdicts_on(cell, READING)}
        if len(classes) > 1 and not self._verdicts_on(cell, SETTLING):
            self.disputed.add(cell)
        else:
            self.disputed.discard(cell)

    def draft_turn(self, draft: Event, label: Callable[[int], int]) -> list[Event]:
        """Return the events of an undo or redo, none when there is nothing to turn.

        Parameters
        ----------
        draft
            The first of them, without its cell.
        label
            Gives the label that a cell has now.
        """
        back = draft.kind == "undo"
        find = self.undoable if back else self.redoable
        action = find(draft.reviewer, draft.look)
        if action is None:
            return []
        return [
            draft.of_cell(
                number,
                cell,
                label(cell),
                _class(after if back else before),
                _class(before if back else after),
                _model(before, after),
                action.id,
            )
            for number, (cell, before, after) in enumerate(action.changes)
        ]

    def verdicts(self, reviewer: str, look: str) -> Mapping[int, Verdict]:
        """Return one reader's verdicts by cell; they change as events are applied."""
        found = self._passes.get((reviewer, look))
        return found.verdicts if found else {}

    def undoable(self, reviewer: str, look: str) -> Action | None:
        """Return the reader's last action that is not undone."""
        found = self._passes.get((reviewer, look))
        return found.done[-1] if found and found.done else None

    def redoable(self, reviewer: str, look: str) -> Action | None:
        """Return the action that was undone last, unless a new one followed."""
        found = self._passes.get((reviewer, look))
        return found.undone[-1] if found and found.undone else None

    def settled(self, cell: int) -> Verdict | None:
        """Return the last word of a third look, else what all readers agree on."""
        third = self._verdicts_on(cell, SETTLING)
        if third:
            return max(third, key=attrgetter("event"))
        read = self._verdicts_on(cell, READING)
        if len({verdict.cell_class for verdict in read}) != 1:
            return None
        return max(read, key=attrgetter("event"))

    def reviewed(self) -> set[int]:
        """Return the cells that anyone gave a verdict."""
        return set().union(*(reader.verdicts for reader in self._passes.values()))

    def _verdicts_on(self, cell: int, wanted: str) -> list[Verdict]:
        return [
            reader.verdicts[cell]
            for (_, look), reader in self._passes.items()
            if look == wanted and cell in reader.verdicts
        ]


def same(before: Verdict | None, code: str, model: str, why: str) -> bool:
    """Say whether a verdict would repeat what stands; an empty class takes it back."""
    if before is None or not code:
        return before is None and not code
    repeated = before.cell_class == code and before.model == model
    return repeated and why in ("", before.why)


def _class(verdict: Verdict | None) -> str:
    return verdict.cell_class if verdict else ""


def _model(before: Verdict | None, after: Verdict | None) -> str:
    verdict = after or before
    return verdict.model if verdict else ""


def verdict_line(verdict: Verdict | None) -> tuple[str, str, str]:
    """Return what a table says of a verdict: class, reader, time; empty for none."""
    if verdict is None:
        return ("", "", "")
    return (verdict.cell_class, verdict.reviewer, verdict.at)
