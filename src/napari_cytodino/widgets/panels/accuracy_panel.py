"""Choose the accuracy of accepted cells, and see at once what it means here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_cytodino.results import STATUS_COLOURS, rgba
from napari_cytodino.uncertainty import ERROR_RATES
from napari_cytodino.widgets.controls import (
    Bars,
    RiskChart,
    Row,
    StepSlider,
    curve,
    rounded_percent,
    ui,
)
from napari_cytodino.widgets.session import (
    FAR,
    PER_CENT,
    SIGNS,
    STATUS_WORDS,
    AcceptanceForecast,
    Guarantee,
    accuracy,
    forecast_of,
    guarantee_of,
    other_mix,
    percent,
    place_in,
    queue,
    refusals,
    risk_in_force,
)

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_cytodino.widgets.controllers import Controller


STEPS = tuple(sorted(ERROR_RATES, reverse=True))
"""From left to right: the more to the right, the fewer errors."""

TALL = 72
"""In a window of fewer lines of text the chart is folded at first."""

MANY = 3
"""So many reasons are named before the rest is summed up."""


class AccuracyPanel(QWidget):
    """The control, the promise, what becomes of the cells, and the way to the next."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._session = controller.session
        self.slider = StepSlider([accuracy(r).removesuffix(PER_CENT) for r in STEPS])
        self.slider.setAccessibleName("Accuracy wanted among accepted cells, per cent")
        self.value = QLabel()
        self.headline = ui.bold(ui.hint())
        self.detail = ui.hint()
        self.bars = Bars(len(STATUS_COLOURS) - 1)
        self.bars.setAccessibleName("What becomes of these cells")
        self.errors, self.reasons, self.mix = ui.hint(), ui.hint(), ui.hint()
        self.next = QPushButton("N&ext flagged cell")
        self.next.setToolTip(
            "Go to the flagged cell that would cost most if it were accepted (F3); "
            "Shift+F3 goes back."
        )
        self.place = QLabel()
        self.toggle = ui.disclosure()
        self.chart = RiskChart()
        self._folded: bool | None = None
        self._flagged = 0
        self._lay_out()
        self._connect(controller)
        self.refresh()

    def _lay_out(self) -> None:
        wanted = ui.heading("Accuracy wante&d")
        wanted.setBuddy(self.slider)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(ui.row(wanted, self.value))
        for widget in (
            self.slider,
            self.headline,
            self.detail,
            self.bars,
            self.errors,
            self.reasons,
            self.mix,
            self.toggle,
            self.chart,
        ):
            layout.addWidget(widget)
        way = QHBoxLayout()
        way.addWidget(self.next)
        way.addWidget(self.place, 1)
        layout.addLayout(way)

    def _connect(self, controller: Controller) -> None:
        session = self._session
        self.slider.valueChanged.connect(lambda i: session.set_risk(STEPS[i]))
        self.next.clicked.connect(lambda: controller.next_flagged())
        self.toggle.clicked.connect(self._fold)
        # thresholds that move are results too
        for signal in (session.chosen, session.results):
            signal.connect(self.refresh)
        session.selected.connect(self._show_place)

    def showEvent(self, event: QShowEvent) -> None:
        """Fold the chart at first where the window is low."""
        super().showEvent(event)
        if self._folded is None:
            self._folded = self.window().height() < ui.line_height(self) * TALL
            self._show_chart()

    def refresh(self) -> None:
        """Show the promise, and what it means for the cells there are."""
        now = guarantee_of(self._session)
        self._show_control(now)
        self.headline.setText(f"{'✓' if now.promised else '!'} {now.headline}")
        self.detail.setText(now.detail)
        self._show_chart()
        # counting 50,000 words takes a while: once for all that is shown
        out = forecast_of(self._session) if len(self._session.table) else None
        self._flagged = out.flagged if out else 0
        self._show_cells(now, out)
        self._show_place()

    def _show_control(self, now: Guarantee) -> None:
        opened = self._session.opened
        calibration = opened.calibration if opened else None
        self.slider.setEnabled(now.adjustable)
        self.slider.set_hindrances(refusals(calibration, STEPS))
        self.value.setText("")
        if calibration is not None:
            risk = risk_in_force(self._session)
            with signals_blocked(self.slider):
                self.slider.setValue(STEPS.index(risk))
            few = f"at most 1 in {1 / risk:,.0f} wrong"
            self.value.setText(few if now.adjustable else "")

    def _show_chart(self) -> None:
        opened = self._session.opened
        calibration = opened.calibration if opened else None
        self.toggle.setVisible(calibration is not None)
        self.toggle.setText(
            f"{'▸' if self._folded else '▾'} Errors a&gainst cells accepted"
        )
        seen = calibration is not None and not self._folded
        self.chart.setVisible(seen)
        # its band takes hundreds of inverse beta functions: not while it is folded
        if calibration is not None and seen:
            self.chart.show_curve(curve(calibration, risk_in_force(self._session)))

    def _fold(self) -> None:
        self._folded = not self._folded
        self._show_chart()

    def _show_cells(self, now: Guarantee, out: AcceptanceForecast | None) -> None:
        for widget in (self.bars, self.errors, self.reasons, self.mix):
            widget.setVisible(out is not None)
        if out is None:
            return
        self.bars.show_rows(rows(out))
        self.errors.setText(errors(out, now))
        self.reasons.setText(reasons(out))
        self.reasons.setVisible(bool(out.reasons))
        far = other_mix(self._session)
        self.mix.setVisible(far is not None and far > FAR)
        if far is not None:
            self.mix.setText(mix(far))

    def _show_place(self) -> None:
        session, flagged, place = self._session, self._flagged, None
        if session.selected_row is not None and flagged:
            place = place_in(queue(session), session.selected_row)
        self.next.setEnabled(flagged > 0)
        if place is None:
            self.place.setText(f"{flagged:,} flagged" if len(session.table) else "")
        else:
            self.place.setText(f"{place + 1:,} of {flagged:,}, costliest first")


def rows(out: AcceptanceForecast) -> tuple[Row, ...]:
    """Return a bar for each status there is, and always for the first three."""
    found = []
    for status, colour in STATUS_COLOURS.items():
        count = out.status.get(status, 0)
        if status == "rejected" and not count:
            continue
        share = count / out.cells
        word = f"{SIGNS[status]} {STATUS_WORDS[status]}".strip()
        number = f"{count:,}  {rounded_percent(share):>5}"
        found.append(Row(word, share, rgba(colour), number))
    return tuple(found)


def errors(out: AcceptanceForecast, now: Guarantee) -> str:
    """Return how many accepted cells are wrong, as far as that is known."""
    if not out.status.get("auto", 0):
        return "None of these cells is accepted."
    if out.errors is None:
        return "How many of the accepted cells are wrong is not known."
    expected, most = out.errors.expected, out.errors.most
    some = f"{expected:,.1f}" if 0.05 <= expected < 10 else f"{expected:,.0f}"
    if 0 < expected < 0.05:
        some = "fewer than 0.1"
    if not expected:
        some = "none"
    sure = f"{percent(out.errors.sure)} sure".replace(" ", "\N{NO-BREAK SPACE}")
    if not now.exact:
        sure = f"about {sure}"
    return f"Silent errors: {some} expected, at most {most:,} ({sure})."


def reasons(out: AcceptanceForecast) -> str:
    """Return why cells go to an expert, the most frequent reasons first."""
    named = [f"{reason} ({count:,})" for reason, count in out.reasons[:MANY]]
    rest = sum(count for _, count in out.reasons[MANY:])
    if rest:
        named.append(f"other ({rest:,})")
    return "Why to an expert: " + ", ".join(named) + "."


def mix(far: float) -> str:
    """Return the warning that these cells are other ones than those tested."""
    return (
        f"⚠ Another mix of classes than the calibration's ({percent(far)} of the "
        "cells differ): a promise may not hold here."
    )
