"""The card of a cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cytodino.widgets.controls.bars import ProbabilityBars, rounded_percent
from napari_cytodino.widgets.panels.card_panel import CardPanel, facts, to_pixmap
from napari_cytodino.widgets.session.cell_card import CellCard, Likely, cell_card_of


@pytest.fixture
def panel(chosen: Any, qtbot: Any) -> CardPanel:
    made = CardPanel(chosen.controller)
    qtbot.addWidget(made)
    made.show()
    return made


def test_it_asks_for_a_click_first(panel: CardPanel) -> None:
    assert "Click a cell" in panel.facts.text()
    assert not panel.bars.isVisible()


def test_a_flagged_cell_says_why(chosen: Any, panel: CardPanel) -> None:
    chosen.classify()
    chosen.session.select(1)
    entry = chosen.session.table.iloc[1]
    assert entry["reason"] in panel.facts.text()
    assert "Lineage" in panel.facts.text()
    assert panel.bars.isVisible()
    chosen.qtbot.waitUntil(lambda: not panel.picture.pixmap().isNull())


def test_an_unclassified_cell_says_so(chosen: Any, panel: CardPanel) -> None:
    chosen.controller.read_cells(lambda: None)
    chosen.wait()
    chosen.session.select(2)
    assert panel.title.text() == "Cell 3: not classified yet"
    assert panel.bars.text() == ""


def test_a_calibrated_cell_tells_all_that_is_known(
    judged: Any, panel: CardPanel
) -> None:
    codes = judged.session.taxonomy.codes
    judged.session.select(5)
    text = panel.facts.text().replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith(f"Calibrated: 40 % {codes[5]} (")
    assert f"Possible classes (95 % sure): {codes[5]}" in text
    assert "Distance to the training cells: 1.3 times the limit" in text
    judged.controller.nearest.codes = (codes[1], codes[1], codes[2])
    judged.controller.nearest.found.emit()
    assert f"Nearest training cells: 2 {codes[1]}, 1 {codes[2]}" in panel.facts.text()


def test_facts_that_are_unknown_are_not_told() -> None:
    assert facts(CellCard("Cell 1"), ()) == []
    likely = Likely("XY", "a class", (1.0, 0.0, 0.0, 1.0), 0.5)
    assert facts(CellCard("Cell 1", likeliest=(likely,)), ()) == [
        "Not calibrated: 50 % XY (a class)"
    ]
    none = facts(
        CellCard("Cell 1", likeliest=(likely,), possible=(), set_level=0.9), ()
    )
    assert "none is likely enough" in none[-1]


def test_an_unreadable_picture_is_a_word(chosen: Any, panel: CardPanel) -> None:
    chosen.session.selected_rows = np.array([3])
    panel._show_crop(None)
    assert panel.picture.text() == "unreadable"


def test_the_toggle_is_an_intention(chosen: Any, panel: CardPanel) -> None:
    panel.cut.setChecked(True)
    assert chosen.controller.clicks.cut_bare_spots


def test_bars_are_painted_in_the_colour_of_their_class(chosen: Any, qtbot: Any) -> None:
    chosen.classify()
    card = cell_card_of(chosen.session, 0)
    bars = ProbabilityBars()
    qtbot.addWidget(bars)
    bars.show_entries(card.likeliest)
    bars.resize(300, 120)
    image = bars.grab().toImage()
    colour = np.array(card.likeliest[0].colour[:3]) * 255
    row = [
        image.pixelColor(x, image.height() // 10).getRgb()[:3] for x in range(60, 200)
    ]
    gap = np.abs(np.array(row) - colour).max(axis=1)
    assert gap.min() <= 2


@pytest.mark.usefixtures("qapp")
def test_pixels_keep_their_colour_and_shares_are_honest() -> None:
    pixels = np.zeros((3, 5, 3), np.uint8)
    pixels[1, 2] = (250, 10, 20)
    image = to_pixmap(pixels).toImage()
    assert image.pixelColor(2, 1).getRgb()[:3] == (250, 10, 20)
    assert [rounded_percent(p) for p in (0.0, 0.001, 0.5, 0.999, 1.0)] == [
        "0 %",
        "<1 %",
        "50 %",
        ">99 %",
        "100 %",
    ]
