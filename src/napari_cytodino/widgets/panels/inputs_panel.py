"""Choose the image and the cells in it, or find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_cytodino.widgets.canvas import CROPS, may_be_crops, may_hold_channels
from napari_cytodino.widgets.controls import ui

if TYPE_CHECKING:
    from napari_cytodino.widgets.controllers import Controller


CELL_LAYERS = ("labels", "points", "shapes")
"""Layers that can hold cells, besides a stack of crops."""

NO_IMAGE = "open an image first"

NO_CELLS = "none: find them"


class CellsPanel(QWidget):
    """Pickers for the image, its colour axis and the cells."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._asked = False
        self.image = QComboBox()
        self.image.setAccessibleName("Image to classify")
        self.channels = QComboBox()
        self.channels.setAccessibleName("Axis of the colours")
        self.cells = QComboBox()
        self.cells.setAccessibleName("Layer that holds the cells")
        self.find = QPushButton("Fi&nd cells")
        self.find.setToolTip("Find stained nucleated cells and add a Labels layer.")
        for combo in (self.image, self.channels, self.cells):
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            combo.setMinimumContentsLength(10)
        self._form = ui.form()
        self._add("&Image", self.image)
        self._form.addRow("Colour a&xis", self.channels)
        label = QLabel("&Cells")
        label.setBuddy(self.cells)
        self._form.addRow(label, ui.row(self.cells, self.find))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._form)
        self.image.activated.connect(self._choose_image)
        self.cells.activated.connect(self._choose_cells)
        self.channels.activated.connect(self._choose_axis)
        self.find.clicked.connect(controller.find)
        controller.watch.listed.connect(self._listed)
        controller.session.chosen.connect(self.refresh)
        controller.session.run.connect(self._on_run)
        self._listed()

    def _add(self, text: str, widget: QWidget) -> None:
        label = QLabel(text)
        label.setBuddy(widget)
        self._form.addRow(label, widget)

    def refresh(self) -> None:
        """List the layers that there are and choose the likeliest."""
        session, watch = self._controller.session, self._controller.watch
        images = watch.layers("image")
        if session.image not in images and images:
            session.choose(image=images[0])
            return
        self._fill(self.image, [(i.name, i) for i in images], session.image, NO_IMAGE)
        entries = [(c.name, c) for c in watch.layers(*CELL_LAYERS) if self._usable(c)]
        if session.image is not None and may_be_crops(session.image):
            entries.append(("each plane is one cell", CROPS))
        self._fill(self.cells, entries, session.cells_layer, NO_CELLS, none=True)
        self._fill_channels(session.image)

    def _listed(self) -> None:
        """Choose the labels when there is one layer of them and nobody chose yet."""
        session, watch = self._controller.session, self._controller.watch
        self.refresh()
        offered = [c for c in watch.layers("labels") if self._usable(c)]
        untouched = session.cells_layer is None and session.cells is None
        free = untouched and not self._asked and not session.busy
        if free and len(offered) == 1 and session.image is not None:
            session.choose(cells_layer=offered[0])

    def _usable(self, layer: Any) -> bool:
        return not self._controller.canvas.result_layers.owns(layer)

    def _fill(
        self,
        combo: QComboBox,
        entries: list[tuple[str, Any]],
        chosen: Any,
        empty: str,
        *,
        none: bool = False,
    ) -> None:
        with signals_blocked(combo):
            combo.clear()
            if none or not entries:
                combo.addItem(empty, None)
            for name, value in entries:
                combo.addItem(ui.visible(name), value)
            values = [combo.itemData(i) for i in range(combo.count())]
            place = next((i for i, v in enumerate(values) if v is chosen), 0)
            combo.setCurrentIndex(place)
        combo.setEnabled(bool(entries))

    def _fill_channels(self, image: Any) -> None:
        axes = may_hold_channels(image) if image is not None else ()
        with signals_blocked(self.channels):
            self.channels.clear()
            self.channels.addItem("none, the image is grey", None)
            for axis in axes:
                self.channels.addItem(f"axis {axis}", axis)
            chosen = self.channels.findData(self._controller.session.channel_axis)
            self.channels.setCurrentIndex(max(0, chosen))
        self._form.setRowVisible(self.channels, bool(axes))

    def _choose_image(self) -> None:
        self._controller.session.choose(
            image=self.image.currentData(), channel_axis=None
        )

    def _choose_cells(self) -> None:
        self._asked = True
        self._controller.session.choose(cells_layer=self.cells.currentData())

    def _choose_axis(self) -> None:
        self._controller.session.choose(channel_axis=self.channels.currentData())

    def _on_run(self) -> None:
        busy = self._controller.session.busy
        has_image = self._controller.session.image is not None
        self.find.setEnabled(not busy and has_image)
