"""Find a class by a part of its name or code, and give it as a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_cytodino.results import class_colours
from napari_cytodino.widgets.controls import ui

if TYPE_CHECKING:
    from qtpy.QtGui import QKeyEvent

    from napari_cytodino.review import ReviewKeys
    from napari_cytodino.taxonomy import Taxonomy


CODE = Qt.ItemDataRole.UserRole


class ClassSearch(QDialog):
    """A line to type in, and the classes that fit; Return takes the first."""

    picked = Signal(str)
    """The code of the class."""

    def __init__(
        self, parent: QWidget, taxonomy: Taxonomy, keys: ReviewKeys | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Find a class")
        self.line = QLineEdit()
        self.line.setPlaceholderText("Part of a name, a code or a lineage")
        self.line.setClearButtonEnabled(True)
        self.list = QListWidget()
        self.list.setAccessibleName("Classes that fit")
        titles = {g.name: g.title for g in taxonomy.lineages}
        colours = class_colours(taxonomy)
        for cell in taxonomy.classes:
            key = keys.classes.get(cell.code, "") if keys else ""
            text = f"{cell.code}  {cell.name}, {titles[cell.lineage]}"
            item = QListWidgetItem(f"{text}  [{key}]" if key else text, self.list)
            ink = self.palette().text().color()
            item.setIcon(ui.swatch(colours[cell.code], ui.line_height(self), ink))
            item.setData(CODE, cell.code)
        layout = QVBoxLayout(self)
        layout.addWidget(self.line)
        layout.addWidget(self.list)
        unit = ui.line_height(self)
        self.resize(unit * 22, unit * 24)
        self.line.textChanged.connect(self._filter)
        self.line.returnPressed.connect(self._take)
        self.list.itemActivated.connect(lambda item: self._take())
        self._filter("")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Let the arrows move through the list while one types."""
        steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}
        step = steps.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
            return
        shown = [r for r in range(self.list.count()) if self._shown(r)]
        if shown:
            here = self.list.currentRow()
            place = shown.index(here) if here in shown else -step
            self.list.setCurrentRow(shown[(place + step) % len(shown)])

    def _shown(self, row: int) -> bool:
        item = self.list.item(row)
        return item is not None and not item.isHidden()

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        first: QListWidgetItem | None = None
        for row in range(self.list.count()):
            item = self.list.item(row)
            assert item is not None
            fits = all(word in item.text().lower() for word in words)
            item.setHidden(not fits)
            exact = fits and str(item.data(CODE)).lower() == text.strip().lower()
            if fits and (first is None or exact):
                first = item
        self.list.setCurrentItem(first)

    def _take(self) -> None:
        item = self.list.currentItem()
        if item is not None and not item.isHidden():
            self.accept()
            self.picked.emit(str(item.data(CODE)))
