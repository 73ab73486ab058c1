"""The control of accuracy: moved by keys, answered at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cytodino.taxonomy.acceptance_costs import review_costs
from napari_cytodino.widgets.canvas.result_layers import REVIEW
from napari_cytodino.widgets.panels.accuracy_panel import STEPS, AccuracyPanel


@pytest.fixture
def panel(judged: Any, qtbot: Any) -> AccuracyPanel:
    made = AccuracyPanel(judged.controller)
    qtbot.addWidget(made)
    made.show()
    return made


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_it_begins_with_the_checkpoints_own(panel: AccuracyPanel) -> None:
    assert STEPS[panel.slider.value()] == 0.005
    assert panel.value.text() == "at most 1 in 200 wrong"
    assert panel.headline.text().startswith("✓ Guaranteed")
    assert "4,000 cells of 120 patients" in panel.detail.text()
    assert panel.bars.text().startswith("accepted 3")


def test_keys_move_it_and_everything_follows(
    judged: Any, panel: AccuracyPanel, qtbot: Any
) -> None:
    panel.slider.setFocus()
    qtbot.keyClick(panel.slider, Qt.Key.Key_Left)
    qtbot.keyClick(panel.slider, Qt.Key.Key_Left)
    assert judged.session.risk == 0.02
    assert panel.bars.text().startswith("accepted 4")
    assert "at least 98 %" in plain(panel.headline.text())
    assert (judged.session.table["status"] == "auto").sum() == 4
    words = plain(panel.errors.text())
    assert "expected" in words
    assert "at most" in words
    assert "95 % sure" in words
    review = judged.controller.canvas.result_layers.layer(REVIEW)
    qtbot.waitUntil(lambda: len(review.data) == 2, timeout=20_000)
    layer = judged.viewer.layers["cells"]
    qtbot.waitUntil(lambda: "status" in layer.features, timeout=20_000)
    assert (layer.features["status"] == "auto").sum() == 4


def test_more_accuracy_never_accepts_more(judged: Any, panel: AccuracyPanel) -> None:
    accepted = []
    for step in range(len(STEPS)):
        panel.slider.setValue(step)
        accepted.append(int((judged.session.table["status"] == "auto").sum()))
    assert accepted == sorted(accepted, reverse=True)
    assert accepted[0] == 5


def test_what_cannot_be_promised_accepts_nothing(
    judged: Any, panel: AccuracyPanel, qtbot: Any
) -> None:
    panel.slider.setFocus()
    qtbot.keyClick(panel.slider, Qt.Key.Key_End)
    assert judged.session.risk == 0.001
    assert "cannot be promised" in panel.headline.text()
    assert "4093" in panel.detail.text()
    assert panel.bars.text().startswith("accepted 0")
    assert panel.errors.text() == "None of these cells is accepted."
    assert "cannot" not in panel.slider.toolTip()
    assert panel.slider.toolTip().startswith("99.9 %: ")


def test_an_own_threshold_switches_the_control_off(
    judged: Any, panel: AccuracyPanel
) -> None:
    judged.session.set_min_confidence(0.5)
    assert not panel.slider.isEnabled()
    assert "your own threshold" in panel.headline.text()
    assert "not known" in panel.errors.text()
    judged.session.set_min_confidence(0)
    assert panel.slider.isEnabled()


def test_thresholds_by_hand(judged: Any, demo: Any, panel: AccuracyPanel) -> None:
    policy = replace(demo.policy, guarantee="")
    judged.session.open_checkpoint(
        replace(demo, sha256="hand", calibration=None, policy=policy)
    )
    assert not panel.slider.isEnabled()
    assert panel.headline.text().startswith("! No guarantee")
    assert not panel.chart.isVisible()
    assert not panel.bars.isVisible(), "another checkpoint has no answers yet"
    assert not panel.next.isEnabled()


def test_why_cells_go_to_an_expert(panel: AccuracyPanel) -> None:
    words = panel.reasons.text()
    assert "low confidence (2)" in words
    assert "unlike the training cells (1)" in words


def test_the_chart_folds(panel: AccuracyPanel, qtbot: Any) -> None:
    before = panel.chart.isVisible()
    qtbot.mouseClick(panel.toggle, Qt.MouseButton.LeftButton)
    assert panel.chart.isVisible() is not before
    panel.toggle.setFocus()
    qtbot.keyClick(panel.toggle, Qt.Key.Key_Space)
    assert panel.chart.isVisible() is before


def test_another_mix_of_classes_warns(
    judged: Any, panel: AccuracyPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cytodino.widgets.panels import accuracy_panel

    assert not panel.mix.isVisible()
    monkeypatch.setattr(accuracy_panel, "other_mix", lambda session: 0.44)
    judged.session.set_risk(0.02)
    assert panel.mix.isVisible()
    assert "44 %" in plain(panel.mix.text())


def test_the_button_goes_to_the_costliest(
    judged: Any, panel: AccuracyPanel, qtbot: Any
) -> None:
    assert panel.place.text() == "3 flagged"
    panel.next.setFocus()
    seen = []
    for number in (1, 2, 3):
        qtbot.keyClick(panel.next, Qt.Key.Key_Space)
        assert panel.place.text() == f"{number} of 3, costliest first"
        seen.append(judged.session.selected_row)
    assert sorted(seen) == [3, 4, 5]
    price = review_costs(judged.session.taxonomy)
    cost = judged.session.probabilities.expected_cost(price)
    assert (np.diff(cost[seen]) <= 0).all()
