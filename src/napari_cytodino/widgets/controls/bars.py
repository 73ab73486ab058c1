"""Rows of a word, a bar and a number, painted in the theme's own colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetrics, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cytodino.widgets.controls import ui

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

    from napari_cytodino.results import Colour
    from napari_cytodino.widgets.session import Likely


STEP = 1.35
"""Height of a row, in lines of text."""

LIKELIEST = 5
"""Room is kept for this many classes, so that the card does not jump."""


@dataclass(frozen=True)
class Row:
    """One row: a word, how long its bar is (0..1), its colour, and a number."""

    word: str
    share: float
    colour: Colour
    number: str


class Bars(QWidget):
    """Rows of bars beneath each other.

    Parameters
    ----------
    rows
        How many there is room for at least.
    """

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._room = rows
        self._rows: tuple[Row, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_rows(self, rows: tuple[Row, ...]) -> None:
        """Show other rows; a screen reader reads their words and numbers."""
        self._rows = rows
        if len(rows) > self._room:
            self._room = len(rows)
            self.updateGeometry()
        self.setAccessibleDescription(", ".join(f"{r.word} {r.number}" for r in rows))
        self.update()

    def text(self) -> str:
        """Return what the bars say, as a screen reader reads it."""
        return str(self.accessibleDescription())

    def sizeHint(self) -> QSize:
        """Return the room for all bars."""
        unit = ui.line_height(self)
        return QSize(unit * 14, round(unit * STEP * self._room))

    def minimumSizeHint(self) -> QSize:
        """Return the room for words, short bars and all rows."""
        return QSize(ui.line_height(self) * 9, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the bars."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(self.foregroundRole())
        metrics = QFontMetrics(self.font())
        gap = metrics.averageCharWidth() * 1.5
        step = self.height() / self._room
        left = gap + max(
            (metrics.horizontalAdvance(r.word) for r in self._rows), default=0
        )
        numbers = [metrics.horizontalAdvance(r.number) for r in self._rows]
        right = gap / 1.5 + max([metrics.horizontalAdvance("100 %"), *numbers])
        for place, row in enumerate(self._rows):
            top = place * step
            room = QRectF(left, top, self.width() - left - right, step)
            self._bar(painter, room, row, ink)
            painter.setPen(ink)
            align = Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(0, top, left, step), align, row.word)
            painter.drawText(
                QRectF(self.width() - right, top, right, step),
                align | Qt.AlignmentFlag.AlignRight,
                row.number,
            )
        painter.end()

    def _bar(self, painter: QPainter, room: QRectF, row: Row, ink: QColor) -> None:
        thick = room.height() * 0.55
        track = QRectF(room.left(), room.center().y() - thick / 2, room.width(), thick)
        faint = QColor(ink)
        faint.setAlphaF(0.12)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(faint)
        painter.drawRoundedRect(track, 2, 2)
        if row.share <= 0:
            return
        edge = QColor(ink)
        edge.setAlphaF(0.45)
        painter.setPen(edge)
        painter.setBrush(ui.qcolor(row.colour))
        track.setWidth(max(2.0, track.width() * row.share))
        painter.drawRoundedRect(track, 2, 2)


class ProbabilityBars(Bars):
    """One bar a class: code, a bar in the class's colour, per cent."""

    def __init__(self) -> None:
        super().__init__(LIKELIEST)
        self.setAccessibleName("Likeliest classes")

    def show_entries(self, entries: tuple[Likely, ...]) -> None:
        """Show other classes."""
        self.show_rows(
            tuple(
                Row(e.code, e.probability, e.colour, rounded_percent(e.probability))
                for e in entries
            )
        )
        tips = [f"{e.code} {e.name}: {rounded_percent(e.probability)}" for e in entries]
        self.setToolTip(ui.literal("\n".join(tips)))


def rounded_percent(share: float) -> str:
    """Return a share as per cent, honest at both ends."""
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{share:.0%}".replace("%", " %")
