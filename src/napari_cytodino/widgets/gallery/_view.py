"""The gallery itself: paints the cells in view, and no others, however many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import QAbstractScrollArea, QToolTip

from napari_cytodino.widgets.controls import ui
from napari_cytodino.widgets.gallery import _gestures as gallery_keys
from napari_cytodino.widgets.gallery import _paint as paint
from napari_cytodino.widgets.gallery import _scene as gallery_scene
from napari_cytodino.widgets.gallery._gestures import MouseGestures
from napari_cytodino.widgets.gallery._layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from qtpy.QtGui import (
        QContextMenuEvent,
        QFocusEvent,
        QKeyEvent,
        QMouseEvent,
        QPaintEvent,
        QResizeEvent,
        QWheelEvent,
    )

    from napari_cytodino.widgets.gallery._model import GalleryModel
    from napari_cytodino.widgets.gallery._order import SectionKind
    from napari_cytodino.widgets.gallery._selection import GallerySelection
    from napari_cytodino.widgets.workers import Thumbnails


ASK_MS = 15
"""Rest after a paint before pictures are asked for; a fast scroll asks for none."""

AHEAD = 1.0
"""Pictures are read so many screens further down, once those in view are there."""


class ScrollAnchor(NamedTuple):
    """A cell, how far below the top it is seen, and the kind it is of."""

    row: int
    y: int
    key: str


class GalleryView(QAbstractScrollArea):
    """Cells in sections, chosen by mouse and keys; geometry is arithmetic.

    Attributes
    ----------
    side
        Of a picture, in pixels of the screen.
    plan
        Where everything lies.
    movable
        True where cells may be dragged to another class.
    elsewhere
        Finds a target of a drag beside the view, from a place on the screen.
    """

    opened = Signal()
    """The current cell is to be shown on the canvas."""
    dropped = Signal(object, object)
    """A kind, and the rows that were dragged to it."""
    aimed = Signal(object)
    """Where a drop would go now: a kind, or None."""
    menu_asked = Signal(QPoint)
    """A menu for the selected cells is wanted at a place on the screen."""
    zoomed = Signal(int)
    """Pictures are to be larger (1) or smaller (-1)."""
    shown = Signal()
    """Other cells are in view, or pictures of them came."""

    def __init__(
        self, model: GalleryModel, choice: GallerySelection, thumbnails: Thumbnails
    ) -> None:
        super().__init__()
        self.model, self.choice, self.thumbnails = model, choice, thumbnails
        self.side = ui.line_height(self) * 5
        self.plan = Layout((), 1, 1, 1, 1, 1)
        self.movable = False
        self.elsewhere: Callable[[QPoint], SectionKind | None] = lambda at: None
        self.gestures = MouseGestures(self)
        self._ask = QTimer(self)
        self._ask.setSingleShot(True)
        self._ask.setInterval(ASK_MS)
        self._ask.timeout.connect(self.ask)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Gallery of cells")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # a bar that came and went would move every tile
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        choice.changed.connect(self._speak)
        choice.came.connect(self.show_row)
        thumbnails.arrived.connect(self._arrived)

    @property
    def offset(self) -> int:
        """How far the content is scrolled, in pixels."""
        return int(self.verticalScrollBar().value())

    def sizeHint(self) -> QSize:
        """Return room for a few lines of cells."""
        unit = ui.line_height(self)
        return QSize(unit * 40, unit * 14)

    def minimumSizeHint(self) -> QSize:
        """Return room for one line of cells."""
        unit = ui.line_height(self)
        return QSize(unit * 12, unit * 8)

    def rearrange(self) -> None:
        """Take the session as it is now; the cell in view stays where it is."""
        held = self.hold()
        self.model.rebuild()
        self.choice.refresh()
        self.lay_out()
        self.put_back(held)

    def resize_tiles(self, side: int) -> None:
        """Show pictures of another side, in pixels of the screen."""
        held = self.hold()
        self.side = side
        self.lay_out()
        self.put_back(held)

    def lay_out(self) -> None:
        """Compute anew where everything lies."""
        style = paint.style_of(self.viewport())
        width, height = style.tile(self.side)
        self.plan = Layout(
            tuple(len(section) for section in self.model.order.sections),
            self.viewport().width(),
            width,
            height,
            style.gap,
            style.header,
        )
        bar, room = self.verticalScrollBar(), self.viewport().height()
        bar.setPageStep(max(1, room - style.header))
        bar.setSingleStep(max(12, self.plan.pitch // 4))
        bar.setRange(0, max(0, self.plan.height + style.gap - room))
        self.viewport().update()

    def hold(self, gone: npt.NDArray[np.int64] | None = None) -> list[ScrollAnchor]:
        """Return the cells in view and where they are seen, the current one first.

        Parameters
        ----------
        gone
            Rows to leave out.
        """
        seen, current = self.rows_in_view(), self.choice.current
        if current is not None and current in seen:
            seen = np.append(current, seen[seen != current])
        elif not self.offset:
            # who is at the very top stays there, whatever comes to stand there
            return []
        if gone is not None:
            seen = seen[~np.isin(seen, gone)]
        return [self.held(row) for row in seen.tolist()]

    def held(self, row: int) -> ScrollAnchor:
        """Return where a cell is seen."""
        return ScrollAnchor(row, self.height_of(row), self.model.kind_of(row).key)

    def height_of(self, row: int) -> int:
        """Return how far below the top of the viewport a cell is."""
        return self.plan.corner(int(self.model.order.place[row]))[1] - self.offset

    def put_back(self, held: list[ScrollAnchor]) -> None:
        """Scroll so that the first cell that is still of its kind is where it was."""
        for one in held:
            known = one.row < len(self.model.order)
            if known and self.model.kind_of(one.row).key == one.key:
                self.scroll_by(self.height_of(one.row) - one.y)
                break
        self.viewport().update()

    def held_header(self) -> int | None:
        """Return the section whose header is held at the top, None without one."""
        if not self.plan.counts:
            return None
        section = self.plan.section_at(self.offset)
        return section if self.plan.section_span(section)[0] < self.offset else None

    def row_at(self, at: QPoint) -> int | None:
        """Return the cell at a place of the viewport."""
        if at.y() < self.plan.header and self.held_header() is not None:
            return None
        place = self.plan.place_at(at.x(), at.y() + self.offset)
        return None if place is None else int(self.model.order.rows[place])

    def kind_at(self, at: QPoint) -> SectionKind | None:
        """Return the section at a place of the viewport, or what is beside the view."""
        if not self.viewport().rect().contains(at):
            return self.elsewhere(self.viewport().mapToGlobal(at))
        if not self.plan.counts:
            return None
        section = self.held_header() if at.y() < self.plan.header else None
        if section is None:
            section = self.plan.section_at(at.y() + self.offset)
        return self.model.order.sections[section].kind

    def rows_within(self, band: QRectF) -> npt.NDArray[np.int64]:
        """Return the cells that a rectangle touches, in pixels of the content."""
        places = self.plan.within(
            band.left(), band.top(), band.right() + 1, band.bottom() + 1
        )
        return self.model.order.rows[places]

    def rows_in_view(self, *, ahead: float = 0.0) -> npt.NDArray[np.int64]:
        """Return the cells of which something is in view.

        Parameters
        ----------
        ahead
            So many screens further down too.
        """
        room = self.viewport().height()
        low, high = self.offset, self.offset + room * (1 + ahead)
        parts = [
            self.model.order.rows[first:stop]
            for _, first, stop in self.plan.visible(low, high)
        ]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def rows_drawn(self) -> npt.NDArray[np.int64]:
        """Return the cells whose whole picture is in view, and was drawn."""
        top = self.plan.header if self.held_header() is not None else 0
        bottom = self.viewport().height() - self.plan.tile_width
        seen = [
            row
            for row in self.rows_in_view().tolist()
            if top <= self.height_of(row) <= bottom
            and (picture := self.thumbnails.get(row)) is not None
            and picture.pixmap is not None
        ]
        return np.array(seen, np.int64)

    def scroll_by(self, pixels: int) -> None:
        """Scroll down, or up if negative."""
        self.verticalScrollBar().setValue(self.offset + int(pixels))

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Paint anew, since a header is held at the top."""
        self.viewport().update()

    def show_row(self, row: int) -> None:
        """Scroll as little as is needed to bring a cell into view."""
        y = self.height_of(row)
        above = y - self.plan.gap - self.plan.header
        below = y + self.plan.pitch - self.viewport().height()
        self.scroll_by(min(max(0, below), above))

    def show_kind(self, kind: SectionKind) -> None:
        """Scroll to the header of a section."""
        for number, section in enumerate(self.model.order.sections):
            if section.kind.key == kind.key:
                self.verticalScrollBar().setValue(self.plan.section_span(number)[0])

    def ask(self) -> None:
        """Have the pictures read that are in view, then those that come next."""
        seen = self.rows_in_view()
        later = self.rows_in_view(ahead=AHEAD)[len(seen) :]
        side = round(self.side * self.devicePixelRatioF())
        self.thumbnails.want([*seen.tolist(), *later.tolist()], side)
        self.shown.emit()

    def _arrived(self, rows: list[int]) -> None:
        self.viewport().update()

    def _speak(self) -> None:
        """Tell screen readers which cell is current and how many are selected."""
        row = self.choice.current
        count = len(self.choice.rows)
        words = f"{count:,} cell{'s' if count != 1 else ''} selected."
        if row is not None and row < len(self.model.order):
            order = self.model.order
            place = int(order.place[row])
            section = order.sections[order.section_of(place)]
            words = (
                f"{self.model.words(row)} {place - section.start + 1} of "
                f"{len(section)} in {section.kind.name}. {words}"
            )
        self.setAccessibleDescription(words)
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint what is in view, and ask for the pictures of it."""
        painter = QPainter(self.viewport())
        gallery_scene.draw(painter, self)
        painter.end()
        # not anew at each paint: a view that is painted all the time would never ask
        if not self._ask.isActive():
            self._ask.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Deal the tiles out anew; the cell in view stays there."""
        held = self.hold()
        self.lay_out()
        self.put_back(held)

    def changeEvent(self, event: QEvent) -> None:
        """Follow font and theme."""
        super().changeEvent(event)
        kind = QEvent.Type
        if event.type() in (kind.FontChange, kind.StyleChange, kind.PaletteChange):
            self.lay_out()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move and select; keys that mean nothing here go on to the dock."""
        event.setAccepted(gallery_keys.press(self, event))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a click, a rubber band or a drag."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.gestures.press(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with it."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.gestures.move(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End it."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.gestures.release(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show the cell on the canvas."""
        row = self.row_at(event.position().toPoint())
        if row is not None and event.button() == Qt.MouseButton.LeftButton:
            self.choice.one(row)
            self.opened.emit()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Ask for a menu; a cell that is not selected is selected first."""
        row = self.row_at(event.pos())
        if row is not None and not self.choice.holds(row):
            self.choice.one(row)
        if len(self.choice.rows):
            self.menu_asked.emit(event.globalPos())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll; with Ctrl, change the size of the pictures."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoomed.emit(1 if event.angleDelta().y() > 0 else -1)
            event.accept()
        else:
            super().wheelEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show where the focus is."""
        super().focusInEvent(event)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Show that the focus is elsewhere."""
        super().focusOutEvent(event)
        self.viewport().update()

    def viewportEvent(self, event: QEvent) -> bool:
        """Say what a cell is where the mouse rests on it."""
        if event.type() == QEvent.Type.ToolTip:
            help_: Any = event
            row = self.row_at(help_.pos())
            words = "" if row is None else ui.literal(self.model.words(row))
            QToolTip.showText(help_.globalPos(), words, self)
            return True
        return bool(super().viewportEvent(event))
