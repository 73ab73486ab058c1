"""Readers compared, brought together, and a case signed."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtWidgets import QInputDialog

from napari_cytodino.widgets.review._case_material import MODEL
from napari_cytodino.widgets.review.agreement_panel import BLIND, ReadersPanel


@pytest.fixture
def panel(read_bench: Any, qtbot: Any) -> ReadersPanel:
    made = ReadersPanel(read_bench.controller)
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def two(read_bench: Any, panel: ReadersPanel) -> Any:
    """Return the bench after AM and BK called three cells, one of them differently."""
    reviewing = read_bench.controller.review
    reviewing.set_class("BLA", [0])
    reviewing.set_class("MON", [1, 2])
    reviewing.read_as("BK")
    reviewing.set_class("BLA", [0, 1])
    reviewing.set_class("MON", [2])
    reviewing.read_as("AM")
    return read_bench


def test_nobody_to_compare_yet(panel: ReadersPanel) -> None:
    assert panel.pair.count() == 0
    assert "compared here" in panel.words.text()


def test_two_readers_and_the_model(two: Any, panel: ReadersPanel) -> None:
    pairs = [panel.pair.itemData(i) for i in range(panel.pair.count())]
    assert [tuple(p) for p in pairs] == [("AM", "BK"), (MODEL, "AM"), (MODEL, "BK")]
    # 2 of 3 alike, chance 4/9: kappa (2/3 - 4/9) / (5/9) = 0.40, by hand
    assert panel.words.text().startswith("Class: kappa 0.40")
    assert panel.list.topLevelItemCount() == 1
    item = panel.list.topLevelItem(0)
    assert [item.text(c) for c in range(4)] == ["2", "MON", "BLA", ""]
    item.setSelected(True)
    assert two.session.selected_row == 1


def test_disagreements_are_settled_one_by_one(two: Any, panel: ReadersPanel) -> None:
    panel.settle.click()
    reviewing = two.controller.review
    assert reviewing.settling
    two.controller.actions.skip()
    assert two.session.selected_row == 1
    two.controller.actions.set_class("MON")
    assert panel.list.topLevelItem(0).text(3) == "MON"
    panel.settle.click()
    assert not reviewing.settling
    assert reviewing.log.settled()[1].cell_class == "MON"


def test_a_blind_reader_sees_no_comparison(two: Any, panel: ReadersPanel) -> None:
    two.controller.review.read_as("CL", blind=True)
    assert panel.words.text() == BLIND
    assert not panel.pair.isVisible()
    assert panel.list.topLevelItemCount() == 0


def test_signing_and_reopening(
    two: Any, panel: ReadersPanel, monkeypatch: Any, told: list[str]
) -> None:
    reviewing = two.controller.review
    answers = iter([("", False), ("done", True), ("", True), ("late result", True)])
    monkeypatch.setattr(QInputDialog, "getText", lambda *args: next(answers))
    panel.lock.click()
    assert not reviewing.log.locked, "the question was cancelled"
    panel.lock.click()
    assert reviewing.log.locked
    assert panel.lock.text().startswith("Reo")
    panel.lock.click()
    assert "reason" in told[-1]
    panel.lock.click()
    assert not reviewing.log.locked
    assert reviewing.log.revision == 2
