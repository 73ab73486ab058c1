"""The panel of a review: who, how far, and buttons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cytodino.review.keys import read_keys
from napari_cytodino.widgets.review.verdict_panel import ReviewPanel, standing_of


@pytest.fixture
def panel(judged: Any, qtbot: Any) -> ReviewPanel:
    made = ReviewPanel(judged.controller, read_keys(judged.session.taxonomy))
    qtbot.addWidget(made)
    made.show()
    return made


def test_before_cells_are_classified(bench: Any, qtbot: Any) -> None:
    panel = ReviewPanel(bench.controller)
    qtbot.addWidget(panel)
    panel.show()
    assert not panel.start.isEnabled()
    assert "Classify cells first" in panel.hint.text()
    assert not panel.verdicts.isVisible()
    assert standing_of(bench.controller) == ""


def test_a_review_begins_and_ends(
    judged: Any, panel: ReviewPanel, qtbot: Any, told: list[str]
) -> None:
    judged.session.results.emit()
    qtbot.waitUntil(lambda: not judged.controller.case.busy)
    panel.reader.clear()
    panel.begin()
    assert "need a name" in told[-1]
    panel.reader.setText("A. Meyer")
    panel.start.setEnabled(False)
    panel.reader.returnPressed.emit()
    assert not judged.controller.review.is_open, "Return opened what Start may not"
    panel.refresh()
    panel.case.setText("M-1")
    panel.begin()
    assert panel.verdicts.isVisible()
    assert not panel.reader.isVisible()
    assert panel.status.text().startswith("Reading as A. Meyer. Case M-1.")
    assert panel.status.toolTip().endswith(".sqlite")
    assert len(panel.classes) == len(judged.session.taxonomy)
    panel.begin()
    assert panel.reader.isVisible()
    assert not judged.controller.review.is_open
    judged.session.choose(image=judged.viewer.add_image(np.zeros((9, 9, 3), np.uint8)))
    assert panel.case.text() == "", "the number of another image's case"


def test_a_signed_case_shows_no_buttons(read_bench: Any, qtbot: Any) -> None:
    panel = ReviewPanel(read_bench.controller)
    qtbot.addWidget(panel)
    panel.show()
    assert panel.verdicts.isVisible()
    read_bench.controller.review.lock()
    assert not panel.verdicts.isVisible()
    assert "LOCKED" in panel.status.text()
    read_bench.controller.review.reopen("why not")
    assert panel.verdicts.isVisible()
    assert "Revision 2" in panel.status.text()


def test_other_keys_are_shown(judged: Any, panel: ReviewPanel, tmp_path: Any) -> None:
    path = tmp_path / "keys.toml"
    path.write_text('[classes]\nBLA = "J"', "utf-8")
    panel.set_keys(read_keys(judged.session.taxonomy, path))
    assert panel.classes["BLA"].text().endswith("[J]")
