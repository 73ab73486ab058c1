"""Which cells of the gallery are selected, in step with canvas and table; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.widgets.gallery._model import GalleryModel
    from napari_cytodino.widgets.session import ReviewSession, Session


class GallerySelection:
    """The selection, the cell in focus, and the anchor from which Shift selects.

    Attributes
    ----------
    current, anchor : int or None
        Rows; the current one is what the card shows.
    """

    changed = Signal()
    """Other cells are selected, or another one is current."""
    came = Signal(int)
    """A cell was selected elsewhere: on the canvas, or in the table."""

    def __init__(
        self, model: GalleryModel, session: Session, reviewing: ReviewSession
    ) -> None:
        self._model, self._session, self._reviewing = model, session, reviewing
        self.current: int | None = None
        self.anchor: int | None = None
        self._mask = np.zeros(0, bool)
        self._own = False
        session.selected.connect(self._follow)

    def close(self) -> None:
        """Follow the selection no more; may be called again."""
        self._session.selected.disconnect(self._follow, missing_ok=True)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """The selected cells, the current one first."""
        return self._session.selected_rows

    def holds(self, row: int) -> bool:
        """Tell whether a cell is selected."""
        return row < len(self._mask) and bool(self._mask[row])

    def one(self, row: int) -> None:
        """Select one cell, from which Shift goes on."""
        self.current = self.anchor = row
        self.take(np.array([row]))

    def toggle(self, row: int) -> None:
        """Add a cell to the selection, or take it out."""
        rows = self.rows
        rows = rows[rows != row] if self.holds(row) else np.append(row, rows)
        self.current = row
        self.take(rows)
        self.focus(row)

    def through(self, row: int, *, add: bool = False) -> None:
        """Select from the anchor to a cell, as they stand in the gallery."""
        order = self._model.order
        start = row if self.anchor is None else self.anchor
        low, high = sorted((int(order.place[start]), int(order.place[row])))
        rows = order.rows[low : high + 1]
        self.current, self.anchor = row, start
        self.take(np.union1d(rows, self.rows) if add else rows)

    def focus(self, row: int) -> None:
        """Move the focus alone, as Ctrl with an arrow does."""
        self.current = self.anchor = row
        self.changed.emit()

    def take(self, rows: npt.NDArray[np.int64]) -> None:
        """Select cells; the current one goes first where it is among them."""
        if len(rows):
            order = self._model.order
            if self.current is None or self.current not in rows:
                self.current = int(order.rows[order.place[rows].min()])
            rows = np.append(self.current, rows[rows != self.current])
        self._own = True
        try:
            self._reviewing.select(rows)
        finally:
            self._own = False
        self.refresh()

    def refresh(self) -> None:
        """Take what is selected now; the cells may be others."""
        count = len(self._model.order)
        rows = self.rows
        self._mask = np.zeros(count, bool)
        self._mask[rows[rows < count]] = True
        if self.current is not None and self.current >= count:
            self.current = self.anchor = None
        self.changed.emit()

    def _follow(self) -> None:
        if self._own:
            return
        rows = self.rows
        if len(rows) and int(rows[0]) < len(self._model.order):
            self.current = self.anchor = int(rows[0])
            self.refresh()
            self.came.emit(self.current)
        else:
            self.refresh()
