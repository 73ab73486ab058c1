"""The chart: places, colours, words."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QRectF

from napari_cytodino.widgets.controls.risk_chart import (
    HIGH,
    LOW,
    POINT,
    RiskChart,
    curve,
    place,
)


@pytest.fixture
def chart(qtbot: Any) -> RiskChart:
    made = RiskChart()
    qtbot.addWidget(made)
    made.resize(330, made.sizeHint().height())
    made.show()
    return made


def colour_at(chart: RiskChart, share: float, risk: float) -> str:
    """Return the colour that is painted for a share and a risk."""
    at = place(chart._room(), share, risk)
    return chart.grab().toImage().pixelColor(at.toPoint()).name().upper()


def test_the_axis_of_errors_is_logarithmic() -> None:
    room = QRectF(10, 20, 200, 90)
    assert place(room, 0, LOW).y() == room.bottom()
    assert place(room, 1, HIGH).y() == pytest.approx(room.top())
    assert place(room, 0.5, 0).y() == room.bottom(), "no error lies on the axis"
    assert place(room, 0.5, 1).y() == pytest.approx(room.top())
    steps = [place(room, 0.5, r).y() for r in (0.001, 0.01, 0.1)]
    assert steps[0] - steps[1] == pytest.approx(steps[1] - steps[2])
    assert place(room, 0.25, 0.1).x() == 60


def test_the_chosen_point_is_marked_and_told(judged: Any, chart: RiskChart) -> None:
    calibration = judged.session.opened.calibration
    bare = chart.grab().toImage()
    chart.show_curve(curve(calibration, 0.001))
    assert chart.grab().toImage() != bare
    assert "No threshold" in chart.accessibleDescription()
    what = curve(calibration, 0.02)
    at = float(what.coverage[what.chosen]), float(what.risk[what.chosen])
    assert colour_at(chart, *at) != POINT
    chart.show_curve(what)
    assert colour_at(chart, *at) == POINT
    assert "98" in chart.accessibleDescription()
    assert chart.toolTip() == chart.accessibleDescription()


def test_the_band_holds_the_curve(judged: Any) -> None:
    what = curve(judged.session.opened.calibration, 0.005)
    assert (what.low <= what.risk).all()
    assert (what.risk <= what.high).all()
    assert what.coverage[-1] == 1


def test_size_follows_the_font(chart: RiskChart) -> None:
    small = chart.sizeHint().height()
    font = chart.font()
    font.setPointSizeF(font.pointSizeF() * 2)
    chart.setFont(font)
    assert chart.sizeHint().height() > 1.6 * small
    assert chart.minimumSizeHint().width() <= chart.sizeHint().width()
