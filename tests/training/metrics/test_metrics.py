"""Metrics: against scikit-learn, and on cases one can count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from napari_cytodino.training.metrics.confusion_table import (
    balanced_accuracy,
    classification_report,
    confusion,
    f1_scores,
    macro_f1,
    macro_f1_of,
    row_shares,
    weighted_f1,
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
    found = classification_report(TARGETS, GUESSES, CODES)
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
    found = classification_report(TARGETS, GUESSES, CODES)
    assert found["macro_f1_low"] < found["macro_f1"] < found["macro_f1_high"]
    assert found == classification_report(TARGETS, GUESSES, CODES)


def test_accepted_cells_are_counted() -> None:
    targets, guesses = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0])
    taken = np.array([True, True, True, False])
    found = classification_report(targets, guesses, CODES[:2], taken)
    assert found["accepted"] == 0.75
    assert (found["accepted_n"], found["accepted_wrong"]) == (3, 1)


def test_no_cell_accepted() -> None:
    found = classification_report(
        np.array([0, 1]), np.array([0, 1]), CODES[:2], np.zeros(2, bool)
    )
    assert (found["accepted"], found["accepted_wrong"]) == (0.0, 0)


def test_macro_f1_of_all_classes_counts_the_absent_as_zero() -> None:
    table = confusion(TARGETS, GUESSES, 6)
    theirs = f1_score(
        TARGETS, GUESSES, labels=range(6), average="macro", zero_division=0
    )
    assert macro_f1_of(table) == pytest.approx(theirs)
    assert macro_f1_of(table) == pytest.approx(macro_f1(table) * 4 / 6)


def test_macro_f1_of_the_classes_with_enough_cells() -> None:
    # 50, 49 and 1 cells; the rare ones are still guessed for the frequent one
    targets = np.repeat([0, 1, 2], [50, 49, 1])
    guesses = np.where(np.arange(100) % 10 == 0, 1, targets)
    table = confusion(targets, guesses, 3)
    assert macro_f1_of(table, 50) == f1_scores(table)[0]
    assert macro_f1_of(table, 49) == f1_scores(table)[:2].mean()
    assert np.isnan(macro_f1_of(table, 51))


def test_weighted_f1_is_that_of_scikit_learn() -> None:
    theirs = f1_score(TARGETS, GUESSES, average="weighted")
    assert weighted_f1(confusion(TARGETS, GUESSES, 5)) == pytest.approx(theirs)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    theirs = balanced_accuracy_score(TARGETS, GUESSES)
    assert balanced_accuracy(confusion(TARGETS, GUESSES, 7)) == pytest.approx(theirs)


def test_rows_as_shares() -> None:
    narrow = GUESSES < 4
    theirs = confusion_matrix(TARGETS[narrow], GUESSES[narrow], normalize="true")
    assert row_shares(confusion(TARGETS[narrow], GUESSES[narrow], 4)) == pytest.approx(
        theirs
    )
    assert row_shares(np.array([[0, 0], [1, 3]])).tolist() == [[0, 0], [0.25, 0.75]]
