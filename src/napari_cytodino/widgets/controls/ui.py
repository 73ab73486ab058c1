"""Small pieces that the panels share: hints, swatches, sizes that follow the font."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QFontMetrics, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from psygnal import SignalInstance

    from napari_cytodino.results import Colour


def with_suffix(name: str, kind: str) -> Path:
    """Return the path with the suffix of the chosen kind, where it has none."""
    path = Path(name)
    if path.suffix:
        return path
    return path.with_name(path.name + kind.split("(*")[-1].rstrip(")"))


def line_height(widget: QWidget) -> int:
    """Return the height of a line of text, the unit of all our sizes."""
    return QFontMetrics(widget.font()).lineSpacing()


_JOINERS = "\u00a0\u200c\u200d"
"""Not printable for Python, but parts of words: no-break space, joiners of letters."""

_NOTHING = "\u2060"
"""A mark that is not drawn; behind it Qt sees no tag."""


def visible(text: str) -> str:
    """Return a text with what would steer its line shown as its code.

    That is control characters and marks that turn the direction of writing; names come
    from files of others.
    """
    return "".join(
        c if c.isprintable() or c in _JOINERS or c == "\n" else ascii(c)[1:-1]
        for c in text
    )


def literal(text: str) -> str:
    """Return a text that tooltips and notices show as it is, never as markup.

    As `visible`; besides, Qt takes for rich text whatever looks like it.
    """
    text = visible(text)
    if Qt.mightBeRichText(text):
        text = text.replace("<", f"<{_NOTHING}").replace("&lt;", f"&{_NOTHING}lt;")
    return text


class _Words(QLabel):
    """A label of plain text in which nothing steers the line."""

    def __init__(self, text: str) -> None:
        super().__init__(visible(text))
        self.setTextFormat(Qt.TextFormat.PlainText)

    def setText(self, text: str) -> None:
        super().setText(visible(text))


def hint(text: str = "") -> QLabel:
    """Return a label for a sentence that may wrap and may be copied."""
    label = _Words(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    return label


def heading(text: str) -> QLabel:
    """Return the title of a section."""
    label = _Words(text)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return bold(label)


def bold(label: QLabel) -> QLabel:
    """Make a label's text bold, and return it."""
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label


def disclosure() -> QPushButton:
    """Return a button that looks like a line of text, to fold something out."""
    button = QPushButton()
    button.setFlat(True)
    button.setStyleSheet("text-align: left; background: transparent; padding: 2px;")
    return button


def form() -> QFormLayout:
    """Return an empty form whose fields take the width there is."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
    return layout


def row(*widgets: QWidget) -> QHBoxLayout:
    """Return widgets side by side; the first takes the room that is left."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for place, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if place == 0 else 0)
    return layout


def listen(widget: QWidget, signal: SignalInstance, slot: Callable[..., Any]) -> None:
    """Connect a slot of a widget to a signal of ours for as long as the widget lives.

    A dock that is closed goes, but the session it showed may go on.
    """
    signal.connect(slot)
    widget.destroyed.connect(lambda: signal.disconnect(slot))


def qcolor(colour: Colour) -> QColor:
    """Return a colour for Qt."""
    return QColor.fromRgbF(*(float(part) for part in colour))


def swatch(colour: Colour, side: int, text: QColor) -> QIcon:
    """Return a square of a colour, outlined so that it shows on any background."""
    pixmap = QPixmap(side * 2, side * 2)
    pixmap.setDevicePixelRatio(2)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    edge = QColor(text)
    edge.setAlphaF(0.5)
    painter.setPen(edge)
    painter.setBrush(qcolor(colour))
    painter.drawRoundedRect(QRectF(1, 1, side - 2, side - 2), 2, 2)
    painter.end()
    return QIcon(pixmap)
