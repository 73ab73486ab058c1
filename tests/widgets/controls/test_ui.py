"""Shared pieces follow the font and wrap."""

from __future__ import annotations

from typing import Any

import pytest
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QPushButton, QWidget

from napari_cytodino.widgets.controls import ui


def test_a_widget_that_is_gone_hears_no_more(qtbot: Any) -> None:
    class Source:
        said = Signal(int)

    heard: list[int] = []
    source, widget = Source(), QWidget()
    ui.listen(widget, source.said, heard.append)
    source.said.emit(1)
    with qtbot.waitSignal(widget.destroyed):
        widget.deleteLater()
    source.said.emit(2)
    assert heard == [1]
    assert len(source.said) == 0


def test_hints_wrap_instead_of_widening(qtbot: Any) -> None:
    label = ui.hint("a long sentence " * 20)
    qtbot.addWidget(label)
    assert label.wordWrap()
    assert label.minimumSizeHint().width() < 300
    assert label.heightForWidth(200) > label.heightForWidth(800)


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f", "\x1b", "\u2028"])
def test_no_label_lets_a_name_turn_its_line(qtbot: Any, mark: str) -> None:
    for make in (ui.hint, ui.heading):
        label = make(f"<b>a{mark}b")
        qtbot.addWidget(label)
        first = label.text()
        label.setText(f"ä\u200d{mark}\n")
        assert (mark in first + label.text(), "\\" in first) == (False, True)
        assert label.text().startswith("ä\u200d\\")
        assert label.textFormat() == Qt.TextFormat.PlainText


def test_swatches_have_the_colour_and_an_edge() -> None:
    icon = ui.swatch((1.0, 0.0, 0.0, 1.0), 16, QColor("white"))
    image = icon.pixmap(16, 16).toImage()
    assert image.pixelColor(image.width() // 2, image.height() // 2).red() == 255
    assert ui.qcolor((0.0, 1.0, 0.0, 1.0)).green() == 255


def test_a_disclosure_is_a_button_that_looks_like_text(qtbot: Any) -> None:
    button = ui.disclosure()
    qtbot.addWidget(button)
    assert button.isFlat()
    assert button.focusPolicy() & Qt.FocusPolicy.TabFocus == Qt.FocusPolicy.TabFocus


def test_the_first_widget_takes_the_room(qtbot: Any) -> None:
    host, wide, narrow = QWidget(), QPushButton("a"), QPushButton("b")
    qtbot.addWidget(host)
    host.setLayout(ui.row(wide, narrow))
    host.resize(600, 40)
    host.show()
    assert wide.width() > 3 * narrow.width()
    assert ui.line_height(host) > 5
    assert ui.heading("x").font().bold()
