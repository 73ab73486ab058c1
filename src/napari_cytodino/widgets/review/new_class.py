"""A window that adds a class which the checkpoint never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cytodino.common import CytoDinoError
from napari_cytodino.teaching import new_class, shipped_classes
from napari_cytodino.widgets.controls import notices, ui

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_cytodino.taxonomy import CellClass, Taxonomy


OWN = "A class of your own"

NONE = "None: a lineage of its own"


class NewClassDialog(QDialog):
    """Choose a class of the shipped taxonomies, or write one of your own.

    Parameters
    ----------
    parent : QWidget
    taxonomy : Taxonomy
        That it is added to.
    take : callable
        Takes a code or the class itself; returns whether it did, else the window stays.
    """

    def __init__(
        self,
        parent: QWidget,
        taxonomy: Taxonomy,
        take: Callable[[str | CellClass], bool],
    ) -> None:
        super().__init__(parent)
        self._take = take
        self.setWindowTitle("Add a class")
        self._taxonomy = taxonomy
        self._colour = ""
        self.shipped = QComboBox()
        self.shipped.addItem(OWN, "")
        for one in shipped_classes(taxonomy):
            self.shipped.addItem(f"{one.code}  {one.name}", one.code)
        self.code, self.name = QLineEdit(), QLineEdit()
        self.code.setPlaceholderText("Short code, such as ABC")
        self.code.setMaxLength(16)
        self.name.setPlaceholderText("Name")
        self.lineage = QComboBox()
        self.lineage.addItem(NONE, "")
        for group in taxonomy.lineages:
            self.lineage.addItem(group.title, group.name)
        self.colour = QPushButton("Choose…")
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self._form = ui.form()
        for text, field in (
            ("&Class", self.shipped),
            ("C&ode", self.code),
            ("&Name", self.name),
            ("&Lineage", self.lineage),
            ("Colou&r", self.colour),
        ):
            self._form.addRow(text, field)
        layout = QVBoxLayout(self)
        layout.addLayout(self._form)
        layout.addWidget(
            ui.hint("It is learned from its first verdicts, and kept with the case.")
        )
        layout.addWidget(self.buttons)
        self.shipped.currentIndexChanged.connect(self._follow)
        self.colour.clicked.connect(self._choose_colour)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)

    def accept(self) -> None:
        """Hand over the class; stay open where it cannot be."""
        code = self.shipped.currentData()
        try:
            one = code or new_class(
                self._taxonomy,
                self.code.text().strip(),
                self.name.text().strip(),
                self.lineage.currentData(),
                self._colour,
            )
        except CytoDinoError as error:
            notices.error(error)
            return
        if self._take(one):
            super().accept()

    def _choose_colour(self) -> None:
        found = QColorDialog.getColor(QColor(self._colour or "#888888"), self)
        if found.isValid():
            self._colour = found.name().upper()
            self.colour.setText(self._colour)

    def _follow(self) -> None:
        own = not self.shipped.currentData()
        for field in (self.code, self.name, self.lineage, self.colour):
            field.setEnabled(own)
