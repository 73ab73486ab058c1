"""Size, sensitivity and tools: what they show, say, and do to the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QAbstractButton, QLabel

from napari_cytodino.finding.sizes import SENSITIVITY, PixelSize
from napari_cytodino.widgets.canvas.cell_circle import CIRCLE
from napari_cytodino.widgets.controllers.cell_edits import NO_LABELS, TOOLS
from napari_cytodino.widgets.controllers.controller import Controller
from napari_cytodino.widgets.panels.finding_panel import FOLD, FindingPanel
from napari_cytodino.widgets.session.session import Session

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def panel(bench: Any, qtbot: Any) -> FindingPanel:
    made = FindingPanel(bench.controller)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def ready(chosen: Any, panel: FindingPanel) -> FindingPanel:
    panel.show()
    panel.fold.click()
    return panel


def in_hand(panel: FindingPanel) -> list[str]:
    return [name for name, button in panel.tools.items() if button.isChecked()]


def test_nothing_can_be_set_without_an_image(bench: Any, panel: FindingPanel) -> None:
    assert not panel.isEnabled()
    image = bench.viewer.add_image(np.zeros((80, 90, 3), np.uint8))
    bench.session.choose(image=image)
    assert panel.isEnabled()
    bench.viewer.layers.remove(image)
    assert not panel.isEnabled()


def test_all_has_a_name_a_hint_and_a_place_in_the_tab_order(
    ready: FindingPanel,
) -> None:
    for widget in (ready.size_box, ready.sensitivity):
        assert widget.accessibleName()
    for widget in (ready.size_box, ready.sensitivity, *ready.findChildren(QLabel)):
        named = isinstance(widget, QLabel) or widget.toolTip()
        assert named, widget
    buttons = ready.findChildren(QAbstractButton)
    assert {b.text() for b in buttons if b.text()} >= {
        "Add",
        "Split",
        "Merge",
        "Remove",
    }
    for button in (*ready.tools.values(), ready.circle, ready.undo, ready.fold):
        assert button.focusPolicy() != Qt.FocusPolicy.NoFocus
        assert button is ready.fold or button.toolTip()
    buddies = {label.buddy() for label in ready.findChildren(QLabel)}
    assert buddies >= {ready.size_box, ready.sensitivity}


def test_tools_are_folded_away_until_wanted(panel: FindingPanel, qtbot: Any) -> None:
    panel.setEnabled(True)
    panel.show()
    assert panel.fold.text() == FOLD[False]
    assert not panel.sensitivity.isVisible()
    qtbot.keyClick(panel.fold, Qt.Key.Key_Space)
    assert panel.fold.text() == FOLD[True]
    assert panel.sensitivity.isVisible()
    assert all(button.isVisible() for button in panel.tools.values())
    panel.fold.click()
    assert not panel.sensitivity.isVisible()


def test_size_and_circle_follow_each_other(chosen: Any, ready: FindingPanel) -> None:
    viewer, session = chosen.viewer, chosen.session
    assert ready.size_box.text() == "estimated"
    ready.circle.click()
    assert CIRCLE in viewer.layers
    ready.size_box.setValue(70)
    assert session.cell_size == 70
    layer = viewer.layers[CIRCLE]
    assert np.ptp(layer.data[0][:, 1]) == pytest.approx(70)
    layer._data_view.scale(0, 2, center=layer.data[0].mean(0))
    layer.refresh()
    assert ready.size_box.text() == "140 px"
    ready.circle.click()
    assert CIRCLE not in viewer.layers
    ready.size_box.setValue(0)
    assert session.cell_size is None


def test_a_circle_that_is_deleted_is_no_longer_pressed(
    chosen: Any, ready: FindingPanel
) -> None:
    ready.circle.click()
    chosen.viewer.layers.remove(CIRCLE)
    assert not ready.circle.isChecked()
    ready.circle.click()
    assert CIRCLE in chosen.viewer.layers
    chosen.session.choose(image=None)
    assert not ready.circle.isChecked()
    assert CIRCLE not in chosen.viewer.layers


def test_what_is_known_is_shown_once_it_is(chosen: Any, ready: FindingPanel) -> None:
    assert not ready.scale.isVisible()
    chosen.session.learn_pixel_size(PixelSize(0.125, 0.12, 0.13, "estimated", 30))
    assert ready.scale.isVisible()
    assert "30 red cells" in ready.scale.text()
    assert "100 px wide" in ready.scale.text()


def test_sensitivity_counts_when_the_mouse_lets_go(
    chosen: Any, ready: FindingPanel, qtbot: Any
) -> None:
    slider, session = ready.sensitivity, chosen.session
    assert slider.value() == round(100 * SENSITIVITY)
    qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert session.sensitivity == pytest.approx((slider.value()) / 100)
    before = session.sensitivity
    slider.setSliderDown(True)
    slider.setValue(20)
    assert session.sensitivity == before
    slider.setSliderDown(False)
    assert session.sensitivity == 0.2


def test_one_tool_at_a_time(
    chosen: Any, ready: FindingPanel, qtbot: Any, told: list[str]
) -> None:
    for name, button in ready.tools.items():
        qtbot.mouseClick(button, LEFT)
        assert in_hand(ready) == [name]
        assert chosen.controller.edits.tool == name
        assert TOOLS[name] in button.toolTip()
    qtbot.mouseClick(button, LEFT)
    assert in_hand(ready) == []
    assert chosen.controller.edits.tool == ""
    chosen.controller.edits.take("merge")
    assert in_hand(ready) == ["merge"]
    assert told == []


def test_a_tool_that_cannot_be_taken_is_let_go(
    chosen: Any, ready: FindingPanel, told: list[str]
) -> None:
    chosen.session.choose(cells_layer=None)
    ready.tools["add"].click()
    assert in_hand(ready) == []
    ready.undo.click()
    assert told == [NO_LABELS] * 2


@pytest.mark.render
def test_real_clicks_and_drags_edit_the_labels(
    make_napari_viewer: Any, qtbot: Any, smear: Any
) -> None:
    viewer, session = make_napari_viewer(show=True), Session()
    viewer.window.resize(900, 700)
    image = viewer.add_image(smear.image)
    layer = viewer.add_labels(smear.labels.copy())
    controller = Controller(viewer, session)
    session.choose(image=image, cells_layer=layer)
    panel = FindingPanel(controller)
    viewer.window.add_dock_widget(panel)
    camera = viewer.scene.camera
    camera.zoom, camera.center = 1.0, (0.0, *np.argwhere(layer.data == 2).mean(0))
    qtbot.wait(50)
    native = viewer.window._qt_viewer.canvas.native
    middle = QPoint(native.width() // 2, native.height() // 2)
    panel.tools["split"].click()
    ends, view = [middle - QPoint(0, 90), middle + QPoint(0, 90)], camera.center
    qtbot.mouseMove(native, ends[0])
    qtbot.mousePress(native, LEFT, pos=ends[0])
    qtbot.mouseMove(native, middle)
    qtbot.mouseMove(native, ends[1])
    qtbot.mouseRelease(native, LEFT, pos=ends[1])
    assert np.unique(layer.data[smear.labels == 2]).tolist() == [2, 7]
    assert camera.center == view
    panel.undo.click()
    panel.tools["remove"].click()
    qtbot.mouseClick(native, LEFT, pos=middle)
    assert not (layer.data == 2).any()
    panel.undo.click()
    np.testing.assert_array_equal(layer.data, smear.labels)
    controller.close()
