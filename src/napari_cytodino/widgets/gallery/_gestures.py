"""What keys and the mouse do in the gallery; verdict keys are left to the review."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QPoint, QPointF, QRectF, Qt, QTimer, Signal
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from qtpy.QtGui import QKeyEvent, QMouseEvent
    from qtpy.QtWidgets import QWidget

    from napari_cytodino.widgets.gallery._order import SectionKind
    from napari_cytodino.widgets.gallery._selection import GallerySelection
    from napari_cytodino.widgets.gallery._viewport import Viewport


KEY = Qt.Key

SHIFT = Qt.KeyboardModifier.ShiftModifier

CTRL = Qt.KeyboardModifier.ControlModifier


TICK_MS = 30
"""Pause between steps of scrolling while the mouse is held at an edge."""

EDGE = 28
"""Pixels from an edge within which that scrolls."""


class MouseGestures(QObject):
    """Follows the left button from press to release.

    Attributes
    ----------
    band
        The rectangle that is spanned, in pixels of the content; None without one.
    carried
        Rows that are dragged; empty while none are.
    aim
        Where they would be dropped.
    at
        Where the mouse is, on the surface.
    movable
        True where cells may be dragged to another class.
    elsewhere
        Finds a target of a drag beside the surface, from a place on the screen.
    """

    dropped = Signal(object, object)
    """A kind, and the rows that were dragged to it."""
    aimed = Signal(object)
    """Where a drop would go now: a kind, or None."""

    def __init__(
        self, surface: QWidget, port: Viewport, selection: GallerySelection
    ) -> None:
        super().__init__(surface)
        self._surface, self._port, self._selection = surface, port, selection
        self.movable = False
        self.elsewhere: Callable[[QPoint], SectionKind | None] = lambda at: None
        self._pressed: QPoint | None = None
        self._origin = QPointF()
        self._row: int | None = None
        self._on_release = self._adds = False
        self._before: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.at = QPoint()
        self.band: QRectF | None = None
        self.carried: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.aim: SectionKind | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    @property
    def busy(self) -> bool:
        """True while something is dragged or a rectangle is spanned."""
        return self.band is not None or len(self.carried) > 0

    def press(self, event: QMouseEvent) -> None:
        """Select what is under the mouse; what is selected stays so, to be dragged."""
        selection, at = self._selection, event.position().toPoint()
        self._pressed = self.at = at
        self._origin = QPointF(at) + QPointF(0, self._port.offset)
        self._row = self._port.row_at(at)
        self._on_release = False
        keys = event.modifiers()
        self._adds = bool(keys & (SHIFT | CTRL))
        self._before = selection.rows
        if self._row is None:
            return
        if keys & SHIFT:
            selection.through(self._row, add=bool(keys & CTRL))
        elif keys & CTRL:
            selection.toggle(self._row)
        elif selection.holds(self._row):
            self._on_release = True
        else:
            selection.one(self._row)

    def move(self, event: QMouseEvent) -> None:
        """Begin to drag once the mouse has moved, then follow it."""
        self.at = event.position().toPoint()
        if self._pressed is None:
            return
        if not self.busy:
            far = (self.at - self._pressed).manhattanLength()
            if far < QApplication.startDragDistance():
                return
            self._begin()
        self._follow()

    def _begin(self) -> None:
        self._on_release = False
        if self._row is None:
            if not self._adds:
                self._before = np.zeros(0, np.int64)
            self.band = QRectF(self._origin, self._origin)
        elif self._selection.holds(self._row) and self.movable:
            self.carried = self._selection.rows
        else:
            self._pressed = None
            return
        self._timer.start()

    def _follow(self) -> None:
        if self.band is not None:
            place = QPointF(self.at) + QPointF(0, self._port.offset)
            self.band = QRectF(self._origin, place).normalized()
            inside = self._port.rows_within(self.band)
            self._selection.take(np.union1d(inside, self._before))
        elif len(self.carried):
            self.aim = self._target()
            allowed = self.aim is not None and bool(self.aim.code)
            shape = Qt.CursorShape
            self._surface.setCursor(
                shape.ClosedHandCursor if allowed else shape.ForbiddenCursor
            )
            self.aimed.emit(self.aim if allowed else None)
        self._surface.update()

    def _target(self) -> SectionKind | None:
        """Return where a drop would go; None where all that is carried stands there."""
        if self._surface.rect().contains(self.at):
            kind = self._port.kind_at(self.at)
        else:
            kind = self.elsewhere(self._surface.mapToGlobal(self.at))
        if kind is None:
            return None
        own = {self._port.model.kind_of(int(row)).key for row in self.carried}
        return None if own == {kind.key} else kind

    def _tick(self) -> None:
        """Scroll on while the mouse is held at or beyond an edge."""
        height = self._surface.height()
        y = self.at.y()
        inside_x = 0 <= self.at.x() < self._surface.width()
        beyond = min(y - EDGE, 0) + max(y - (height - EDGE), 0)
        # chips beside the view are aimed at from beyond its edge
        over_chip = len(self.carried) > 0 and not 0 <= y < height
        if beyond and inside_x and not over_chip:
            self._port.scroll_by(max(-EDGE, min(EDGE, beyond)))
            self._follow()

    def release(self, event: QMouseEvent) -> None:
        """Drop what is dragged, or end the click."""
        self.at = event.position().toPoint()
        carried, aim, row = self.carried, self.aim, self._row
        was_busy, only = self.busy, self._on_release
        pressed = self._pressed is not None
        self.cancel()
        if len(carried):
            if aim is not None and aim.code:
                self.dropped.emit(aim, carried)
        elif not was_busy and pressed and only and row is not None:
            self._selection.one(row)
        elif not (was_busy or row is not None or self._adds):
            self._selection.take(np.zeros(0, np.int64))

    def cancel(self) -> None:
        """Let go of everything, as Escape does."""
        self._timer.stop()
        self._pressed, self.band, self.aim = None, None, None
        self.carried = np.zeros(0, np.int64)
        self._surface.unsetCursor()
        self.aimed.emit(None)
        self._surface.update()


class KeyGestures:
    """Moves and selects by keys.

    Parameters
    ----------
    mouse
        What Escape ends.
    open_cell
        Shows the current cell on the canvas.
    """

    def __init__(
        self,
        port: Viewport,
        selection: GallerySelection,
        mouse: MouseGestures,
        open_cell: Callable[[], None],
    ) -> None:
        self._port, self._selection = port, selection
        self._mouse, self._open = mouse, open_cell

    def press(self, event: QKeyEvent) -> bool:
        """Act on a key; False where it means nothing here."""
        keys, key = event.modifiers(), event.key()
        order, current = self._port.model.order, self._selection.current
        if keys & ~(SHIFT | CTRL | Qt.KeyboardModifier.KeypadModifier):
            return False
        if key == KEY.Key_Escape and self._mouse.busy:
            self._mouse.cancel()
        elif not len(order):
            return False
        elif key in (KEY.Key_Return, KEY.Key_Enter) and not keys & (SHIFT | CTRL):
            self._open()
        elif key == KEY.Key_A and keys & CTRL:
            section = order.sections[order.section_of(self._place())]
            self._selection.take(order.rows[section.start : section.stop])
        elif key == KEY.Key_Space and keys & CTRL and current is not None:
            self._selection.toggle(current)
        elif move := self._moves(ctrl=bool(keys & CTRL)).get(key):
            # the first key only shows where the focus is
            place = self._place() if current is None else move(self._place())
            row = int(order.rows[place])
            select = self._selection.through if keys & SHIFT else self._selection.one
            select(row)
            self._port.show_row(row)
        else:
            return False
        return True

    def _place(self) -> int:
        """Return the place of the current cell, or of the first that is in view."""
        row, order = self._selection.current, self._port.model.order
        if row is None:
            seen = self._port.rows_in_view()
            row = int(seen[0]) if len(seen) else int(order.rows[0])
        return int(order.place[row])

    def _moves(self, *, ctrl: bool) -> dict[Qt.Key, Callable[[int], int]]:
        """Return where each key leads from a place."""
        layout, order = self._port.plan, self._port.model.order
        last = len(order) - 1
        page = max(1, (self._port.height - layout.header) // layout.pitch)

        def section(place: int) -> tuple[int, int]:
            found = order.sections[order.section_of(place)]
            return found.start, found.stop - 1

        def other_section(place: int, step: int) -> int:
            number = order.section_of(place) + step
            return order.sections[min(max(number, 0), len(order.sections) - 1)].start

        moves = {
            KEY.Key_Left: lambda place: max(0, place - 1),
            KEY.Key_Right: lambda place: min(last, place + 1),
            KEY.Key_Up: lambda place: layout.moved(place, -1),
            KEY.Key_Down: lambda place: layout.moved(place, 1),
            KEY.Key_PageUp: lambda place: layout.moved(place, -page),
            KEY.Key_PageDown: lambda place: layout.moved(place, page),
            KEY.Key_Home: lambda place: 0 if ctrl else section(place)[0],
            KEY.Key_End: lambda place: last if ctrl else section(place)[1],
        }
        if ctrl:
            moves[KEY.Key_Up] = lambda place: other_section(place, -1)
            moves[KEY.Key_Down] = lambda place: other_section(place, 1)
        return moves
