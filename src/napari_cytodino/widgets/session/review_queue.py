"""The order in which flagged cells are best looked at, and how far a reader is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.stats import wilson
from napari_cytodino.widgets.session.guarantee import percent

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.widgets.session.session import Session


@dataclass(frozen=True)
class Progress:
    """Counts of one reader.

    Attributes
    ----------
    cells : int
        All that are classified.
    reviewed : int
        With a verdict.
    asked, left : int
        In the queue at first, and now: flagged cells, or all of them when blind.
    same, compared : int
        Verdicts that name the class that the model gave before them, of those where it
        gave one; it may have learned from them since.
    """

    cells: int
    reviewed: int
    asked: int
    left: int
    same: int
    compared: int

    def words(self, *, blind: bool = False) -> str:
        """Return the counts as a sentence; blind readers learn nothing of the model."""
        counts = f"{self.reviewed:,} of {self.cells:,} cells have a verdict."
        if blind or not self.compared:
            return counts
        low, high = wilson(self.same, self.compared)
        return (
            f"{counts} The model agreed with {self.same:,} of {self.compared:,}: "
            f"{percent(self.same / self.compared)} ({percent(low)} to {percent(high)})."
        )


def progress(session: Session) -> Progress:
    """Count the verdicts of the reader whose table is shown."""
    table = session.table
    reviewed = table["reviewed_class"].to_numpy(object)
    seen = np.flatnonzero(reviewed != "")
    verdicts = [verdict for verdict in session.reviews.values() if verdict.model]
    return Progress(
        len(table),
        len(seen),
        len(queue_rows(session)),
        len(queue(session)),
        sum(verdict.cell_class == verdict.model for verdict in verdicts),
        len(verdicts),
    )


FLAGGED = ("review", "lineage_only")
"""Statuses that a person can settle; unreadable pixels nobody can."""


def queue(session: Session) -> npt.NDArray[np.int64]:
    """Return the rows of flagged cells by falling cost of accepting them unseen.

    Cells that have a verdict are out. In a blind reading all other cells are in, from
    the first to the last, as flags would show the model's doubts. While readers are
    brought together, it is what they call differently.
    """
    wanted = queue_rows(session)
    if not len(wanted):
        return wanted
    assert session.predictions is not None
    lines = (np.cumsum(session.predictions.done) - 1)[wanted]
    reviewed = session.table["reviewed_class"].to_numpy(object)[lines]
    return wanted[reviewed == ""]


def queue_rows(session: Session) -> npt.NDArray[np.int64]:
    """Return the rows of the queue before any verdict, in their order.

    Verdicts change nothing of it, so it is kept until the table is another one.
    """
    state = (session.table, session.review_rows, session.acceptance_cost)
    kept = session.kept_queue
    if kept is None or any(a is not b for a, b in zip(kept[0], state, strict=True)):
        kept = session.kept_queue = (state, _asked(session))
    return kept[1]


def _asked(session: Session) -> npt.NDArray[np.int64]:
    if session.predictions is None or session.acceptance_cost is None:
        return np.zeros(0, np.int64)
    done = session.predictions.done
    if session.review_rows is not None:
        return session.review_rows[done[session.review_rows]]
    rows = np.flatnonzero(done)
    if session.blind:
        return rows
    status = session.table["status"].to_numpy(object)
    rows = rows[np.logical_or.reduce([status == name for name in FLAGGED])]
    return rows[np.argsort(-session.acceptance_cost[rows], kind="stable")]


def place_in(rows: npt.NDArray[np.int64], row: int | None) -> int | None:
    """Return where a row stands in the queue, None where it does not."""
    found = np.flatnonzero(rows == (-1 if row is None else row))
    return int(found[0]) if len(found) else None


def following(rows: npt.NDArray[np.int64], row: int | None, step: int) -> int | None:
    """Return the row that is so many steps after this one; the first from elsewhere.

    After the last comes the first again. None where the queue is empty.
    """
    if not len(rows):
        return None
    place = place_in(rows, row)
    return int(rows[0 if place is None else (place + step) % len(rows)])
