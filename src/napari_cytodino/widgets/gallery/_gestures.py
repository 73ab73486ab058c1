"""What keys and the mouse do in the gallery; verdict keys are left to the review."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QPoint, QPointF, QRectF, Qt, QTimer
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from qtpy.QtGui import QKeyEvent, QMouseEvent

    from napari_cytodino.widgets.gallery._order import SectionKind
    from napari_cytodino.widgets.gallery._view import GalleryView


KEY = Qt.Key

SHIFT = Qt.KeyboardModifier.ShiftModifier

CTRL = Qt.KeyboardModifier.ControlModifier


def press(view: GalleryView, event: QKeyEvent) -> bool:
    """Act on a key; False where it means nothing here."""
    keys, key = event.modifiers(), event.key()
    if keys & ~(SHIFT | CTRL | Qt.KeyboardModifier.KeypadModifier):
        return False
    if key == KEY.Key_Escape and view.gestures.busy:
        view.gestures.cancel()
        return True
    if not len(view.model.order):
        return False
    if key in (KEY.Key_Return, KEY.Key_Enter) and not keys & (SHIFT | CTRL):
        view.opened.emit()
        return True
    if key == KEY.Key_A and keys & CTRL:
        _select_section(view)
        return True
    if key == KEY.Key_Space and keys & CTRL and view.choice.current is not None:
        view.choice.toggle(view.choice.current)
        return True
    move = _moves(view, ctrl=bool(keys & CTRL)).get(key)
    if move is None:
        return False
    _go(view, move(_place(view)), keys)
    return True


def _place(view: GalleryView) -> int:
    """Return the place of the current cell, or of the first that is in view."""
    row = view.choice.current
    if row is None:
        seen = view.rows_in_view()
        row = int(seen[0]) if len(seen) else int(view.model.order.rows[0])
    return int(view.model.order.place[row])


def _moves(view: GalleryView, *, ctrl: bool) -> dict[Qt.Key, Callable[[int], int]]:
    """Return where each key leads from a place."""
    layout, order = view.plan, view.model.order
    last = len(order) - 1
    page = max(1, (view.viewport().height() - layout.header) // layout.pitch)

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


def _go(view: GalleryView, place: int, keys: Qt.KeyboardModifier) -> None:
    row = int(view.model.order.rows[place])
    if view.choice.current is None:
        # the first key only shows where the focus is
        row = int(view.model.order.rows[_place(view)])
    if keys & SHIFT:
        view.choice.through(row)
    else:
        view.choice.one(row)
    view.show_row(row)


def _select_section(view: GalleryView) -> None:
    order = view.model.order
    section = order.sections[order.section_of(_place(view))]
    view.choice.take(order.rows[section.start : section.stop])


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
    """

    def __init__(self, view: GalleryView) -> None:
        super().__init__(view)
        self._view = view
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
        view, at = self._view, event.position().toPoint()
        self._pressed = self.at = at
        self._origin = QPointF(at) + QPointF(0, view.offset)
        self._row = view.row_at(at)
        self._on_release = False
        keys = event.modifiers()
        self._adds = bool(keys & (SHIFT | CTRL))
        self._before = view.choice.rows
        if self._row is None:
            return
        if keys & SHIFT:
            view.choice.through(self._row, add=bool(keys & CTRL))
        elif keys & CTRL:
            view.choice.toggle(self._row)
        elif view.choice.holds(self._row):
            self._on_release = True
        else:
            view.choice.one(self._row)

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
        elif self._view.choice.holds(self._row) and self._view.movable:
            self.carried = self._view.choice.rows
        else:
            self._pressed = None
            return
        self._timer.start()

    def _follow(self) -> None:
        view = self._view
        if self.band is not None:
            place = QPointF(self.at) + QPointF(0, view.offset)
            self.band = QRectF(self._origin, place).normalized()
            inside = view.rows_within(self.band)
            view.choice.take(np.union1d(inside, self._before))
        elif len(self.carried):
            self.aim = self._target()
            allowed = self.aim is not None and bool(self.aim.code)
            shape = Qt.CursorShape
            view.viewport().setCursor(
                shape.ClosedHandCursor if allowed else shape.ForbiddenCursor
            )
            view.aimed.emit(self.aim if allowed else None)
        view.viewport().update()

    def _target(self) -> SectionKind | None:
        """Return where a drop would go; None where all that is carried stands there."""
        kind = self._view.kind_at(self.at)
        if kind is None:
            return None
        own = {self._view.model.kind_of(int(row)).key for row in self.carried}
        return None if own == {kind.key} else kind

    def _tick(self) -> None:
        """Scroll on while the mouse is held at or beyond an edge."""
        height = self._view.viewport().height()
        y = self.at.y()
        inside_x = 0 <= self.at.x() < self._view.viewport().width()
        beyond = min(y - EDGE, 0) + max(y - (height - EDGE), 0)
        # chips beside the view are aimed at from beyond its edge
        over_chip = len(self.carried) > 0 and not 0 <= y < height
        if beyond and inside_x and not over_chip:
            self._view.scroll_by(max(-EDGE, min(EDGE, beyond)))
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
                self._view.dropped.emit(aim, carried)
        elif not was_busy and pressed and only and row is not None:
            self._view.choice.one(row)
        elif not (was_busy or row is not None or self._adds):
            self._view.choice.take(np.zeros(0, np.int64))

    def cancel(self) -> None:
        """Let go of everything, as Escape does."""
        self._timer.stop()
        self._pressed, self.band, self.aim = None, None, None
        self.carried = np.zeros(0, np.int64)
        self._view.viewport().unsetCursor()
        self._view.aimed.emit(None)
        self._view.viewport().update()
