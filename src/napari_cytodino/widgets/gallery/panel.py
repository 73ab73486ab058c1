"""The panel of the gallery: title, order, size, classes, cells, and a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_cytodino.common import CytoDinoError
from napari_cytodino.taxonomy import NOT_A_CELL
from napari_cytodino.widgets.controls import notices, ui
from napari_cytodino.widgets.gallery._class_strip import ClassStrip
from napari_cytodino.widgets.gallery._model import GalleryModel
from napari_cytodino.widgets.gallery._order import SORTS
from napari_cytodino.widgets.gallery._selection import GallerySelection
from napari_cytodino.widgets.gallery._updates import GalleryUpdater
from napari_cytodino.widgets.gallery._view import GalleryView
from napari_cytodino.widgets.workers import Thumbnails

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    from qtpy.QtGui import QCloseEvent

    from napari_cytodino.widgets.controllers import Controller
    from napari_cytodino.widgets.gallery._order import SectionKind


SORT_WORDS = {
    "confidence": "Least sure first",
    "size": "Largest first",
    "similarity": "Most like the selected cell",
    "position": "Place in the image",
}

SMALLEST, USUAL, LARGEST = 2.5, 6.0, 14.0
"""Side of a picture, in heights of a line of text."""

CHOOSE_FIRST = "Select a cell first; the others are then sorted by likeness to it."

HELP = (
    "Enter: show in the image. Drag: to another class. Ctrl+A: all of a class. "
    "Ctrl+Up, Ctrl+Down: the next class."
)

BLIND = "Blind reading: the model's classes are hidden."


class GalleryPanel(QWidget):
    """All cells as pictures at one scale, class by class.

    Parameters
    ----------
    controller
        Of the dock; its session and its reviewing are what is shown.
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller, self._session = controller, controller.session
        self._reviewing = controller.review
        self.model = GalleryModel(self._session, self._reviewing)
        self.selection = GallerySelection(self.model, self._session, self._reviewing)
        self.thumbnails = Thumbnails(self._session)
        self.view = GalleryView(self.model, self.selection, self.thumbnails)
        self.strip = ClassStrip()
        self.updater = GalleryUpdater(self.view, self._session, self._reviewing)
        self.title = ui.heading("Gallery")
        self.hint = ui.hint(HELP)
        self._make_tools()
        self._lay_out()
        self._connect()
        self.updater.refresh()
        # its own object: Qt would keep the panel alive for a function that holds it
        self._end = _Disconnector(self.updater, self.selection, self.thumbnails)
        self.destroyed.connect(self._end.close)

    def _make_tools(self) -> None:
        unit = ui.line_height(self)
        self.sort = QComboBox()
        self.sort.setAccessibleName("Order of the cells within a class")
        for name in SORTS:
            self.sort.addItem(SORT_WORDS[name], name)
        self.again = QPushButton("Co&mpare with selected")
        self.again.setToolTip("Sort by likeness to the cell that is selected now.")
        self.zoom = QSlider(Qt.Orientation.Horizontal)
        self.zoom.setAccessibleName("Size of the pictures")
        self.zoom.setToolTip("Size of the pictures; Ctrl with the wheel does the same.")
        self.zoom.setRange(round(unit * SMALLEST), round(unit * LARGEST))
        self.zoom.setPageStep(unit)
        self.zoom.setValue(round(unit * USUAL))
        self.zoom.setFixedWidth(unit * 7)
        self.view.port.side = self.zoom.value()
        self.confirm = QPushButton()
        self.confirm.setToolTip(
            "Accept the model's class of every cell that is wholly in view. Cells of "
            "classes that demand a look one by one stay open."
        )
        metrics = self.confirm.fontMetrics()
        self.confirm.setMinimumWidth(
            metrics.horizontalAdvance("Confirm 8,888 in view") + 2 * unit
        )

    def _lay_out(self) -> None:
        sort, size = QLabel("&Sort"), QLabel("Si&ze")
        sort.setBuddy(self.sort)
        size.setBuddy(self.zoom)
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.addWidget(self.title, 1)
        for widget in (sort, self.sort, self.again, size, self.zoom, self.confirm):
            top.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.strip)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.hint)

    def _connect(self) -> None:
        self.sort.activated.connect(self._sort)
        self.again.clicked.connect(self._sort)
        self.zoom.valueChanged.connect(self.view.resize_tiles)
        self.confirm.clicked.connect(self._confirm)
        self.view.zoomed.connect(self._zoom)
        self.view.opened.connect(self._open)
        self.view.gestures.dropped.connect(self._drop)
        self.view.gestures.aimed.connect(self.strip.aim)
        self.view.shown.connect(self._count_confirmable)
        self.view.gestures.elsewhere = self.strip.kind_at
        self.strip.pressed.connect(self.view.port.show_kind)
        self.selection.changed.connect(self._offer_comparison)
        self.updater.refreshed.connect(self._refresh)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop reading when the dock is closed for good."""
        self._end.close()
        super().closeEvent(event)

    def _refresh(self) -> None:
        model, blind = self.model, self.model.blind
        self.strip.refresh(model)
        self.view.gestures.movable = self._reviewing.writable
        words = [f"{len(model.order):,} cells", f"{model.read:,} read"]
        if not blind:
            words.append(f"{model.doubtful:,} in doubt")
        self.title.setText(" · ".join(words) if len(model.order) else "Gallery")
        self.sort.setEnabled(not blind)
        self.sort.setCurrentIndex(self.sort.findData(model.sorted_by))
        self._show_message("")
        self._offer_comparison()
        self._count_confirmable()

    def _show_message(self, words: str) -> None:
        parts = [words, BLIND if self.model.blind else ""]
        if not words and len(self.model.order):
            parts.append(f"One scale: {self.thumbnails.field} px across. {HELP}")
        self.hint.setText(" ".join(part for part in parts if part))

    def _sort(self) -> None:
        wanted, row = self.sort.currentData(), self.selection.current
        lacking = wanted == "similarity" and row is None
        kind = self.view.port.kind_at(QPoint(0, 0))
        if not lacking:
            self.model.sort = wanted
            self.model.like = row if wanted == "similarity" else None
        self.updater.refresh()
        if lacking:
            self._show_message(CHOOSE_FIRST)
        if row is not None:
            self.view.port.show_row(row)
        elif kind is not None:
            self.view.port.show_kind(kind)

    def _offer_comparison(self) -> None:
        row = self.selection.current
        other = row is not None and row != self.model.like
        self.again.setVisible(self.model.sorted_by == "similarity")
        self.again.setEnabled(other)

    def _count_confirmable(self) -> None:
        count = 0
        if self._reviewing.writable and not self.model.blind:
            count = len(self._reviewing.confirmable(self.view.rows_drawn()))
        self.confirm.setText(f"Con&firm {count:,} in view")
        self.confirm.setEnabled(count > 0)

    def _confirm(self) -> None:
        rows = self.view.rows_drawn()
        done: list[int] = []
        self._attempt(lambda: done.append(self._reviewing.confirm(rows)))
        if done:
            left = sum(self._reviewing.verdict_of(int(row)) is None for row in rows)
            words = f"{done[0]:,} cells confirmed."
            if left:
                words += f" {left:,} in view want a verdict of their own."
            self._show_message(words)

    def _drop(self, kind: SectionKind, rows: npt.NDArray[np.int64]) -> None:
        there = [self.model.kind_of(int(row)).key == kind.key for row in rows]
        moved = [int(row) for row, same in zip(rows, there, strict=True) if not same]
        if not moved:
            return
        if kind.key == NOT_A_CELL:
            self._attempt(lambda: self._reviewing.reject(moved))
        else:
            self._attempt(lambda: self._reviewing.set_class(kind.code, moved))

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except CytoDinoError as error:
            notices.error(error)

    def _open(self) -> None:
        row = self.selection.current
        if row is None:
            return
        if row != self._session.selected_row:
            self.selection.one(row)
        self._controller.canvas.fly_to_selected()

    def _zoom(self, step: int) -> None:
        self.zoom.setValue(self.zoom.value() + step * ui.line_height(self) // 2)


class _Disconnector:
    """Closes what listens to the session and outlives its widgets."""

    def __init__(self, *parts: GalleryUpdater | GallerySelection | Thumbnails) -> None:
        self._parts = parts

    def close(self) -> None:
        for part in self._parts:
            part.close()
