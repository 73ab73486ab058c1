"""How cells are found: their size, the sensitivity, and tools to mend the result."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_cytodino.finding import SENSITIVITY
from napari_cytodino.widgets.controllers import TOOLS
from napari_cytodino.widgets.controls import ui

if TYPE_CHECKING:
    from napari_cytodino.widgets.controllers import Controller


SIZE = (
    "Diameter of a typical nucleated cell in pixels; 0 has it estimated from the image."
)

CIRCLE = "Show a circle of this size: move it over one cell and resize it."

MORE = (
    "Further to the right fainter cells are found, and more that are none. Cells that "
    "were found are found anew."
)

FOLD = ("▸ Sensitivity and corrections", "▾ Sensitivity and corrections")


class FindingPanel(QWidget):
    """Size and scale in sight; sensitivity and tools folded away."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.size_box = QDoubleSpinBox()
        self.circle = QPushButton("Circle")
        self.scale = ui.hint()
        self.fold = ui.disclosure()
        self.sensitivity = QSlider(Qt.Orientation.Horizontal)
        self.tools = {name: QPushButton(name.capitalize()) for name in TOOLS}
        self.undo = QPushButton("Undo")
        self._describe()
        self._lay_out()
        self._connect()
        self.refresh()

    def _describe(self) -> None:
        self.size_box.setAccessibleName("Diameter of a typical cell in pixels")
        self.size_box.setRange(0, 2000)
        self.size_box.setDecimals(0)
        self.size_box.setSuffix(" px")
        self.size_box.setSpecialValueText("estimated")
        self.size_box.setKeyboardTracking(False)
        self.size_box.setToolTip(SIZE)
        self.circle.setCheckable(True)
        self.circle.setToolTip(CIRCLE)
        self.sensitivity.setAccessibleName("Sensitivity of Find cells")
        self.sensitivity.setRange(5, 95)
        self.sensitivity.setValue(round(100 * SENSITIVITY))
        self.sensitivity.setToolTip(MORE)
        self.undo.setToolTip("Take back the last change (Ctrl+Z in the Labels layer).")
        for name, button in self.tools.items():
            button.setCheckable(True)
            button.setToolTip(TOOLS[name])

    def _lay_out(self) -> None:
        label = QLabel("Cell si&ze")
        label.setBuddy(self.size_box)
        form = self._form = ui.form()
        form.addRow(label, ui.row(self.size_box, self.circle))
        form.addRow("", self.scale)
        self.more = QWidget()
        inner = ui.form()
        label = QLabel("Sensitivity")
        label.setBuddy(self.sensitivity)
        inner.addRow(label, self.sensitivity)
        inner.addRow("By hand", ui.row(*self.tools.values(), self.undo))
        self.more.setLayout(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.fold)
        layout.addWidget(self.more)
        self._fold_out(False)

    def _connect(self) -> None:
        sizes, edits = self._controller.sizes, self._controller.edits
        self.size_box.valueChanged.connect(sizes.set_diameter)
        self.circle.toggled.connect(self._show_circle)
        self.fold.clicked.connect(lambda: self._fold_out(self.more.isHidden()))
        self.sensitivity.sliderReleased.connect(self._set_sensitivity)
        self.sensitivity.valueChanged.connect(self._step_sensitivity)
        for name, button in self.tools.items():
            button.clicked.connect(partial(self._take, name))
        self.undo.clicked.connect(edits.undo)
        ui.listen(self, edits.changed, self._show_tool)
        ui.listen(self, self._controller.session.chosen, self.refresh)
        ui.listen(self, self._controller.watch.listed, self.refresh)

    def refresh(self) -> None:
        """Show what is known of sizes."""
        session, sizes = self._controller.session, self._controller.sizes
        with signals_blocked(self.size_box), signals_blocked(self.circle):
            self.size_box.setValue(session.cell_size or 0)
            self.circle.setChecked(sizes.circle.shown)
        self.scale.setText(sizes.in_words())
        self._form.setRowVisible(self.scale, bool(self.scale.text()))
        self.setEnabled(session.image is not None)

    def _show_circle(self, shown: bool) -> None:
        self._controller.sizes.show_circle(shown)
        self.refresh()

    def _fold_out(self, out: bool) -> None:
        self.more.setVisible(out)
        self.fold.setText(FOLD[out])

    def _take(self, name: str, checked: bool) -> None:
        self._controller.edits.take(name if checked else "")

    def _show_tool(self) -> None:
        for name, button in self.tools.items():
            button.setChecked(name == self._controller.edits.tool)

    def _step_sensitivity(self) -> None:
        # a key or the wheel; while the mouse drags, it counts when it lets go
        if not self.sensitivity.isSliderDown():
            self._set_sensitivity()

    def _set_sensitivity(self) -> None:
        self._controller.sizes.set_sensitivity(self.sensitivity.value() / 100)
