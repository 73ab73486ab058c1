"""Classify, progress, field of view, device."""

from __future__ import annotations

from typing import Any

import pytest

from napari_cytodino.widgets.panels.run_panel import RunPanel, doing, duration, summary
from napari_cytodino.widgets.session.messages import Progress, RunState


@pytest.fixture
def panel(chosen: Any, qtbot: Any) -> RunPanel:
    made = RunPanel(chosen.controller)
    qtbot.addWidget(made)
    made.show()
    return made


def test_classify_and_say_the_device(chosen: Any, panel: RunPanel) -> None:
    assert "chosen when" in panel.device.text()
    panel.classify.click()
    assert not panel.classify.isEnabled()
    chosen.wait()
    assert panel.status.text() == "6 cells are classified."
    assert panel.device.text().startswith("CPU")
    assert panel.classify.isEnabled()
    assert not panel.bar.isVisible()


def test_progress_in_words(chosen: Any, panel: RunPanel) -> None:
    chosen.session.set_state(RunState.CLASSIFYING, Progress(20, 60, 30.4))
    assert panel.status.text() == "20 of 60 cells, 30 s left"
    assert (panel.bar.value(), panel.bar.maximum()) == (20, 60)
    assert panel.cancel.isEnabled()
    chosen.session.set_state(RunState.IDLE)
    assert doing(RunState.FINDING, 0, 0, None) == "Finding cells …"
    assert summary(3, 9).startswith("PARTIAL")
    assert [duration(s) for s in (0.2, 61, 600, 7200)] == [
        "1 s",
        "61 s",
        "10 min",
        "2.0 h",
    ]


def test_field_of_view_in_pixels_and_micrometres(chosen: Any, panel: RunPanel) -> None:
    wanted = chosen.session.opened.preprocessing.field_of_view
    assert panel.field.value() == wanted
    assert not panel.unit.isEnabled()
    panel.field.setValue(96)
    assert chosen.session.field_of_view == 96
    assert "times the checkpoint's" in panel.ratio.text()
    chosen.session.image.scale = (0.1, 0.1)
    chosen.session.image.units = "um"
    panel.refresh()
    assert panel.unit.isEnabled()
    panel.unit.setCurrentIndex(1)
    assert panel.field.value() == pytest.approx(9.6)
    panel.field.setValue(20)
    assert chosen.session.crop_side() == 200
    assert "200 px = 20.0 µm" in panel.ratio.text()
    panel.field.setValue(wanted / 10)
    assert chosen.session.field_of_view is None
