"""What verdicts teach while a case is read: the head, the next cells to ask; no Qt."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_cytodino.checkpoints import Profile
from napari_cytodino.common import CytoDinoError, InputError
from napari_cytodino.taxonomy import NOT_A_CELL
from napari_cytodino.teaching import (
    Lessons,
    Share,
    Taught,
    accuracy,
    alike,
    fit_head,
    lacking,
    learning_curve,
    merge,
    profile_card,
    standing_out,
    taught_policy,
    untaught_head,
    with_classes,
)
from napari_cytodino.widgets.session.asking_round import NO_CELLS, ROUND, AskingRound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.taxonomy import CellClass, Taxonomy
    from napari_cytodino.widgets.session.review_session import ReviewSession
    from napari_cytodino.widgets.session.session import Session


class Teaching:
    """Refits the head at every verdict of the reader, and plans what to ask.

    Attributes
    ----------
    on : bool
        Whether verdicts teach.
    taught : Taught or None
        The head in force and its held-out answers.
    lessons : Lessons or None
        What it was fitted to: those of an opened profile, and this case's verdicts.
    changed : int
        Cells without a verdict that changed class with the last lesson.
    round : AskingRound
        The cells that are asked about.
    """

    state = Signal()
    """Another head, or another plan of what to ask."""

    def __init__(self, session: Session, review: ReviewSession) -> None:
        self._session, self._review = session, review
        self.on = True
        self.taught: Taught | None = None
        self.lessons: Lessons | None = None
        self.changed = 0
        self.round = AskingRound(session, review)
        self._curve: tuple[Lessons, list[tuple[int, str]]] | None = None
        self._added: list[str | CellClass] = []
        self._taxonomy: tuple[Any, Taxonomy] | None = None
        self._known: tuple[Any, ...] = ()
        self._held: tuple[Any, ...] = ()
        self._learning = False
        session.verdicts_changed.connect(self._follow)
        session.results.connect(self._follow)
        session.run.connect(self._follow)

    @property
    def asking(self) -> bool:
        """True while a round goes on."""
        return self.round.going

    def set_on(self, on: bool) -> None:
        """Let verdicts teach, or show the checkpoint as it is stored."""
        self.on = on
        self._follow()
        self.state.emit()

    def add_classes(self, added: Iterable[str | CellClass]) -> None:
        """Add classes that the checkpoint never saw; the record keeps them.

        Raises
        ------
        InputError
            When one cannot be added; then none is.
        """
        base, log = self._session.untaught, self._review.log
        if base is None or log is None or not self._review.writable:
            raise InputError(NO_CELLS)
        fresh = list(added)
        with_classes(base.taxonomy, [*self._added, *fresh])
        log.notes.add_classes(fresh, self._review.reader)
        self._follow()

    def ask(self, count: int = ROUND) -> None:
        """Lead the reader through cells that teach the most; some are drawn at random.

        Raises
        ------
        InputError
            When there is nothing to ask about, or nobody reads.
        """
        self.round.check()
        self.set_on(True)
        self.round.begin(count, len(self._verdicts()))
        self.state.emit()

    def show_alike(self) -> None:
        """Select the cells most like the one that is looked at, to name them at once.

        Raises
        ------
        InputError
            When nothing is classified, or no cell is selected.
        """
        own, row = self._session.own, self._session.selected_row
        known = own is not None and row is not None and row < len(own)
        if own is None or row is None or not known or not own.done[row]:
            raise InputError("Select a classified cell first; then show those like it.")
        rows = alike(own.features, row, self.round.open_rows())
        odd = standing_out(own.features, rows)
        last = np.isin(rows, odd)
        self._session.select_many(np.concatenate([rows[~last], rows[last]]))
        named = (
            f" {len(odd)} of them look unlike the rest and are shown last."
            if len(odd)
            else ""
        )
        self._session.message.emit(
            f"{len(rows)} cells like this one are selected: a key gives them all a "
            f"class, Undo takes it back.{named}"
        )

    def stop(self) -> None:
        """End the round; what was said stays."""
        self.round.stop()
        self._session.message.emit(self.words())
        self.state.emit()

    def accuracy_words(self) -> str:
        """Say how good the head is on cells drawn at random, each left out in turn."""
        if self.taught is None or self.lessons is None:
            return ""
        return f"Cells drawn at random here: {self._accuracy()}."

    def curve(self) -> list[tuple[int, str]]:
        """Return the learning curve in words: cells taught, and cells read right."""
        base = self._session.untaught
        if self.lessons is None or base is None:
            return []
        if self._curve is None or self._curve[0] is not self.lessons:
            own, policy = _base_of(base)
            heat = policy.temperature
            found = learning_curve(self.lessons, self._codes, own.codes, heat)
            self._curve = self.lessons, [(cells, str(share)) for cells, share in found]
        return self._curve[1]

    def words(self) -> str:
        """Say what was taught, what changed, and what lacks examples."""
        if self.lessons is None or self.taught is None:
            return "" if self.on else "Verdicts teach nothing now."
        counts = self.lessons.counts()
        parts = [f"Taught with {len(self.lessons)} cells of {len(counts)} classes."]
        if self.changed and not self._review.blind:
            many = "1 cell" if self.changed == 1 else f"{self.changed:,} cells"
            parts.append(f"{many} changed class with the last verdict.")
        if few := lacking(self.lessons):
            parts.append(f"Few examples of {', '.join(few[:6])}.")
        return " ".join(parts)

    def profile(self, name: str) -> tuple[Profile, Any, str]:
        """Return what is to be saved: profile, thresholds and card.

        Raises
        ------
        InputError
            When nothing was taught.
        """
        base, opened = self._session.untaught, self._session.opened
        if self.taught is None or self.lessons is None or base is None:
            raise InputError("Nothing is taught yet; give verdicts of two classes.")
        assert opened is not None
        assert opened.taught is not None
        profile = replace(opened.taught, summary=self._summary())
        lines = [profile.summary]
        if few := lacking(self.lessons):
            lines.append(f"Few examples of {', '.join(few)}.")
        card = profile_card(
            name,
            profile.base,
            profile.base_sha256,
            self.lessons,
            profile.taxonomy,
            profile.base_taxonomy.codes,
            lines,
        )
        return profile, opened.policy, card

    @property
    def _codes(self) -> tuple[str, ...]:
        assert self._session.taxonomy is not None
        return self._session.taxonomy.codes

    def _accuracy(self) -> Share:
        """Return how many cells drawn in this case are right, each left out."""
        assert self.lessons is not None
        assert self.taught is not None
        log = self._review.log
        here = np.array(
            [log is not None and g == log.image for g in self.lessons.groups]
        )
        lessons = replace(self.lessons, drawn=self.lessons.drawn & here)
        return accuracy(self.taught, lessons, self._codes)

    def _summary(self) -> str:
        assert self.lessons is not None
        assert self.taught is not None
        share = self._accuracy()
        return (
            f"taught with {len(self.lessons)} cells of {len(self.lessons.counts())} "
            f"classes; cells drawn at random, each left out in turn: {share}"
        )

    def _follow(self, *_: object) -> None:
        """Refit when verdicts, cells or answers are others."""
        if self._learning:
            return
        self._learning = True
        try:
            if self._learn():
                self.state.emit()
        except CytoDinoError as error:
            # the verdict itself is on the disk
            self._session.teach(None)
            self._session.message.emit(f"Nothing is taught now: {error}")
        else:
            self._go_on()
        finally:
            self._learning = False

    def _go_on(self) -> None:
        """Plan further cells; where the record refuses the draw, the round ends."""
        if not self.asking or self._session.busy:
            return
        before = self.round.left
        try:
            self.round.go_on(len(self._verdicts()))
            note = self.words()
        except CytoDinoError as error:
            self.round.stop()
            note = f"No more cells are asked about: {error}"
        if not self.asking:
            self._session.message.emit(note)
        if self.round.left != before or not self.asking:
            self.state.emit()

    def _learn(self) -> bool:
        """Fit the head to the verdicts that stand; return whether it is another."""
        session, base = self._session, self._session.untaught
        log = self._review.log
        self._added = self._usable_classes()
        verdicts = self._verdicts() if self.on and log is not None else {}
        own = session.own
        known = (id(base), id(own), tuple(verdicts.items()), tuple(self._added))
        same = (known[:1], known[2:]) == (self._known[:1], self._known[2:])
        if known == self._known or (session.busy and same):
            return False
        # held, so that their ids stay theirs
        self._known, self._held = known, (base, own)
        before = session.probabilities
        self.taught = self.lessons = None
        if base is not None and own is not None and (verdicts or self._added):
            session.teach(self._taught_by(base, verdicts))
        else:
            session.teach(None)
        self.changed = self._changes(before)
        return True

    def _usable_classes(self) -> list[str | CellClass]:
        """Return the classes noted in the record that fit the open checkpoint."""
        base, log = self._session.untaught, self._review.log
        found: list[str | CellClass] = []
        if base is None or log is None:
            return found
        for one in log.notes.classes():
            with suppress(InputError):
                with_classes(base.taxonomy, [*found, one])
                found.append(one)
        return found

    def _verdicts(self) -> dict[int, str]:
        own = self._session.own
        if own is None:
            return {}
        usable = own.done & own.readable
        found = {
            row: verdict.cell_class
            for row, verdict in self._session.reviews.items()
            if verdict.cell_class != NOT_A_CELL and row < len(usable) and usable[row]
        }
        return dict(sorted(found.items()))

    def _taught_by(
        self, base: Checkpoint, verdicts: dict[int, str]
    ) -> Checkpoint | None:
        """Return the checkpoint with a head of these verdicts, None with too few."""
        own, policy = _base_of(base)
        taxonomy = self._taxonomy_of(base)
        verdicts = {row: code for row, code in verdicts.items() if code in taxonomy}
        parts = [self._lessons(verdicts)] if verdicts else []
        if base.taught is not None:
            # what is said now of a cell counts, not what the profile was taught of it
            old = base.taught.lessons
            mine = set(parts[0].keys) if parts else set()
            parts.append(old.take([i for i, k in enumerate(old.keys) if k not in mine]))
        assert self._session.own is not None
        width = self._session.own.features.shape[1]
        lessons = merge(parts or [Lessons.none(width, len(own))]).lessons
        codes = taxonomy.codes, own.codes, policy.temperature
        if len(set(lessons.codes)) >= 2:
            self.lessons, self.taught = lessons, fit_head(lessons, *codes)
            head = self.taught.head
            policy_now = taught_policy(policy, lessons, own.codes)
        elif self._added:
            head = untaught_head(width, *codes)
            policy_now = replace(policy, temperature=1.0, guarantee="")
        else:
            return None
        profile = Profile(
            head,
            lessons,
            taxonomy,
            base.taught.base if base.taught else base.name,
            base.taught.base_sha256 if base.taught else base.sha256,
            own,
            policy,
            f"taught with {len(lessons)} cells here",
        )
        return replace(
            base,
            taxonomy=taxonomy,
            policy=policy_now,
            calibration=None,
            taught=profile,
        )

    def _lessons(self, verdicts: dict[int, str]) -> Lessons:
        own, log = self._session.own, self._review.log
        assert own is not None
        assert log is not None
        rows = np.array(list(verdicts), np.int64)
        drawn = np.isin(rows, np.array(log.notes.drawn(), np.int64))
        return Lessons(
            own.features[rows],
            own.logits[rows],
            own.unfamiliarity[rows],
            tuple(verdicts.values()),
            tuple(key.tobytes().hex() for key in own.keys[rows]),
            (log.image,) * len(rows),
            drawn,
        )

    def _taxonomy_of(self, base: Checkpoint) -> Taxonomy:
        """Return the classes in force; the same object until there are others."""
        key = (base.taxonomy, tuple(self._added))
        if self._taxonomy is None or self._taxonomy[0] != key:
            self._taxonomy = key, with_classes(base.taxonomy, self._added)
        return self._taxonomy[1]

    def _changes(self, before: Any) -> int:
        after = self._session.probabilities
        if before is None or after is None or len(before.best) != len(after.best):
            return 0
        fresh = after.known.copy()
        fresh[[row for row in self._session.reviews if row < len(fresh)]] = False
        return int((before.best != after.best)[fresh].sum())


def _base_of(checkpoint: Checkpoint) -> tuple[Taxonomy, Any]:
    """Return classes and thresholds of what a checkpoint's head was taught on."""
    known = checkpoint.taught
    if known is None:
        return checkpoint.taxonomy, checkpoint.policy
    return known.base_taxonomy, known.base_policy
