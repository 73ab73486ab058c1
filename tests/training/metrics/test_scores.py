"""All figures of a test: against scikit-learn, and rates counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    precision_recall_fscore_support,
)

from napari_cytodino.common.errors import InputError
from napari_cytodino.stats.binomial import wilson
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.metrics.scores import all_scores, by_class, summary
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.labelled import LabelledPredictions

MLL = Taxonomy.load("mll21")
POLICY = DecisionPolicy(temperature=1.5, min_confidence=0.6)


def some_cells(n: int = 600, classes: int = 21, seed: int = 0) -> LabelledPredictions:
    """Draw answers that are right in most cases; the last classes are rare."""
    rng = np.random.default_rng(seed)
    share = np.geomspace(1, 0.01, classes)
    targets = rng.choice(classes, n, p=share / share.sum())
    logits = rng.standard_normal((n, classes)).astype(np.float32)
    logits[np.arange(n), targets] += 3
    return LabelledPredictions(
        targets,
        logits,
        np.where(np.arange(n) % 3 == 0, "east", "west"),
        embeddings=logits.astype(np.float16),
    )


CELLS = some_cells()
ALL = all_scores(CELLS, MLL, POLICY)
SUMMARY = {row["key"]: row for row in ALL["summary"]}


def of_codes(*called: tuple[str, str], **more: Any) -> LabelledPredictions:
    """Return cells of a class, each called by another or the same."""
    targets = np.array([MLL.index(target) for target, _ in called])
    logits = np.zeros((len(called), len(MLL)), np.float32)
    for row, (_, guess) in enumerate(called):
        logits[row, MLL.index(guess)] = 9
    return LabelledPredictions(targets, logits, np.full(len(called), "lab"), **more)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_are_those_of_scikit_learn() -> None:
    truth, called = CELLS.targets, CELLS.guesses
    many = [c for c in range(21) if (truth == c).sum() >= 50]
    theirs = {
        "weighted_f1": f1_score(truth, called, average="weighted"),
        "macro_f1": f1_score(
            truth, called, labels=range(21), average="macro", zero_division=0
        ),
        "macro_f1_supported": f1_score(truth, called, labels=many, average="macro"),
        "balanced_accuracy": balanced_accuracy_score(truth, called),
        "kappa": cohen_kappa_score(truth, called),
        "accuracy": (truth == called).mean(),
    }
    found = {key: SUMMARY[key]["value"] for key in theirs}
    assert found == pytest.approx(theirs, abs=1e-6)
    assert ALL["classes_supported"] == len(many)


def test_every_interval_holds_its_value() -> None:
    rows = [*ALL["summary"], *ALL["by_source"]["east"], *ALL["by_source"]["west"]]
    known = [r for r in rows if r["value"] is not None]
    assert len(known) >= len(rows) - 2
    assert all(r["low"] <= r["value"] <= r["high"] for r in known)
    # a class seen rarely is told of with less certainty
    width = {k: r["high"] - r["low"] for k, r in SUMMARY.items()}
    assert width["macro_f1_present"] > width["weighted_f1"]


def test_rows_by_class_are_those_of_scikit_learn() -> None:
    p, r, f, n = precision_recall_fscore_support(
        CELLS.targets, CELLS.guesses, labels=range(21), zero_division=0
    )
    for i, row in enumerate(ALL["per_class"]):
        assert (row["code"], row["n"]) == (MLL.codes[i], n[i])
        ours = [row[k] or 0 for k in ("precision", "recall", "f1")]
        assert ours == pytest.approx([p[i], r[i], f[i]], abs=1e-6)
        if n[i]:
            low, high = wilson(row["hits"], row["n"])
            assert (row["recall_low"], row["recall_high"]) == pytest.approx(
                (low, high), abs=1e-6
            )
            assert row["f1_low"] <= row["f1"] <= row["f1_high"]
            assert row["tolerant_recall"] >= row["recall"]


def test_an_absent_class_has_no_recall_but_costs_the_macro_mean() -> None:
    cells = of_codes(("LYT", "LYT"), ("NGS", "NGS"))
    row = by_class(cells, MLL)[MLL.index("BLA")]
    assert (row["n"], row["recall"], row["recall_low"], row["f1"]) == (0, None, None, 0)
    found = {r["key"]: r["value"] for r in summary(cells, MLL)}
    assert found["macro_f1"] == pytest.approx(2 / 21, abs=1e-6)
    assert found["macro_f1_present"] == 1
    assert found["macro_f1_supported"] is None


def test_rates_by_hand() -> None:
    cells = of_codes(
        ("BLA", "BLA"), ("BLA", "LYT"), ("BLA", "ART"), ("MYB", "MMZ"), ("LYT", "LYT")
    )
    found = {r["key"]: r for r in summary(cells, MLL)}
    assert (found["accuracy"]["k"], found["accuracy"]["n"]) == (2, 5)
    assert found["tolerant_accuracy"]["value"] == 0.6
    assert found["lineage_accuracy"]["value"] == 0.6
    assert found["critical_error_rate"]["value"] == 0.25
    assert found["blasts_discarded_rate"]["value"] == 0.25
    blast = by_class(cells, MLL)[MLL.index("BLA")]
    assert blast["critical_error_rate"] == pytest.approx(1 / 3, abs=1e-6)
    assert blast["blasts_discarded_rate"] == pytest.approx(1 / 3, abs=1e-6)
    assert "critical_error_rate" not in by_class(cells, MLL)[MLL.index("LYT")]


def test_no_error_still_has_an_upper_limit() -> None:
    cells = of_codes(*[("BLA", "BLA")] * 20)
    row = {r["key"]: r for r in summary(cells, MLL)}["critical_error_rate"]
    # Wilson, none of 20: z2 / (n + z2) with z = 1.96; the bootstrap would say 0
    assert (row["value"], row["low"]) == (0, 0)
    assert row["high"] == pytest.approx(1.96**2 / (20 + 1.96**2), abs=1e-4)


def test_patients_widen_the_interval_of_a_rate() -> None:
    called = [("BLA", "BLA")] * 50 + [("BLA", "LYT")] * 50
    patients = np.repeat([f"p{i}" for i in range(4)], 25)
    alone = {r["key"]: r for r in summary(of_codes(*called), MLL)}
    grouped = {r["key"]: r for r in summary(of_codes(*called, groups=patients), MLL)}
    for key in ("accuracy", "critical_error_rate"):
        assert grouped[key]["low"] < alone[key]["low"]
        assert grouped[key]["high"] > alone[key]["high"]


def test_a_source_of_one_patient_is_told_by_cells() -> None:
    groups = np.array(["a", "a", "b", "c"])
    cells = of_codes(*[("BLA", "BLA")] * 4, groups=groups)
    first = cells.take(groups == "a")
    assert summary(first, MLL)[0]["value"] is not None
    assert by_class(first, MLL)[MLL.index("BLA")]["n"] == 2


def test_confusion_calibration_and_policy() -> None:
    counts = np.array(ALL["confusion"]["counts"])
    assert counts.sum() == ALL["n"] == 600
    assert np.trace(counts) == SUMMARY["accuracy"]["k"]
    rows = np.array(ALL["confusion"]["rows"]).sum(axis=1)
    assert rows[counts.sum(axis=1) > 0] == pytest.approx(1, abs=1e-4)
    assert ALL["calibration"]["temperature"] == 1.5
    assert 0 < ALL["calibration"]["ece"] < 1
    policy = ALL["policy"]
    assert policy["wrong"] < policy["accepted"] < 600
    assert policy["coverage"] == pytest.approx(policy["accepted"] / 600, abs=1e-6)
    assert ALL["stage_kappas"]["granulocytic"]["n"] > 0


def test_doubt_is_told_of_all_and_by_source() -> None:
    assert list(ALL["doubt"]) == ["all", "east", "west"]
    keys = [row["key"] for row in ALL["doubt"]["all"]]
    assert keys[-1] == "guaranteed_coverage"
    assert keys == [row["key"] for row in ALL["doubt"]["east"]]
    whole = {row["key"]: row for row in ALL["doubt"]["all"]}
    for key in ("ece", "classwise_ece", "log_loss", "brier"):
        assert whole[key]["value"] == pytest.approx(ALL["calibration"][key], abs=1e-6)
    for key in ("aurc", "augrc"):
        assert whole[key]["value"] == pytest.approx(ALL["selective"][key], abs=1e-6)
    assert whole["accepted"]["k"] == ALL["policy"]["accepted"]
    assert whole["accepted_error"]["k"] == ALL["policy"]["wrong"]
    assert whole["guaranteed_coverage"]["value"] is ALL["guarantee"] is None
    errors = [row["calibration_error"] for row in ALL["per_class"]]
    assert np.mean(errors) == pytest.approx(whole["classwise_ece"]["value"], abs=1e-6)


def test_rows_are_taken_with_all_that_belongs_to_them() -> None:
    unlike = np.arange(600, dtype=np.float32)
    cells = replace(CELLS, unfamiliarity=unlike, groups=CELLS.sources)
    some = cells.take(cells.sources == "east")
    assert np.array_equal(some.unfamiliarity, unlike[::3])
    assert (some.groups == "east").all()
    with pytest.raises(InputError, match="599 unfamiliarity for 600 cells"):
        replace(CELLS, unfamiliarity=unlike[1:])


def test_figures_are_plain_and_repeat() -> None:
    again = all_scores(CELLS, MLL, POLICY)
    assert json.dumps(again, allow_nan=False) == json.dumps(ALL, allow_nan=False)


def test_sources_are_parts_of_the_whole() -> None:
    parts = [
        next(r for r in rows if r["key"] == "accuracy")
        for rows in ALL["by_source"].values()
    ]
    assert sum(p["n"] for p in parts) == SUMMARY["accuracy"]["n"]
    assert sum(p["k"] for p in parts) == SUMMARY["accuracy"]["k"]
