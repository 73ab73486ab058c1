"""The gallery itself: paints the cells in view, and no others, however many."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import QAbstractScrollArea, QToolTip

from napari_cytodino.widgets.controls import ui
from napari_cytodino.widgets.gallery import _paint as paint
from napari_cytodino.widgets.gallery._gestures import KeyGestures, MouseGestures
from napari_cytodino.widgets.gallery._scene import Scene
from napari_cytodino.widgets.gallery._viewport import Viewport

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    from napari_cytodino.widgets.gallery._selection import GallerySelection
    from napari_cytodino.widgets.workers import Thumbnails


REQUEST_MS = 15
"""Rest after a paint before pictures are asked for; a fast scroll asks for none."""

AHEAD = 1.0
"""Pictures are read so many screens further down, once those in view are there."""


class GalleryView(QAbstractScrollArea):
    """Cells in sections, selected by mouse and keys.

    Attributes
    ----------
    port
        What is in view.
    gestures
        What the mouse does.
    """

    opened = Signal()
    """The current cell is to be shown on the canvas."""
    menu_requested = Signal(QPoint)
    """A menu for the selected cells is wanted at a place on the screen."""
    zoomed = Signal(int)
    """Pictures are to be larger (1) or smaller (-1)."""
    shown = Signal()
    """Other cells are in view, or pictures of them came."""

    def __init__(
        self, model: GalleryModel, selection: GallerySelection, thumbnails: Thumbnails
    ) -> None:
        super().__init__()
        self.selection, self.thumbnails = selection, thumbnails
        surface, side = self.viewport(), ui.line_height(self) * 5
        self.port = port = Viewport(model, self.verticalScrollBar(), surface, side)
        self.gestures = mouse = MouseGestures(surface, port, selection)
        self._keys = KeyGestures(port, selection, mouse, self.opened.emit)
        self._scene = Scene(surface, port, selection, thumbnails, mouse)
        self._request = QTimer(self)
        self._request.setSingleShot(True)
        self._request.setInterval(REQUEST_MS)
        self._request.timeout.connect(self.request_pictures)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Gallery of cells")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # a bar that came and went would move every tile
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        selection.changed.connect(self._speak)
        selection.came.connect(port.show_row)
        thumbnails.arrived.connect(self._arrived)

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
        with self.keep_in_view():
            self.port.model.rebuild()
            self.selection.refresh()

    def resize_tiles(self, side: int) -> None:
        """Show pictures of another side, in pixels of the screen."""
        with self.keep_in_view():
            self.port.side = side

    @contextmanager
    def keep_in_view(self, gone: npt.NDArray[np.int64] | None = None) -> Iterator[None]:
        """Lay out anew after a change; the cell in view stays where it is.

        Parameters
        ----------
        gone
            Rows that need not stay there.
        """
        anchors = self.port.anchors(self.selection.current, gone)
        yield
        self.lay_out()
        self.port.restore(anchors)

    def lay_out(self) -> None:
        """Compute anew where everything lies."""
        port, style = self.port, paint.style_of(self.viewport())
        port.lay_out(style.tile(port.side), style.gap, style.header)
        bar = self.verticalScrollBar()
        bar.setPageStep(max(1, port.height - style.header))
        bar.setSingleStep(max(12, port.plan.pitch // 4))
        bar.setRange(0, max(0, port.plan.height + style.gap - port.height))
        self.viewport().update()

    def rows_drawn(self) -> npt.NDArray[np.int64]:
        """Return the cells whose whole picture is in view, and was drawn."""
        drawn = [
            row
            for row in self.port.rows_whole().tolist()
            if (picture := self.thumbnails.get(row)) is not None
            and picture.pixmap is not None
        ]
        return np.array(drawn, np.int64)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Paint anew, since a header stays at the top."""
        self.viewport().update()

    def request_pictures(self) -> None:
        """Have the pictures read that are in view, then those that come next."""
        seen = self.port.rows_in_view()
        later = self.port.rows_in_view(ahead=AHEAD)[len(seen) :]
        side = round(self.port.side * self.devicePixelRatioF())
        self.thumbnails.want([*seen.tolist(), *later.tolist()], side)
        self.shown.emit()

    def _arrived(self, rows: list[int]) -> None:
        self.viewport().update()

    def _speak(self) -> None:
        """Tell screen readers which cell is current and how many are selected."""
        row, model = self.selection.current, self.port.model
        count = len(self.selection.rows)
        words = f"{count:,} cell{'s' if count != 1 else ''} selected."
        if row is not None and row < len(model.order):
            order = model.order
            place = int(order.place[row])
            section = order.sections[order.section_of(place)]
            words = (
                f"{model.words(row)} {place - section.start + 1} of "
                f"{len(section)} in {section.kind.name}. {words}"
            )
        self.setAccessibleDescription(words)
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint what is in view, and ask for the pictures of it."""
        painter = QPainter(self.viewport())
        self._scene.draw(painter, focus=self.hasFocus())
        painter.end()
        # not anew at each paint: a view that is painted all the time would never do it
        if not self._request.isActive():
            self._request.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Deal the tiles out anew; the cell in view stays there."""
        with self.keep_in_view():
            pass

    def changeEvent(self, event: QEvent) -> None:
        """Follow font and theme."""
        super().changeEvent(event)
        kind = QEvent.Type
        if event.type() in (kind.FontChange, kind.StyleChange, kind.PaletteChange):
            self.lay_out()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move and select; keys that mean nothing here go on to the dock."""
        event.setAccepted(self._keys.press(event))

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
        row = self.port.row_at(event.position().toPoint())
        if row is not None and event.button() == Qt.MouseButton.LeftButton:
            self.selection.one(row)
            self.opened.emit()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Ask for a menu; a cell that is not selected is selected first."""
        row = self.port.row_at(event.pos())
        if row is not None and not self.selection.holds(row):
            self.selection.one(row)
        if len(self.selection.rows):
            self.menu_requested.emit(event.globalPos())

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
            row = self.port.row_at(help_.pos())
            words = "" if row is None else ui.literal(self.port.model.words(row))
            QToolTip.showText(help_.globalPos(), words, self)
            return True
        return bool(super().viewportEvent(event))
