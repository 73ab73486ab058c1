"""Keeps the gallery in step with results and verdicts, without a jump."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    from napari_cytodino.widgets.gallery._view import GalleryView
    from napari_cytodino.widgets.session import ReviewSession, Session


SOON_MS = 40
"""Results come batch by batch; the gallery is arranged anew this long after."""


class GalleryUpdater(QObject):
    """Arranges the cells of a view anew where something changed.

    Results wait a moment, and longer while the view is hidden; verdicts do not wait.
    """

    refreshed = Signal()
    """Sections or counts changed."""

    def __init__(
        self, view: GalleryView, session: Session, reviewing: ReviewSession
    ) -> None:
        super().__init__(view)
        self._view, self._session, self._reviewing = view, session, reviewing
        self._cells: Any = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(SOON_MS)
        self._soon.timeout.connect(self.refresh)
        self._links = (
            (session.results, self.soon),
            (session.chosen, self.soon),
            (reviewing.state, self.soon),
            (session.verdicts_changed, self._verdicts),
        )
        for signal, slot in self._links:
            signal.connect(slot)

    def close(self) -> None:
        """Follow no more; may be called again."""
        for signal, slot in self._links:
            signal.disconnect(slot, missing_ok=True)

    def soon(self) -> None:
        """Arrange anew in a moment, however often that is asked for until then."""
        if self._session.cells is not self._cells:
            # rows mean other cells now; nothing may be done with the old ones
            self.refresh()
        elif not self._soon.isActive():
            self._soon.start()

    def refresh(self) -> None:
        """Arrange everything anew."""
        self._soon.stop()
        self._cells = self._session.cells
        self._view.rearrange()
        self.refreshed.emit()

    def _verdicts(self, rows: Any) -> None:
        fresh = self._session.cells is self._cells and not self._soon.isActive()
        if rows is None or not fresh:
            self.refresh()
            return
        rows = np.asarray(rows, np.int64)
        view, port, model = self._view, self._view.port, self._view.port.model
        current, following = view.selection.current, self._following(rows)
        if current is None or following is None:
            with view.keep_in_view(rows):
                model.patch(rows)
        else:
            kind, stays = model.kind_of(current), port.anchor_of(following)
            slot = stays._replace(y=self._slot(current, rows, stays.y, following))
            model.patch(rows)
            view.lay_out()
            moved = model.kind_of(current).key != kind.key
            port.restore([slot if moved else stays])
            view.selection.one(following)
            port.show_row(following)
        self.refreshed.emit()

    def _following(self, rows: np.ndarray[Any, Any]) -> int | None:
        """Return the cell to go on with, None where the selection should stay.

        The selection moves on when the reader works in the gallery and has just
        dealt with all that was selected; never after an undo.
        """
        current, selected = self._view.selection.current, self._view.selection.rows
        if current is None or current not in selected or not self._view.hasFocus():
            return None
        verdicts = map(self._reviewing.verdict_of, selected.tolist())
        if not np.isin(selected, rows).all() or None in verdicts:
            return None
        return self._view.port.model.after(current, selected.tolist())

    def _slot(
        self, current: int, rows: np.ndarray[Any, Any], stays: int, following: int
    ) -> int:
        """Return the height at which the following cell is seen once others left."""
        order = self._view.port.model.order
        section = order.sections[order.section_of(int(order.place[current]))]
        places = order.place[rows]
        left = places[(section.start <= places) & (places < section.stop)]
        if not section.start <= order.place[following] < section.stop:
            return stays
        first = int(left.min())
        if first > order.place[following]:
            return stays
        return self._view.port.height_of(int(order.rows[first]))
