"""Metrics: against scikit-learn, and on cases one can count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from napari_cytodino.training.metrics import (
    bootstrap_macro_f1,
    confusion,
    f1_scores,
    figures,
    macro_f1,
)

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 4, 300)
GUESSES = np.where(RNG.random(300) < 0.7, TARGETS, RNG.integers(0, 5, 300))
CODES = ("aa", "bb", "cc", "dd", "ee")


def test_macro_f1_is_that_of_scikit_learn_over_present_classes() -> None:
    ours = macro_f1(confusion(TARGETS, GUESSES, 5))
    theirs = f1_score(TARGETS, GUESSES, labels=range(4), average="macro")
    assert ours == pytest.approx(theirs)
    every = f1_score(TARGETS, GUESSES, labels=range(5), average=None)
    assert f1_scores(confusion(TARGETS, GUESSES, 5)) == pytest.approx(every)


def test_confusion_by_hand() -> None:
    table = confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    assert table.tolist() == [[1, 1], [0, 1]]


def test_every_figure_against_scikit_learn() -> None:
    found = figures(TARGETS, GUESSES, CODES)
    assert found["n"] == 300
    assert found["classes"] == 4
    assert found["accuracy"] == pytest.approx((TARGETS == GUESSES).mean(), abs=1e-4)
    weighted = f1_score(TARGETS, GUESSES, average="weighted")
    assert found["weighted_f1"] == pytest.approx(weighted, abs=1e-4)
    p, r, f, n = precision_recall_fscore_support(TARGETS, GUESSES, labels=range(4))
    for i, row in enumerate(found["per_class"]):
        assert row["code"] == CODES[i]
        assert row["n"] == n[i]
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx(
            (p[i], r[i], f[i]), abs=1e-4
        )
        assert row["recall_low"] < row["recall"] < row["recall_high"]


def test_interval_holds_the_value_and_repeats() -> None:
    low, high = bootstrap_macro_f1(TARGETS, GUESSES, 5)
    assert low < macro_f1(confusion(TARGETS, GUESSES, 5)) < high
    assert (low, high) == bootstrap_macro_f1(TARGETS, GUESSES, 5)


def test_accepted_cells_are_counted() -> None:
    targets, guesses = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0])
    taken = np.array([True, True, True, False])
    found = figures(targets, guesses, CODES[:2], taken)
    assert found["accepted"] == 0.75
    assert (found["accepted_n"], found["accepted_wrong"]) == (3, 1)


def test_no_cell_accepted() -> None:
    found = figures(np.array([0, 1]), np.array([0, 1]), CODES[:2], np.zeros(2, bool))
    assert (found["accepted"], found["accepted_wrong"]) == (0.0, 0)
