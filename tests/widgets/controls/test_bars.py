"""Bars leave room and speak."""

from __future__ import annotations

from typing import Any

import pytest

from napari_cytodino.widgets.controls.bars import Bars, ProbabilityBars, Row
from napari_cytodino.widgets.session.cell_card import Likely


def test_size_follows_the_font_and_text_is_spoken(qtbot: Any) -> None:
    bars = ProbabilityBars()
    qtbot.addWidget(bars)
    small = bars.sizeHint().height()
    font = bars.font()
    font.setPointSizeF(font.pointSizeF() * 2)
    bars.setFont(font)
    assert bars.sizeHint().height() > 1.6 * small
    bars.show_entries((Likely("XY", "a class", (1, 0, 0, 1), 0.25),))
    assert bars.text() == "XY 25 %"
    assert "a class" in bars.toolTip()


def test_more_rows_take_more_room(qtbot: Any) -> None:
    bars = Bars(1)
    qtbot.addWidget(bars)
    one = bars.sizeHint().height()
    rows = tuple(Row(f"row {i}", i / 3, (1, 0, 0, 1), str(i)) for i in range(3))
    bars.show_rows(rows)
    assert bars.sizeHint().height() == pytest.approx(3 * one, abs=2)
    assert bars.text() == "row 0 0, row 1 1, row 2 2"
    assert not bars.grab().isNull()
