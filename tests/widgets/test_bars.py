"""Bars leave room and speak."""

from __future__ import annotations

from typing import Any

from napari_cytodino.widgets.bars import ProbabilityBars
from napari_cytodino.widgets.card import Likely


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
