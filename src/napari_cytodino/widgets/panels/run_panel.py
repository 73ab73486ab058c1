"""Classify, with progress, time left and Cancel; device and field of view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_cytodino.widgets.canvas import axes_of, micrometres_per_pixel
from napari_cytodino.widgets.controls import ui
from napari_cytodino.widgets.session import RunState

if TYPE_CHECKING:
    from napari_cytodino.widgets.controllers import Controller


UNITS = ("px", "µm")

FOLDER = "Cla&ssify a folder…"


class RunPanel(QWidget):
    """The button of the dock, and the choices that it needs."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.field = QDoubleSpinBox()
        self.field.setAccessibleName("Field of view")
        self.field.setRange(1, 4096)
        self.field.setDecimals(1)
        self.field.setKeyboardTracking(False)
        self.field.setToolTip(
            "Side of the square cut around each cell. Cells are never stretched "
            "to it, since size is diagnostic."
        )
        self.unit = QComboBox()
        self.unit.setAccessibleName("Unit of the field of view")
        self.unit.addItems(list(UNITS))
        self.ratio = ui.hint()
        self.device = ui.hint("chosen when the model is loaded")
        self.classify = QPushButton("Classif&y")
        self.classify.setToolTip("Classify all cells (Ctrl+Return).")
        self.cancel = QPushButton("C&ancel")
        self.cancel.setToolTip("Stop after the batch under way (Escape).")
        self.folder = QPushButton(FOLDER)
        self.folder.setToolTip(
            "All images of a folder, with the checkpoint and the field of view above."
        )
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress")
        self.status = ui.hint("Choose an image and cells, then press Classify.")
        self._lay_out()
        self.classify.clicked.connect(lambda: controller.classify())
        self.cancel.clicked.connect(controller.cancel)
        self.field.valueChanged.connect(self._set_field)
        self.unit.currentIndexChanged.connect(self.refresh)
        controller.session.chosen.connect(self.refresh)
        controller.session.run.connect(self._on_run)
        controller.session.results.connect(self._on_run)
        controller.session.message.connect(self._show_message)
        ui.listen(self, controller.folder.changed, self._on_folder)
        self.refresh()
        self._on_run()

    def _lay_out(self) -> None:
        label = QLabel("Field &of view")
        label.setBuddy(self.field)
        form = self._form = ui.form()
        form.addRow(label, ui.row(self.field, self.unit))
        form.addRow("", self.ratio)
        form.addRow("Device", self.device)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addLayout(ui.row(self.classify, self.cancel))
        layout.addWidget(self.bar)
        layout.addWidget(self.status)
        layout.addWidget(self.folder)

    def refresh(self) -> None:
        """Show the field of view that will be cut, in the unit that is chosen."""
        session, size = self._controller.session, self._pixel_size()
        self.unit.setEnabled(size is not None)
        if size is None and self.unit.currentIndex():
            self.unit.setCurrentIndex(0)
            return
        side = session.crop_side()
        known = session.opened is not None or bool(session.field_of_view)
        self.field.setEnabled(known)
        with signals_blocked(self.field):
            self.field.setValue(side * self._factor())
        self.ratio.setText(self._describe(side, size) if known else "")
        self._form.setRowVisible(self.ratio, bool(self.ratio.text()))
        if session.device_text:
            self.device.setText(session.device_text.partition(";")[0])
            self.device.setToolTip(session.device_text)
        self._on_run()

    def _describe(self, side: int, size: float | None) -> str:
        """Return what the number above means, where that is not plain."""
        parts = []
        if size is not None:
            parts.append(f"{side} px = {side * size:.1f} µm")
        opened = self._controller.session.opened
        if opened is not None and side != round(opened.preprocessing.field_of_view):
            ratio = side / opened.preprocessing.field_of_view
            parts.append(f"{ratio:.2f} times the checkpoint's")
        return ", ".join(parts)

    def _factor(self) -> float:
        size = self._pixel_size()
        return size if size is not None and self.unit.currentIndex() else 1.0

    def _pixel_size(self) -> float | None:
        session = self._controller.session
        if session.image is None:
            return None
        axes = axes_of(session.image, session.channel_axis)
        return micrometres_per_pixel(session.image, axes)

    def _set_field(self, value: float) -> None:
        opened = self._controller.session.opened
        side = value / self._factor()
        if opened is not None and round(side) == opened.preprocessing.field_of_view:
            self._controller.session.choose(field_of_view=None)
        else:
            self._controller.session.choose(field_of_view=side)

    def _show_message(self, message: str) -> None:
        self.status.setText(message)

    def _on_folder(self) -> None:
        """Tell how far a run over many images is, whose window may be closed."""
        folder = self._controller.folder
        done, total = folder.progress.done, folder.progress.total
        tail = f" {done:,} of {total:,}" if folder.busy else ""
        self.folder.setText(f"{FOLDER}{tail}")

    def _on_run(self) -> None:
        session = self._controller.session
        self.classify.setEnabled(not session.busy)
        self.cancel.setEnabled(session.busy)
        progress = session.progress
        self.bar.setVisible(session.busy)
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        if session.busy:
            self.status.setText(
                doing(
                    session.state, progress.done, progress.total, progress.seconds_left
                )
            )
        elif session.predictions is not None and not session.stale:
            self.status.setText(summary(len(session.table), session.cells_count))


def doing(state: RunState, done: int, total: int, left: float | None) -> str:
    """Return what the worker is doing, in words."""
    if state is RunState.CLASSIFYING and total:
        tail = f", {duration(left)} left" if left is not None else ""
        return f"{done} of {total} cells{tail}"
    return f"{state.value.capitalize()} …"


def summary(done: int, total: int) -> str:
    """Return how much of the cells is classified."""
    if done < total:
        return f"PARTIAL: {done} of {total} cells are classified."
    return "1 cell is classified." if done == 1 else f"{done} cells are classified."


def duration(seconds: float) -> str:
    """Return a time in words."""
    whole = max(1, round(seconds))
    if whole < 90:
        return f"{whole} s"
    return f"{round(whole / 60)} min" if whole < 5400 else f"{whole / 3600:.1f} h"
