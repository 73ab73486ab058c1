"""What keys do in the gallery; those of verdicts are left to the review."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtGui import QKeyEvent

    from napari_cytodino.widgets.gallery_view import GalleryView

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
