"""Errors among accepted cells against how many are accepted, with its band."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetrics, QPainter, QPainterPath, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cytodino.widgets.controls import ui
from napari_cytodino.widgets.session import accuracy, percent

if TYPE_CHECKING:
    import numpy.typing as npt
    from qtpy.QtGui import QPaintEvent

    from napari_cytodino.uncertainty import Calibration


BAND, POINT = "#56B4E9", "#D55E00"
"""Sky blue and vermilion of Okabe and Ito: distinct to colour-blind people, too."""

LOW, HIGH = 0.0005, 0.5
"""Errors shown; the axis is logarithmic, since steps of interest are factors."""

TICKS = {0.001: "0.1 %", 0.01: "1 %", 0.1: "10 %"}
"""Errors that are written at the axis."""

LEVEL = 0.95
"""Of the band."""


@dataclass(frozen=True)
class Curve:
    """What the chart shows; shares in 0..1.

    Attributes
    ----------
    coverage, risk, low, high : (K,)
        Accepted cells, errors among them, and the bounds of the errors.
    wanted : float
        The share of errors asked for.
    chosen : int or None
        The row that keeps it.
    """

    coverage: npt.NDArray[np.float64]
    risk: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    wanted: float
    chosen: int | None

    @property
    def words(self) -> str:
        """What the chart says, for screen readers."""
        if self.chosen is None:
            return f"No threshold keeps errors at {self.wanted:.2%} for sure."
        row = self.chosen
        return (
            f"For {accuracy(self.wanted)} right {self.coverage[row]:.0%} of the "
            f"calibration cells were accepted; {self.risk[row]:.2%} of these were "
            f"wrong ({LEVEL:.0%} interval {self.low[row]:.2%} to {self.high[row]:.2%})."
        )


def curve(calibration: Calibration, risk: float) -> Curve:
    """Return the curve of a calibration with the point for a risk."""
    own = calibration.curve
    low, high = own.band(LEVEL)
    return Curve(
        own.accepted / max(1, own.cells),
        own.wrong / np.maximum(own.accepted, 1),
        low,
        high,
        risk,
        calibration.row_by_risk[risk],
    )


class RiskChart(QWidget):
    """The chart; empty without a curve."""

    def __init__(self) -> None:
        super().__init__()
        self._curve: Curve | None = None
        self.setAccessibleName("Errors among accepted cells against coverage")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_curve(self, what: Curve | None) -> None:
        """Show another curve."""
        self._curve = what
        words = what.words if what else ""
        self.setAccessibleDescription(words)
        self.setToolTip(ui.literal(words))
        self.update()

    def sizeHint(self) -> QSize:
        """Return a size that follows the font."""
        unit = ui.line_height(self)
        return QSize(unit * 16, unit * 10)

    def minimumSizeHint(self) -> QSize:
        """Return the least size at which the axes can be read."""
        unit = ui.line_height(self)
        return QSize(unit * 10, unit * 10)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint axes, band, curve and the chosen point."""
        if self._curve is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(self.foregroundRole())
        room = self._room()
        self._axes(painter, room, ink)
        painter.save()
        painter.setClipRect(room.adjusted(-1, -1, 1, 1))
        self._band(painter, room, ink)
        painter.restore()
        self._point(painter, room, ink)
        painter.end()

    def _room(self) -> QRectF:
        """Return the frame between the axes."""
        unit = ui.line_height(self)
        metrics = QFontMetrics(self.font())
        left = metrics.horizontalAdvance("0.1 %") + unit * 0.5
        right = metrics.horizontalAdvance("100 %") / 2
        return QRectF(
            left, unit * 1.4, self.width() - left - right, self.height() - unit * 3.8
        )

    def _axes(self, painter: QPainter, room: QRectF, ink: QColor) -> None:
        unit = ui.line_height(self)
        align = Qt.AlignmentFlag
        painter.setPen(ink)
        title = QRectF(0, 0, self.width(), unit * 1.2)
        painter.drawText(
            title,
            align.AlignLeft,
            f"Errors among accepted cells, {percent(LEVEL)} band",
        )
        below = QRectF(
            room.left(), room.bottom() + unit * 1.25, room.width(), unit * 1.1
        )
        painter.drawText(below, align.AlignHCenter, "calibration cells accepted")
        for risk, word in TICKS.items():
            y = place(room, 0, risk).y()
            self._grid(painter, QPointF(room.left(), y), QPointF(room.right(), y), ink)
            box = QRectF(0, y - unit / 2, room.left() - unit * 0.3, unit)
            painter.drawText(box, align.AlignRight | align.AlignVCenter, word)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            x = place(room, share, HIGH).x()
            self._grid(painter, QPointF(x, room.top()), QPointF(x, room.bottom()), ink)
            if share in (0.0, 0.5, 1.0):
                box = QRectF(x - unit * 3, room.bottom() + unit * 0.15, unit * 6, unit)
                painter.drawText(box, align.AlignHCenter, percent(share))

    def _grid(self, painter: QPainter, a: QPointF, b: QPointF, ink: QColor) -> None:
        faint = QColor(ink)
        faint.setAlphaF(0.18)
        painter.setPen(QPen(faint, 1))
        painter.drawLine(a, b)
        painter.setPen(ink)

    def _band(self, painter: QPainter, room: QRectF, ink: QColor) -> None:
        what = self._curve
        assert what is not None
        upper = [
            place(room, c, r) for c, r in zip(what.coverage, what.high, strict=True)
        ]
        lower = [
            place(room, c, r) for c, r in zip(what.coverage, what.low, strict=True)
        ]
        fill, edge = QColor(BAND), QColor(BAND)
        fill.setAlphaF(0.35)
        painter.setPen(QPen(edge, 1))
        painter.setBrush(fill)
        painter.drawPolygon(QPolygonF([*upper, *reversed(lower)]))
        path = QPainterPath()
        for number, (share, risk) in enumerate(
            zip(what.coverage, what.risk, strict=True)
        ):
            at = place(room, share, risk)
            if number:
                path.lineTo(at)
            else:
                path.moveTo(at)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(ink, ui.line_height(self) * 0.12))
        painter.drawPath(path)

    def _point(self, painter: QPainter, room: QRectF, ink: QColor) -> None:
        """Mark what was asked for, and the chosen point where there is one."""
        what = self._curve
        assert what is not None
        unit = ui.line_height(self)
        y = place(room, 0, what.wanted).y()
        painter.setPen(QPen(QColor(POINT), unit * 0.1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(room.left(), y), QPointF(room.right(), y))
        if what.chosen is None:
            return
        at = place(room, what.coverage[what.chosen], what.risk[what.chosen])
        painter.drawLine(QPointF(at.x(), room.bottom()), QPointF(at.x(), room.top()))
        painter.setPen(QPen(ink, unit * 0.1))
        painter.setBrush(QColor(POINT))
        painter.drawEllipse(at, unit * 0.33, unit * 0.33)


def place(room: QRectF, share: float, risk: float) -> QPointF:
    """Return where a share of accepted cells and one of errors lie in the frame."""
    within = min(max(float(risk), LOW), HIGH)
    up = math.log(within / LOW) / math.log(HIGH / LOW)
    return QPointF(
        room.left() + room.width() * float(share), room.bottom() - room.height() * up
    )
