"""Bars of the likeliest classes, painted in the theme's own colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetrics, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cytodino.widgets import ui

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

    from napari_cytodino.widgets.card import Likely

ROWS = 5
"""Room is kept for this many bars, so that the card does not jump."""


class ProbabilityBars(QWidget):
    """One bar a class: code, name, a bar in the class's colour, per cent."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: tuple[Likely, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Likeliest classes")

    def show_entries(self, entries: tuple[Likely, ...]) -> None:
        """Show other classes."""
        self._entries = entries
        words = ", ".join(f"{e.code} {percent(e.probability)}" for e in entries)
        self.setAccessibleDescription(words)
        tips = "\n".join(
            f"{e.code} {e.name}: {percent(e.probability)}" for e in entries
        )
        self.setToolTip(tips)
        self.update()

    def text(self) -> str:
        """Return what the bars say, as a screen reader reads it."""
        return str(self.accessibleDescription())

    def sizeHint(self) -> QSize:
        """Return the room for all bars."""
        unit = ui.line_height(self)
        return QSize(unit * 14, round(unit * 1.35 * ROWS))

    def minimumSizeHint(self) -> QSize:
        """Return the room for codes, short bars and all rows."""
        return QSize(ui.line_height(self) * 9, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the bars."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(self.foregroundRole())
        metrics = QFontMetrics(self.font())
        step = self.height() / ROWS
        left = max(
            (metrics.horizontalAdvance(e.code) for e in self._entries), default=0
        )
        left += metrics.averageCharWidth() * 1.5
        right = metrics.horizontalAdvance("100 %") + metrics.averageCharWidth()
        for place, entry in enumerate(self._entries):
            top = place * step
            self._bar(
                painter,
                QRectF(left, top, self.width() - left - right, step),
                entry,
                ink,
            )
            painter.setPen(ink)
            align = Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(0, top, left, step), align, entry.code)
            painter.drawText(
                QRectF(self.width() - right, top, right, step),
                align | Qt.AlignmentFlag.AlignRight,
                percent(entry.probability),
            )
        painter.end()

    def _bar(self, painter: QPainter, room: QRectF, entry: Likely, ink: QColor) -> None:
        thick = room.height() * 0.55
        track = QRectF(room.left(), room.center().y() - thick / 2, room.width(), thick)
        faint = QColor(ink)
        faint.setAlphaF(0.12)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(faint)
        painter.drawRoundedRect(track, 2, 2)
        if entry.probability <= 0:
            return
        edge = QColor(ink)
        edge.setAlphaF(0.45)
        painter.setPen(edge)
        painter.setBrush(ui.qcolor(entry.colour))
        track.setWidth(max(2.0, track.width() * entry.probability))
        painter.drawRoundedRect(track, 2, 2)


def percent(share: float) -> str:
    """Return a share as per cent, honest at both ends."""
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{share:.0%}".replace("%", " %")
