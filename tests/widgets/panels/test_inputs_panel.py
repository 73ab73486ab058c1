"""Pickers of image, colour axis and cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cytodino.widgets.canvas.layers import CROPS
from napari_cytodino.widgets.panels.inputs_panel import NO_CELLS, CellsPanel


@pytest.fixture
def panel(bench: Any, qtbot: Any) -> CellsPanel:
    made = CellsPanel(bench.controller)
    qtbot.addWidget(made)
    return made


def entries(combo: Any) -> list[str]:
    return [combo.itemText(i) for i in range(combo.count())]


def pick(combo: Any, text: str) -> None:
    combo.setCurrentText(text)
    combo.activated.emit(combo.currentIndex())


def test_layers_are_listed_as_they_come_and_go(
    bench: Any, panel: CellsPanel, smear: Any
) -> None:
    assert not panel.image.isEnabled()
    bench.viewer.add_image(smear.image, name="smear")
    labels = bench.viewer.add_labels(smear.labels, name="nuclei")
    bench.viewer.add_points(name="spots")
    assert entries(panel.image) == ["smear"]
    assert bench.session.image.name == "smear"
    assert entries(panel.cells)[1:] == ["spots", "nuclei"]
    assert bench.session.cells_layer is labels, "the only labels are not offered"
    pick(panel.cells, NO_CELLS)
    assert bench.session.cells_layer is None, "the user's choice is not kept"
    pick(panel.cells, "nuclei")
    assert bench.session.cells_layer is labels
    labels.name = "renamed"
    assert panel.cells.currentText() == "renamed"
    bench.viewer.layers.remove(labels)
    assert bench.session.cells_layer is None
    assert "renamed" not in entries(panel.cells)


def test_our_own_layers_are_no_choice(
    bench: Any, panel: CellsPanel, smear: Any
) -> None:
    bench.viewer.add_image(smear.image, name="smear")
    bench.controller.find()
    bench.wait()
    bench.classify()
    assert entries(panel.cells)[1:] == ["Found cells"]
    assert len(bench.viewer.layers) >= 3


def test_colour_axis_is_asked_only_where_it_may_be(
    bench: Any, panel: CellsPanel, smear: Any
) -> None:
    bench.viewer.add_image(smear.image, name="smear")
    panel.show()
    assert not panel.channels.isVisible()
    first = np.moveaxis(smear.image, -1, 0)
    bench.viewer.add_image(first, rgb=False, name="first")
    pick(panel.image, "first")
    assert panel.channels.isVisible()
    pick(panel.channels, "axis 0")
    assert bench.session.channel_axis == 0


def test_a_stack_may_be_crops(bench: Any, panel: CellsPanel) -> None:
    bench.viewer.add_image(np.zeros((5, 32, 32, 3), np.uint8))
    pick(panel.cells, "each plane is one cell")
    assert bench.session.cells_layer == CROPS
    bench.classify()
    assert len(bench.session.table) == 5


def test_finding_needs_rest(bench: Any, panel: CellsPanel, smear: Any) -> None:
    from napari_cytodino.widgets.session.messages import RunState

    bench.viewer.add_image(smear.image)
    bench.session.set_state(RunState.CLASSIFYING)
    assert not panel.find.isEnabled()
    bench.session.set_state(RunState.IDLE)
    assert panel.find.isEnabled()
