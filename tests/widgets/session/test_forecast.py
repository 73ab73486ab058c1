"""What thresholds mean for the cells at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import binom

from napari_cytodino.uncertainty.predictions import Predictions
from napari_cytodino.widgets.session.forecast import (
    FEWEST,
    forecast_of,
    most_errors,
    other_mix,
)

if TYPE_CHECKING:
    from napari_cytodino.uncertainty.calibration import Calibration


@pytest.fixture
def calibration(judged: Any) -> Calibration:
    return judged.session.opened.calibration


def test_counts_are_those_of_the_table(judged: Any) -> None:
    out = forecast_of(judged.session)
    assert out.status == {"auto": 3, "review": 3}
    assert out.cells == 6
    assert out.reasons == (("low confidence", 2), ("unlike the training cells", 1))


def test_expected_errors_are_the_calibrations_share(
    judged: Any, calibration: Calibration
) -> None:
    judged.session.set_risk(0.05)
    row = calibration.row_by_risk[0.05]
    share = calibration.curve.wrong[row] / calibration.curve.accepted[row]
    found = forecast_of(judged.session).errors
    assert found is not None
    assert found.expected == pytest.approx(5 * share)
    assert found.sure == pytest.approx(0.95)
    assert found.most >= found.expected


def test_without_a_promise_no_number_of_errors(judged: Any) -> None:
    judged.session.set_risk(0.001)
    assert forecast_of(judged.session).errors is None
    judged.session.set_risk(0.005)
    judged.session.set_min_confidence(0.5)
    out = forecast_of(judged.session)
    assert out.status["auto"] == 5
    assert out.errors is None


@pytest.mark.parametrize("accepted", [1, 20, 400, 50_000])
@pytest.mark.parametrize("risk", [0.002, 0.1])
def test_more_errors_than_stated_are_rare(
    calibration: Calibration, accepted: int, risk: float
) -> None:
    most = most_errors(accepted, risk, calibration, 1.0)
    left = calibration.delta - calibration.delta_per_statement
    assert binom.sf(most, accepted, risk) <= left + 1e-12
    assert most == 0 or binom.sf(most - 1, accepted, risk) > left
    assert most_errors(accepted, risk, calibration, 3.0) >= most


def test_none_accepted_none_wrong(calibration: Calibration) -> None:
    assert most_errors(0, 0.005, calibration, 1.0) == 0


def test_another_mix_is_noticed_but_not_among_few(judged: Any) -> None:
    session = judged.session
    assert other_mix(session) is None, "six cells say nothing of a mix"
    count = 2 * FEWEST
    logits = np.zeros((count, 21), np.float32)
    logits[:, 4] = 9
    one = Predictions.empty(count, 21, 4)
    alike = replace(one, logits=logits, done=np.ones(count, bool))
    session.predictions = alike
    assert other_mix(session) == pytest.approx(20 / 21)
    spread = np.eye(21, dtype=np.float32)[np.arange(count) % 21]
    session.predictions = replace(alike, logits=spread)
    assert other_mix(session) < 0.05
