"""A slider over a few named steps, some of which may be out of reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QBrush, QColor, QFontMetrics, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QSlider

from napari_cytodino.widgets.controls import ui

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QMouseEvent, QPaintEvent, QWheelEvent


ACCENT = QColor("#56B4E9")
"""Of the part that is reached; from the palette of Okabe and Ito."""

FAINT = 0.45
"""Opacity of steps out of reach."""


class StepSlider(QSlider):
    """Moves by arrow keys, Home, End, and the mouse; never by the wheel.

    The wheel scrolls the dock, and should not change what is accepted on the way.

    Parameters
    ----------
    words
        What each step is called, from left to right.
    """

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._words = tuple(words)
        self._hindrances = [""] * len(words)
        self.setRange(0, len(words) - 1)
        self.setPageStep(1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.valueChanged.connect(self._speak)

    def set_hindrances(self, reasons: Sequence[str]) -> None:
        """Say for each step why it is out of reach; empty where it is not."""
        self._hindrances = list(reasons)
        self._speak()
        self.update()

    def _speak(self) -> None:
        """Tell screen readers and the tooltip what the value means."""
        why = self._hindrances[self.value()]
        word = self._words[self.value()]
        self.setAccessibleDescription(f"{word} %: {why}" if why else f"{word} %")
        lines = [
            f"{word} %: {why}"
            for word, why in zip(self._words, self._hindrances, strict=True)
            if why
        ]
        self.setToolTip("\n".join(lines))

    def sizeHint(self) -> QSize:
        """Return the room for the track and the words below it."""
        unit = ui.line_height(self)
        return QSize(unit * 16, round(unit * 2.3))

    def minimumSizeHint(self) -> QSize:
        """Return the least room; words that would touch are left out there."""
        return QSize(ui.line_height(self) * 9, self.sizeHint().height())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the dock."""
        event.ignore()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the step that is nearest."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._go(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the mouse."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._go(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Nothing is left to do."""
        event.accept()

    def _go(self, event: QMouseEvent) -> None:
        x = event.position().x()
        gaps = [abs(self._x(i) - x) for i in range(len(self._words))]
        self.setValue(gaps.index(min(gaps)))

    def _x(self, step: int) -> float:
        """Return where a step lies."""
        metrics = QFontMetrics(self.font())
        first = metrics.horizontalAdvance(self._words[0]) / 2 + 3
        last = metrics.horizontalAdvance(self._words[-1]) / 2 + 3
        room = self.width() - first - last
        return float(first + room * step / max(1, len(self._words) - 1))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint track, steps, handle and words."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(self.foregroundRole())
        if not self.isEnabled():
            ink.setAlphaF(FAINT)
        unit = ui.line_height(self)
        middle = unit * 0.62
        faint = QColor(ink)
        faint.setAlphaF(ink.alphaF() * 0.35)
        ends = (self._x(0), self._x(len(self._words) - 1))
        painter.setPen(
            QPen(
                QBrush(faint),
                unit * 0.16,
                Qt.PenStyle.SolidLine,
                Qt.PenCapStyle.RoundCap,
            )
        )
        painter.drawLine(QPointF(ends[0], middle), QPointF(ends[1], middle))
        for step in range(len(self._words)):
            self._step(painter, step, middle, ink)
        if self.isEnabled():
            self._handle(painter, middle, ink)
        self._write(painter, ink, unit)
        painter.end()

    def _step(self, painter: QPainter, step: int, middle: float, ink: QColor) -> None:
        """Paint a step: a disc, or a cross where it is out of reach."""
        r = ui.line_height(self) * 0.17
        at = QPointF(self._x(step), middle)
        if self._hindrances[step]:
            painter.setPen(QPen(ink, r * 0.5))
            painter.drawLine(at + QPointF(-r, -r), at + QPointF(r, r))
            painter.drawLine(at + QPointF(-r, r), at + QPointF(r, -r))
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ink)
        painter.drawEllipse(at, r, r)

    def _handle(self, painter: QPainter, middle: float, ink: QColor) -> None:
        unit = ui.line_height(self)
        at = QPointF(self._x(self.value()), middle)
        reached = not self._hindrances[self.value()]
        fill = (
            QColor(ACCENT) if reached else self.palette().color(self.backgroundRole())
        )
        painter.setBrush(fill)
        painter.setPen(QPen(ink, unit * 0.1))
        painter.drawEllipse(at, unit * 0.42, unit * 0.42)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(ACCENT, unit * 0.12))
            painter.drawEllipse(at, unit * 0.58, unit * 0.58)

    def _write(self, painter: QPainter, ink: QColor, unit: int) -> None:
        """Write the words, but none over another; the chosen one comes first."""
        metrics = QFontMetrics(self.font())
        free: list[tuple[float, float]] = []
        others = sorted(range(len(self._words)), key=lambda i: i != self.value())
        for step in others:
            word = self._words[step]
            half = metrics.horizontalAdvance(word) / 2 + 1
            left, right = self._x(step) - half - 2, self._x(step) + half + 2
            if any(left < b and a < right for a, b in free):
                continue
            free.append((left, right))
            font = self.font()
            font.setBold(step == self.value() and self.isEnabled())
            painter.setFont(font)
            colour = QColor(ink)
            if self._hindrances[step]:
                colour.setAlphaF(ink.alphaF() * 0.6)
            painter.setPen(colour)
            box = QRectF(left - 4, unit * 1.25, right - left + 8, unit)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, word)
