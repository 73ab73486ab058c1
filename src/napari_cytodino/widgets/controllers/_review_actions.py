"""What keys, buttons and menus do in a review: one verdict, then the next cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_cytodino.common import CytoDinoError
from napari_cytodino.widgets.controls import notices
from napari_cytodino.widgets.session import following, place_in, queue

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from napari_cytodino.widgets.canvas import Canvas
    from napari_cytodino.widgets.session import ReviewSession, Session


ALL_READ = "Every cell of the queue has a verdict."


class ReviewActions:
    """Verdicts on the selected cells, for anything that a user can press.

    A verdict on the cell of the queue that is looked at leads to the next one. A cell
    that was chosen elsewhere, or many at once, stay selected, so that one sees what
    became of them.
    """

    search_requested = Signal()
    """Someone wants to look for a class by its name."""

    def __init__(
        self,
        session: Session,
        reviewing: ReviewSession,
        picture: Canvas,
        next_flagged: Callable[[int], None],
    ) -> None:
        self._session, self._reviewing = session, reviewing
        self._picture, self._next_flagged = picture, next_flagged

    def accept(self) -> None:
        """Say that the model is right; with nothing selected, go to the first cell."""
        if not len(self._session.selected_rows):
            self.skip()
        else:
            self._verdict(self._reviewing.accept)

    def set_class(self, code: str) -> None:
        """Say that the selected cells are of this class."""
        self._verdict(lambda: self._reviewing.set_class(code))

    def not_a_cell(self) -> None:
        """Say that the selected objects are no cells."""
        self._verdict(self._reviewing.reject)

    def withdraw(self) -> None:
        """Take the verdicts on the selected cells back, and stay."""
        self._try(self._reviewing.withdraw)

    def undo(self) -> None:
        """Undo, and go where that was."""
        self._travel(self._reviewing.undo)

    def redo(self) -> None:
        """Redo, and go where that was."""
        self._travel(self._reviewing.redo)

    def skip(self) -> None:
        """Leave the cell as it is and go to the next one of the queue."""
        self._next_flagged(1)

    def back(self) -> None:
        """Go to the cell before in the queue."""
        self._next_flagged(-1)

    def search(self) -> None:
        """Ask for a class by name."""
        self.search_requested.emit()

    def _verdict(self, give: Callable[[], None]) -> None:
        rows, before = self._session.selected_rows, queue(self._session)
        row = int(rows[0]) if len(rows) == 1 else None
        place = place_in(before, row)
        # the gallery leads on by itself where a verdict was given in it
        stayed = self._try(give) and rows is self._session.selected_rows
        if stayed and place is not None:
            self._go_on(before, place)

    def _go_on(self, before: npt.NDArray[np.int64], place: int) -> None:
        left = queue(self._session)
        # what came after this cell comes now, also where bulk verdicts thinned the rest
        after = np.concatenate([before[place + 1 :], before[:place]])
        follow = after[np.isin(after, left)]
        # where the queue was planned anew meanwhile, on with its first cell
        row = following(follow if len(follow) else left, None, 1)
        if row is None:
            self._session.message.emit(ALL_READ)
        else:
            self._session.select(row)
            self._picture.show_at_scale()

    def _travel(self, go: Callable[[], None]) -> None:
        before = self._session.selected_rows
        if self._try(go) and not np.array_equal(before, self._session.selected_rows):
            self._picture.fly_to_selected()

    def _try(self, do: Callable[[], None]) -> bool:
        try:
            do()
        except CytoDinoError as error:
            notices.error(error)
            return False
        return True
