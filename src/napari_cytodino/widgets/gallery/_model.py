"""What the gallery shows of one viewer's cells: order, and words of each; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.widgets.gallery._order import (
    EMPTY,
    OTHER_TAXONOMY,
    PENDING,
    SectionKind,
    arrange,
    kind_places,
    kinds,
    ranking,
)
from napari_cytodino.widgets.session import SIGNS, STATUS_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd

    from napari_cytodino.widgets.session import ReviewSession, Session


SHOWN = ("label", "cell_class", "confidence", "status", "reason", "reviewed_class")
"""Columns of the table that tiles and tooltips speak of."""


@dataclass(frozen=True)
class Tile:
    """What is written on the tile of one cell.

    Attributes
    ----------
    code
        Of the class it stands under; empty where there is none.
    sign
        One of `SIGNS`: how the model doubts.
    note
        Confidence in per cent, or the model's class where a reader differs.
    read
        True where a reader gave a verdict.
    """

    kind: SectionKind
    code: str
    sign: str
    note: str
    read: bool


class GalleryModel:
    """A snapshot of the cells in the order of the gallery.

    It is taken by `rebuild` and, after verdicts, brought up to date by `patch`; what
    happens to the session in between does not touch it.

    Attributes
    ----------
    order
        The sections, and the row at each place.
    known
        All sections that there can be, empty ones too.
    like
        The row that others are compared with when sorted by similarity.
    """

    def __init__(self, session: Session, reviewing: ReviewSession) -> None:
        self._session, self._reviewing = session, reviewing
        self.sort = "confidence"
        self.like: int | None = None
        self.order, self.known = EMPTY, kinds(None)
        self.doubtful = self.read = 0
        self._kind_of = np.zeros(0, np.uint16)
        self._ranked = np.zeros(0, np.int64)
        self._line = np.zeros(0, np.int64)
        self._is_read, self._in_doubt = np.zeros(0, bool), np.zeros(0, bool)
        self._columns: dict[str, npt.NDArray[Any]] = {}

    @property
    def blind(self) -> bool:
        """True while the model's classes are hidden."""
        return self._reviewing.blind

    @property
    def sorted_by(self) -> str:
        """The order in force; a blind reader's is by position, which tells nothing."""
        if self.blind:
            return "position"
        if self.sort == "similarity" and self.like is None:
            return "confidence"
        return self.sort

    def rebuild(self) -> None:
        """Take the session as it is now."""
        session, table = self._session, self._session.table
        self.known = kinds(session.taxonomy, blind=self.blind)
        count = session.cells_count
        if self.like is not None and self.like >= count:
            self.like = None
        done = np.zeros(count, bool)
        if session.predictions is not None and len(table):
            done[: len(session.predictions)] = session.predictions.done
        self._line = np.where(done, np.cumsum(done) - 1, -1)
        table = self._read_columns()
        self._kind_of = np.full(count, self._place_of(PENDING), np.uint16)
        self._kind_of[done] = kind_places(table, self.known)
        self._place_unclassified(np.flatnonzero(~done))
        self._is_read = np.zeros(len(table), bool)
        self._in_doubt = np.zeros(len(table), bool)
        self._tally(slice(None))
        self._rank()
        self._arrange()

    def patch(self, rows: npt.NDArray[np.int64]) -> None:
        """Take the new verdicts of some rows."""
        table = self._read_columns()
        lines = self._line[rows]
        done = lines >= 0
        self._kind_of[rows[done]] = kind_places(table.iloc[lines[done]], self.known)
        self._place_unclassified(rows[~done])
        self._tally(lines[done])
        self._arrange()

    def _read_columns(self) -> pd.DataFrame:
        """Return the table without `attrs`.

        pandas copies them with each column, and the taxonomy in them is large.
        """
        table = self._session.table.copy(deep=False)
        table.attrs = {}
        self._columns = {name: table[name].to_numpy() for name in SHOWN}
        return table

    def _place_of(self, key: str) -> int:
        return [kind.key for kind in self.known].index(key)

    def _place_unclassified(self, rows: npt.NDArray[np.int64]) -> None:
        """Deal cells the model never saw; a reader may have named them."""
        reviews = self._session.reviews
        self._kind_of[rows] = self._place_of(PENDING)
        places = {kind.key: place for place, kind in enumerate(self.known)}
        for row in rows.tolist() if reviews else ():
            if verdict := reviews.get(row):
                place = places.get(verdict.cell_class, places[OTHER_TAXONOMY])
                self._kind_of[row] = place

    def _rank(self) -> None:
        session, cells = self._session, self._session.cells
        if cells is None:
            self._ranked = np.zeros(0, np.int64)
            return
        confidence = np.full(len(cells), np.nan)
        done = self._line >= 0
        confidence[done] = self._columns["confidence"].astype(np.float64)
        self._ranked = ranking(
            self.sorted_by,
            cells,
            confidence,
            side=session.crop_side(),
            predictions=session.predictions,
            like=self.like,
        )

    def _arrange(self) -> None:
        self.order = arrange(self._kind_of, self._ranked, self.known)
        self.read = int(np.count_nonzero(self._is_read))
        self.doubtful = int(np.count_nonzero(self._in_doubt))

    def _tally(self, lines: slice | npt.NDArray[np.int64]) -> None:
        """Note which lines of the table have a verdict, and which are in doubt."""
        reviewed = self._columns["reviewed_class"][lines]
        status = self._columns["status"][lines]
        self._is_read[lines] = reviewed != ""
        doubted = (status != "auto") & (status != "")
        self._in_doubt[lines] = doubted & (reviewed == "")

    def kind_of(self, row: int) -> SectionKind:
        """Return the section that a cell stands in."""
        return self.known[int(self._kind_of[row])]

    def count_of(self, kind: SectionKind) -> int:
        """Return how many cells a section holds."""
        for section in self.order.sections:
            if section.kind.key == kind.key:
                return len(section)
        return 0

    def reviewed_class(self, row: int) -> str:
        """Return the class that a reader gave a cell, empty where none did."""
        line = int(self._line[row])
        if line >= 0:
            return str(self._columns["reviewed_class"][line])
        verdict = self._session.reviews.get(row)
        return verdict.cell_class if verdict else ""

    def tile(self, row: int) -> Tile:
        """Return what is written on the tile of a cell."""
        kind, line = self.kind_of(row), int(self._line[row])
        reviewed = self.reviewed_class(row)
        code = kind.code if kind.is_class else ""
        if line < 0:
            return Tile(kind, code, "", "", bool(reviewed))
        status, predicted = self._value("status", line), self._value("cell_class", line)
        note = ""
        if reviewed and predicted and reviewed != predicted:
            note = f"was {predicted}"
        elif not reviewed:
            note = self._percent(line)
        sign = SIGNS.get(status, "") if not reviewed else ""
        return Tile(kind, code, sign, note, bool(reviewed))

    def _value(self, name: str, line: int) -> str:
        return str(self._columns[name][line])

    def _percent(self, line: int) -> str:
        confidence = float(self._columns["confidence"][line])
        if np.isnan(confidence):
            return ""
        # never 100 %, as on the card: no answer is certain
        return ">99 %" if confidence >= 0.995 else f"{round(100 * confidence)} %"

    def words(self, row: int) -> str:
        """Return one cell in a sentence or two, for tooltips and screen readers."""
        assert self._session.cells is not None
        kind, line = self.kind_of(row), int(self._line[row])
        name = f"{kind.code}, {kind.name}" if kind.is_class else kind.name
        parts = [f"Cell {int(self._session.cells.label[row])}: {name}"]
        status = self._value("status", line) if line >= 0 else ""
        if status:
            predicted = self._value("cell_class", line) or "no class"
            parts.append(f"model: {predicted}, {self._percent(line)}".rstrip())
            parts.append(STATUS_WORDS[status])
            parts.append(self._value("reason", line))
        parts.append("read" if self.reviewed_class(row) else "not read yet")
        return "; ".join(part for part in parts if part) + "."

    def after(self, row: int, gone: Sequence[int]) -> int | None:
        """Return the cell to look at when some have been dealt with.

        The next of the same section, else the one before, else the first of the
        sections that follow or precede; None when no other cell is left.
        """
        order = self.order
        place = int(order.place[row])
        section = order.sections[order.section_of(place)]
        left = np.ones(len(order), bool)
        left[order.place[np.asarray(gone, np.int64)]] = False
        for start, stop, end in (
            (place, section.stop, 0),
            (section.start, place, -1),
            (section.stop, len(order), 0),
            (0, section.start, -1),
        ):
            found = np.flatnonzero(left[start:stop])
            if len(found):
                return int(order.rows[start + found[end]])
        return None
