"""Calibration and risk: against plain loops, scikit-learn and cases done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from napari_cytodino.common.errors import InputError
from napari_cytodino.stats.binomial import exact_interval, share_of
from napari_cytodino.training.metrics.confidence import (
    ERRORS,
    calibration_error,
    calibration_figures,
    classwise_errors,
    probabilities,
    reliability,
    risk_coverage,
    selective_figures,
)

RNG = np.random.default_rng(7)
LOGITS = (3 * RNG.standard_normal((900, 5))).astype(np.float32)
TARGETS = np.array([RNG.choice(5, p=p) for p in softmax(LOGITS / 2, axis=1)])
CHANCE = probabilities(LOGITS)
CONFIDENCE, RIGHT = CHANCE.max(axis=1), CHANCE.argmax(axis=1) == TARGETS


def test_probabilities_are_softmax() -> None:
    assert probabilities(LOGITS, 2.0) == pytest.approx(softmax(LOGITS / 2.0, axis=1))
    assert probabilities(np.float32([[1000, 0]])).tolist() == [[1, 0]]


def test_a_logit_that_is_no_number_stops_the_evaluation() -> None:
    broken = LOGITS.copy()
    broken[4, 1] = np.nan
    with pytest.raises(InputError, match=r"1 of 900 cells are not finite, first .* 4"):
        probabilities(broken)


def test_bins_are_those_of_scikit_learn() -> None:
    share, mean = calibration_curve(RIGHT, CONFIDENCE, n_bins=15, strategy="quantile")
    bins = reliability(CONFIDENCE, RIGHT)
    assert [b.accuracy for b in bins] == pytest.approx(share.tolist())
    assert [b.confidence for b in bins] == pytest.approx(mean.tolist())
    assert [b.n for b in bins] == [60] * 15
    error = np.abs(share - mean).mean()
    assert calibration_error(CONFIDENCE, RIGHT) == pytest.approx(error)


def test_calibration_error_by_hand() -> None:
    # two bins: 0.6 sure and half right; 0.9 sure and all right
    confidence = np.array([0.6, 0.6, 0.9, 0.9])
    right = np.array([True, False, True, True])
    assert calibration_error(confidence, right, bins=2) == pytest.approx(0.1)


def test_too_sure_a_model_is_found_out() -> None:
    # the targets were drawn at temperature 2
    sharp = calibration_figures(CHANCE, TARGETS)
    true = calibration_figures(probabilities(LOGITS, 2.0), TARGETS)
    # 60 right or wrong answers a bin scatter by about 0.05 in the best of models
    assert sharp["ece"] > 0.1
    assert true["ece"] < 0.08
    assert true["log_loss"] < sharp["log_loss"]
    assert sharp["mean_confidence"] > true["mean_confidence"]


def test_log_loss_and_brier_score_are_those_of_scikit_learn() -> None:
    found = calibration_figures(CHANCE, TARGETS)
    assert found["log_loss"] == pytest.approx(log_loss(TARGETS, CHANCE))
    theirs = brier_score_loss(TARGETS, CHANCE, scale_by_half=False)
    assert found["brier"] == pytest.approx(theirs)


def test_a_probability_of_zero_has_a_finite_loss() -> None:
    found = calibration_figures(np.array([[1.0, 0.0]]), np.array([1]))
    assert np.isfinite(found["log_loss"])
    assert found["brier"] == 2


def test_classwise_error_is_the_mean_of_that_of_each_class() -> None:
    # plain loop over classes and bins, as in Kull et al. 2019
    theirs = []
    for k in range(5):
        order = np.argsort(CHANCE[:, k], kind="stable")
        parts = np.array_split(order, 15)
        theirs.append(
            sum(
                len(rows) * abs((TARGETS[rows] == k).mean() - CHANCE[rows, k].mean())
                for rows in parts
            )
            / len(TARGETS)
        )
    assert classwise_errors(CHANCE, TARGETS) == pytest.approx(theirs)
    found = calibration_figures(CHANCE, TARGETS)
    assert found["classwise_ece"] == pytest.approx(np.mean(theirs))


def test_intervals_are_clopper_and_pearsons() -> None:
    for k, n in ((0, 7), (1, 7), (7, 7), (40, 900)):
        theirs = binomtest(k, n).proportion_ci(0.95, "exact")
        assert exact_interval(k, n) == pytest.approx((theirs.low, theirs.high))
    assert exact_interval(0, 0) == (0, 1)
    curve = risk_coverage(CONFIDENCE, RIGHT)
    low, high = curve.band
    last = exact_interval(int(curve.wrong[-1]), int(curve.accepted[-1]))
    assert (low[-1], high[-1]) == pytest.approx(last)
    assert (low <= curve.risk).all()
    assert (curve.risk <= high).all()


def test_a_share_counts_its_part_of_its_whole() -> None:
    part, whole = np.array([1, 1, 0, 1], bool), np.array([1, 0, 1, 1], bool)
    found = share_of(part, whole)
    assert (found["k"], found["n"]) == (2, 3)
    assert found["value"] == pytest.approx(2 / 3, abs=1e-6)
    ends = exact_interval(2, 3)
    assert (found["low"], found["high"]) == pytest.approx(ends, abs=1e-6)
    assert share_of(part, ~whole & ~part)["value"] is None


def test_errors_that_come_in_patients_widen_the_interval() -> None:
    part = np.repeat([True, False, False, False], 25)
    patients = np.repeat(["a", "b", "c", "d"], 25)
    every = np.ones(100, bool)
    alone, together = share_of(part, every), share_of(part, every, patients)
    assert together["low"] < alone["low"]
    assert alone["high"] < together["high"]
    single = share_of(part, every, np.arange(100))
    assert single["high"] == pytest.approx(alone["high"], abs=0.01)


answers = st.lists(
    st.tuples(st.sampled_from((0.2, 0.3, 0.5, 0.7, 0.9)), st.booleans()), min_size=1
)


@given(answers, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_cells_changes_nothing(rows, random) -> None:
    shuffled = random.sample(rows, len(rows))
    values = []
    for order in (rows, shuffled):
        confidence = np.array([c for c, _ in order])
        right = np.array([r for _, r in order])
        curve = risk_coverage(confidence, right)
        error = calibration_error(confidence, right)
        values.append((error, curve.aurc, curve.augrc))
        assert sum(b.n for b in reliability(confidence, right)) == len(order)
        assert 0 <= curve.augrc <= curve.aurc + 1e-12
        assert curve.aurc <= 1 + 1e-12
    assert values[0] == pytest.approx(values[1])


def test_areas_are_means_over_cells() -> None:
    curve = risk_coverage(CONFIDENCE, RIGHT)
    risk, undetected = [], []
    for own in CONFIDENCE:
        wrong = ~RIGHT[own <= CONFIDENCE]
        risk.append(wrong.mean())
        undetected.append(wrong.sum() / len(RIGHT))
    assert curve.aurc == pytest.approx(np.mean(risk))
    assert curve.augrc == pytest.approx(np.mean(undetected))


def test_curve_by_hand_with_a_tie() -> None:
    confidence = np.array([0.9, 0.7, 0.7, 0.4])
    curve = risk_coverage(confidence, np.array([True, True, False, False]))
    assert curve.thresholds.tolist() == [0.9, 0.7, 0.4]
    assert curve.accepted.tolist() == [1, 3, 4]
    assert curve.wrong.tolist() == [0, 1, 2]
    assert curve.aurc == pytest.approx((0 + 2 / 3 + 1 / 2) / 4)
    assert curve.augrc == pytest.approx((0 + 2 * 1 / 4 + 2 / 4) / 4)


def test_accepted_at_takes_the_most_cells() -> None:
    # an error early on is outweighed later
    confidence = np.linspace(1, 0.5, 100)
    right = np.ones(100, bool)
    right[[1, 99]] = False
    curve = risk_coverage(confidence, right)
    point = curve.accepted_at(0.0102)
    assert (point["accepted"], point["wrong"]) == (99, 1)
    assert point["threshold"] == pytest.approx(confidence[98])
    assert (confidence >= point["threshold"]).sum() == 99
    assert curve.accepted_at(0.0)["accepted"] == 1


def test_nothing_is_acceptable_where_the_surest_cell_is_wrong() -> None:
    curve = risk_coverage(np.array([0.9, 0.8]), np.array([False, False]))
    point = curve.accepted_at(0.05)
    assert (point["accepted"], point["threshold"]) == (0, None)


def test_points_have_intervals_and_say_what_they_are_not() -> None:
    found = selective_figures(risk_coverage(CONFIDENCE, RIGHT))
    assert [p["error"] for p in found["accepted_at"]] == list(ERRORS)
    for point in found["accepted_at"]:
        share = point["wrong"] / point["accepted"] if point["accepted"] else 0
        assert share <= point["error"]
        assert point["low"] <= share <= point["high"]
    assert "test cells" in found["note"]
    coverages = [p["coverage"] for p in found["accepted_at"]]
    assert coverages == sorted(coverages)
