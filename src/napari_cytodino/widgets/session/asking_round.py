"""A round of cells that a reader is asked about, because they teach the most; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from napari_cytodino.common import InputError
from napari_cytodino.teaching import TYPICAL, drawn_cells, typical_cells, unsure_cells

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.widgets.session.review_session import ReviewSession
    from napari_cytodino.widgets.session.session import Session


ROUND = 25
"""Cells that one press of the button asks about."""

TOGETHER = 5
"""Cells chosen at a time; one of them is drawn at random, to measure."""

NO_CELLS = "Classify the cells and start the review first; then teach."

ALL_ASKED = "Every cell here has a verdict already; teach on another image."


class AskingRound:
    """Puts cells into the reader's queue, five at a time.

    Attributes
    ----------
    going : bool
        True while a round goes on.
    left : int
        Cells that are still to be chosen in it.
    """

    def __init__(self, session: Session, review: ReviewSession) -> None:
        self._session, self._review = session, review
        self._rows: npt.NDArray[np.int64] | None = None
        self.going, self.left = False, 0

    def check(self) -> None:
        """Refuse a round where nobody reads, or nothing is left to ask about.

        Raises
        ------
        InputError
            With the remedy.
        """
        if self._session.own is None or not self._review.writable:
            raise InputError(NO_CELLS)
        if not len(self.open_rows()):
            raise InputError(ALL_ASKED)

    def begin(self, count: int, verdicts: int) -> None:
        """Begin a round of so many cells; ``verdicts`` as in `go_on`."""
        self.going, self.left = True, count
        self._session.review_rows = self._rows = np.zeros(0, np.int64)
        self._plan(verdicts)

    def go_on(self, verdicts: int) -> None:
        """Choose further cells once all have a verdict; end where there are none.

        Parameters
        ----------
        verdicts : int
            Given in this case so far.
        """
        asked = self._session.review_rows
        if asked is None or asked is not self._rows or self._review.settling:
            # another reader, or other cells: the round was about those before
            self.stop()
        elif all(int(row) in self._session.reviews for row in asked):
            self._plan(verdicts)

    def stop(self) -> None:
        """End the round, and give back the usual queue."""
        self.going, self.left = False, 0
        if self._session.review_rows is self._rows:
            self._session.review_rows = None

    def open_rows(self) -> npt.NDArray[np.int64]:
        """Return the cells that are answered and have no verdict."""
        own = self._session.own
        assert own is not None
        usable = own.done & own.readable
        usable[[row for row in self._session.reviews if row < len(usable)]] = False
        return np.flatnonzero(usable)

    def _plan(self, verdicts: int) -> None:
        session, log = self._session, self._review.log
        assert session.own is not None
        assert session.review_rows is not None
        rows = self.open_rows()
        count = min(self.left, TOGETHER)
        if not count or not len(rows) or log is None:
            self.stop()
            return
        seed = crc32(log.image.encode()) + len(log.notes.drawn())
        random = drawn_cells(rows, 1, seed)
        log.notes.note_drawn(random, of=len(rows), reviewer=self._review.reader)
        rest, features = rows[~np.isin(rows, random)], session.own.features
        if verdicts < TYPICAL or session.probabilities is None:
            others = typical_cells(features, rest, count - 1)
        else:
            others = unsure_cells(features, session.probabilities.p, rest, count - 1)
        chosen = np.concatenate([others[:2], random, others[2:]])
        self.left -= len(chosen)
        session.review_rows = np.concatenate([session.review_rows, chosen])
        self._rows = session.review_rows
