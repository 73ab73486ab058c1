"""Promises of a calibration on test cells: kept, counted, and contradicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_cytodino.stats.binomial import exact_interval
from napari_cytodino.stats.fixed_sequence import curve_of
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.metrics._guarantees import (
    guarantee_figures,
    guaranteed_row,
)
from napari_cytodino.uncertainty.calibration import (
    ERROR_RATES,
    Calibration,
    MissedCritical,
)
from napari_cytodino.uncertainty.decisions import accepted_cells
from napari_cytodino.uncertainty.labelled import LabelledPredictions
from napari_cytodino.uncertainty.predictions import as_predictions
from napari_cytodino.uncertainty.probabilities import class_probabilities

MLL = Taxonomy.load("mll21")


def some_cells(n: int, seed: int, worse: float = 0.0) -> LabelledPredictions:
    """Draw cells whose answers are the more often right the surer they are."""
    rng = np.random.default_rng(seed)
    guesses = rng.integers(0, len(MLL), n)
    height = rng.uniform(3, 12, n)
    right = rng.random(n) > 0.5 * np.exp(3 - height) * (height < 8) + worse
    logits = np.zeros((n, len(MLL)), np.float32)
    logits[np.arange(n), guesses] = height
    targets = np.where(right, guesses, rng.integers(0, len(MLL), n))
    return LabelledPredictions(
        targets, logits, np.where(np.arange(n) % 3, "east", "west")
    )


def calibrated(cells: LabelledPredictions, **changes: object) -> Calibration:
    evidence = class_probabilities(as_predictions(cells.logits), MLL, 1.0)
    of_lineage = MLL.lineage_index[cells.targets]
    made = Calibration(
        temperature=1.0,
        risk=0.005,
        delta=0.05,
        classes=MLL.codes,
        counts={},
        curve=curve_of(evidence.confidence, evidence.best != cells.targets),
        lineage_curve=curve_of(evidence.lineage_share, evidence.lineage != of_lineage),
        missed=MissedCritical(400, 0, 0.01, 0.0102),
        max_critical=1.0,
        rare=(),
        set_level=0.95,
        set_limits={g.name: 0.9 for g in MLL.lineages},
        familiar=0.99,
        patients=None,
        data="drawn",
        date="2026-01-01",
        made_for={},
    )
    return replace(made, **changes)


CELLS = some_cells(2000, 1)
MADE = calibrated(some_cells(3000, 0))
FOUND = guarantee_figures(CELLS, MLL, MADE)


def test_every_risk_is_told_of_all_and_of_each_source() -> None:
    told = [(r["risk"], r["source"]) for r in FOUND["rows"]]
    assert told == [(k, s) for k in ERROR_RATES for s in ("all", "east", "west")]
    for risk in ERROR_RATES:
        whole, *parts = (r for r in FOUND["rows"] if r["risk"] == risk)
        for key in ("n", "accepted", "wrong", "lineage_accepted", "lineage_wrong"):
            assert whole[key] == sum(part[key] for part in parts)


def test_rows_are_what_the_policy_accepts() -> None:
    wrong = CELLS.guesses != CELLS.targets
    promised = [r for r in FOUND["rows"] if r["source"] == "all" and r["promised"]]
    assert {0.005, 0.01, 0.1} <= {r["risk"] for r in promised}
    for row in promised:
        policy = MADE.policy(row["risk"])
        taken = accepted_cells(CELLS.logits, MLL, policy)
        assert row["threshold"] == policy.min_confidence
        assert (row["accepted"], row["wrong"]) == (taken.sum(), (taken & wrong).sum())
        assert row["error"] == pytest.approx(wrong[taken].mean(), abs=1e-6)
        ends = exact_interval(row["wrong"], row["accepted"])
        assert (row["error_low"], row["error_high"]) == pytest.approx(ends, abs=1e-6)
        assert row["statement"] == MADE.guarantee(row["risk"])
        assert not row["contradicted"]
    coverage = [r["coverage"] for r in promised]
    assert coverage == sorted(coverage)


def test_lineages_are_counted_with_their_own_threshold() -> None:
    (row,) = (r for r in FOUND["rows"] if r["risk"] == 0.05 and r["source"] == "all")
    evidence = class_probabilities(as_predictions(CELLS.logits), MLL, 1.0)
    sure = evidence.lineage_share >= MADE.policy(0.05).min_lineage
    wrong = evidence.lineage != MLL.lineage_index[CELLS.targets]
    assert row["lineage_threshold"] == MADE.policy(0.05).min_lineage
    assert row["lineage_accepted"] == sure.sum()
    assert row["lineage_wrong"] == (sure & wrong).sum() <= 0.05 * sure.sum()


def test_what_cannot_be_promised_accepts_nothing_and_says_why() -> None:
    few = calibrated(some_cells(300, 0))
    found = guarantee_figures(CELLS, MLL, few)
    (row,) = (r for r in found["rows"] if r["risk"] == 0.005 and r["source"] == "all")
    assert (row["accepted"], row["threshold"], row["promised"]) == (0, None, False)
    assert (row["error"], row["error_low"]) == (None, None)
    assert "817 accepted cells" in row["statement"]
    told = guaranteed_row(found, 2000, "unused")
    assert (told["value"], told["definition"]) == (None, row["statement"])


def test_cells_that_break_a_promise_contradict_it() -> None:
    found = guarantee_figures(some_cells(2000, 1, worse=0.2), MLL, MADE)
    broken = [r for r in found["rows"] if r["contradicted"]]
    assert {0.005, 0.01} <= {r["risk"] for r in broken}
    # a promise is of all cells together
    assert {r["source"] for r in broken} == {"all"}


def test_unfamiliar_cells_are_not_accepted() -> None:
    strange = replace(CELLS, unfamiliarity=np.full(2000, 1.5, np.float32))
    found = guarantee_figures(strange, MLL, MADE)
    assert not any(r["accepted"] or r["lineage_accepted"] for r in found["rows"])


def test_circumstances_are_told() -> None:
    assert (FOUND["calibration_cells"], FOUND["date"]) == (3000, "2026-01-01")
    assert FOUND["says"] == MADE.guarantee(0.005)
    assert FOUND["critical"]["promised"] is False
    assert (FOUND["critical"]["k"], FOUND["critical"]["n"]) == (0, 400)
    none = guarantee_figures(CELLS, MLL, replace(MADE, missed=None))
    assert none["critical"] is None


def test_the_usual_accuracy_has_a_row_of_its_own() -> None:
    (row,) = (r for r in FOUND["rows"] if r["risk"] == 0.005 and r["source"] == "east")
    told = guaranteed_row(FOUND, row["n"], "unused", "east")
    assert (told["value"], told["k"]) == (row["coverage"], row["accepted"])
    assert "99.5%" in told["title"]
    none = guaranteed_row(None, 7, "no calibration at all")
    assert (none["value"], none["n"]) == (None, 7)
    assert none["definition"] == "no calibration at all"
