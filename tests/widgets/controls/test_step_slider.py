"""A slider over steps: keys, mouse, no wheel; steps out of reach are crosses."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent

from napari_cytodino.widgets.controls.step_slider import StepSlider


@pytest.fixture
def slider(qtbot: Any) -> StepSlider:
    made = StepSlider(["90", "95", "99", "99.9"])
    qtbot.addWidget(made)
    made.resize(300, made.sizeHint().height())
    made.show()
    return made


def test_keys(slider: StepSlider, qtbot: Any) -> None:
    slider.setFocus()
    for key, value in (
        (Qt.Key.Key_Right, 1),
        (Qt.Key.Key_End, 3),
        (Qt.Key.Key_Left, 2),
        (Qt.Key.Key_Home, 0),
        (Qt.Key.Key_PageUp, 1),
    ):
        qtbot.keyClick(slider, key)
        assert slider.value() == value


def test_mouse_goes_to_the_nearest_step(slider: StepSlider, qtbot: Any) -> None:
    for step in (3, 1):
        spot = QPoint(round(slider._x(step)) + 4, 10)
        qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, pos=spot)
        assert slider.value() == step
    qtbot.mousePress(slider, Qt.MouseButton.LeftButton, pos=QPoint(0, 10))
    qtbot.mouseMove(slider, QPoint(round(slider._x(2)), 10))
    qtbot.mouseRelease(slider, Qt.MouseButton.LeftButton)
    assert slider.value() in (0, 2)


def test_the_wheel_is_the_docks(slider: StepSlider) -> None:
    slider.setValue(2)
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(5, 5),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    slider.wheelEvent(event)
    assert slider.value() == 2
    assert not event.isAccepted()


def test_steps_out_of_reach_look_and_read_so(slider: StepSlider) -> None:
    before = slider.grab().toImage()
    slider.set_hindrances(["", "", "", "too few cells"])
    assert slider.grab().toImage() != before
    assert "99.9 %: too few cells" in slider.toolTip()
    assert slider.accessibleDescription() == "90 %"
    slider.setValue(3)
    assert slider.accessibleDescription() == "99.9 %: too few cells"


def test_it_can_be_seen_where_the_focus_is(slider: StepSlider, qtbot: Any) -> None:
    slider.clearFocus()
    without = slider.grab().toImage()
    slider.activateWindow()
    slider.setFocus()
    qtbot.waitUntil(slider.hasFocus)
    assert slider.grab().toImage() != without


def test_size_follows_the_font(slider: StepSlider) -> None:
    small = slider.sizeHint().height()
    font = slider.font()
    font.setPointSizeF(font.pointSizeF() * 2)
    slider.setFont(font)
    assert slider.sizeHint().height() > 1.6 * small
    assert slider.minimumSizeHint().width() <= slider.sizeHint().width()
