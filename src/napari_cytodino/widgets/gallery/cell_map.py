"""A map of the cells: like ones near each other, a loop around some selects them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_cytodino.results import NONE, class_colours
from napari_cytodino.widgets.controls import ui
from napari_cytodino.widgets.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    from qtpy.QtGui import QMouseEvent, QPaintEvent

    from napari_cytodino.widgets.controllers import Controller


HINT = (
    "Like cells lie near each other; distances between groups mean nothing. Draw a "
    "loop to select cells, then name them with one key. Click: one cell."
)

EMPTY = "Classify cells first; then their map is drawn here."

DOT, RING = 3.0, 5.0
"""Radius of a cell and of a selected one on the map, in pixels of the screen."""

MARGIN = 10
"""Around the map, in pixels of the screen."""


class CellMap(QWidget):
    """The map of the cells of the session, in the colours of their classes."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._session, self._review = controller.session, controller.review
        self._worker = Worker()
        self._of: Any = None
        self.rows: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.places: npt.NDArray[np.float32] = np.zeros((0, 2), np.float32)
        self.plot = _Plot(self._select)
        self.plot.setAccessibleName("Map of the cells")
        self.draw_map = QPushButton("Draw the &map")
        self.draw_map.setToolTip("Places cells by what the model sees in them.")
        self.hint = ui.hint(HINT)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.hint)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.draw_map)
        self.draw_map.clicked.connect(self.compute)
        for signal in (self._session.results, self._session.decided):
            ui.listen(self, signal, self.refresh)
        ui.listen(self, self._session.selected, self._show_selected)
        self.destroyed.connect(self._worker.abandon)
        self.refresh()

    def compute(self) -> None:
        """Place all cells anew, in a worker."""
        own = self._session.own
        if own is None or self._worker.busy:
            return
        rows = np.flatnonzero(own.done & own.readable)
        features = own.features[rows]

        def steps(cancelled: Callable[[], bool]) -> Iterator[Any]:
            from napari_cytodino.teaching import map_of

            yield map_of(features)

        def placed(places: npt.NDArray[np.float32]) -> None:
            if self._session.own is own:
                self._of, self.rows, self.places = own, rows, places
                self.refresh()

        self.draw_map.setEnabled(False)
        self._worker.start(
            steps, on_step=placed, on_error=_raise, on_end=lambda _: self.refresh()
        )

    def refresh(self, *_: object) -> None:
        """Show the colours of now; forget places of cells that are gone."""
        own = self._session.own
        if self._of is not None and self._of is not own:
            self._of, self.rows = None, np.zeros(0, np.int64)
            self.places = np.zeros((0, 2), np.float32)
        self.hint.setText(EMPTY if own is None else HINT)
        self.draw_map.setEnabled(own is not None and not self._worker.busy)
        self.draw_map.setVisible(self._of is None)
        self.plot.show_cells(self.places, self._colours())
        self._show_selected()

    def _colours(self) -> npt.NDArray[np.float32]:
        evidence, taxonomy = self._session.probabilities, self._session.taxonomy
        if evidence is None or taxonomy is None or not len(self.rows):
            return np.zeros((len(self.rows), 4), np.float32)
        known = class_colours(taxonomy)
        table = np.array([known[code] for code in taxonomy.codes], np.float32)
        if self._review.blind:
            return np.tile(np.array(NONE, np.float32), (len(self.rows), 1))
        return np.asarray(table[evidence.best[self.rows]], np.float32)

    def _select(self, inside: npt.NDArray[np.bool_]) -> None:
        self._session.select_many(self.rows[inside])

    def _show_selected(self) -> None:
        self.plot.mark(np.isin(self.rows, self._session.selected_rows))


class _Plot(QWidget):
    """Dots in a square, and the loop that is drawn around some."""

    def __init__(self, chosen: Callable[[npt.NDArray[np.bool_]], None]) -> None:
        super().__init__()
        self._chosen = chosen
        self._places = np.zeros((0, 2), np.float32)
        self._colours = np.zeros((0, 4), np.float32)
        self._marked = np.zeros(0, np.bool_)
        self._loop: list[QPointF] = []
        self._image: QImage | None = None
        self.setMinimumHeight(160)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def show_cells(
        self, places: npt.NDArray[np.float32], colours: npt.NDArray[np.float32]
    ) -> None:
        """Draw other cells, or others of their colours."""
        self._places, self._colours, self._image = places, colours, None
        self._marked = np.zeros(len(places), np.bool_)
        self.update()

    def mark(self, marked: npt.NDArray[np.bool_]) -> None:
        """Ring the selected cells."""
        self._marked = marked
        self.update()

    def at(self) -> npt.NDArray[np.float64]:
        """Return x and y of each cell in pixels of the widget."""
        size = np.array([self.width(), self.height()]) - 2 * MARGIN
        return MARGIN + self._places * np.maximum(size, 1)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a loop."""
        self._loop = [event.position()]

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with the loop."""
        if self._loop:
            self._loop.append(event.position())
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Select the cells in the loop, or the one that was clicked."""
        loop, self._loop = self._loop, []
        self.update()
        if not loop or not len(self._places):
            return
        x, y = self.at().T
        if len(loop) < 4:
            away = np.hypot(x - loop[0].x(), y - loop[0].y())
            inside = np.arange(len(x)) == int(away.argmin())
            inside &= away <= 3 * RING
        else:
            inside = within(np.array([(p.x(), p.y()) for p in loop]), x, y)
        self._chosen(inside)

    def resizeEvent(self, event: object) -> None:
        """Draw anew at the new size."""
        self._image = None

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw dots, rings and the loop."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._image is None:
            self._image = self._drawn()
        painter.drawImage(QPointF(0, 0), self._image)
        painter.setPen(QPen(self.palette().text().color(), 1.5))
        for x, y in self.at()[self._marked][:2000]:
            painter.drawEllipse(QPointF(float(x), float(y)), RING, RING)
        if len(self._loop) > 1:
            painter.drawPolyline(QPolygonF(self._loop))

    def _drawn(self) -> QImage:
        """Return the dots as a picture, so that a loop costs no drawing of cells."""
        ratio = self.devicePixelRatioF()
        size = (self.size() * ratio).expandedTo(self.minimumSize() / 160)
        image = QImage(size, QImage.Format.Format_ARGB32_Premultiplied)
        image.setDevicePixelRatio(ratio)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        kinds, which = np.unique(self._colours, axis=0, return_inverse=True)
        places = self.at() - DOT
        for kind, colour in enumerate(kinds):
            painter.setBrush(QColor.fromRgbF(*(float(part) for part in colour)))
            for x, y in places[which.ravel() == kind]:
                painter.drawEllipse(QRectF(float(x), float(y), 2 * DOT, 2 * DOT))
        painter.end()
        return image


def within(
    loop: npt.NDArray[np.float64],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Return which points lie in a closed loop, by the even-odd rule.

    Parameters
    ----------
    loop : (K, 2)
        x and y of its corners; the last is joined to the first.
    x, y : (N,)
    """
    inside = np.zeros(len(x), np.bool_)
    for (x0, y0), (x1, y1) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside


def _raise(error: BaseException) -> None:
    raise error
