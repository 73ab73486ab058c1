"""Unfamiliarity of OOD cells: against scikit-learn, simulation and cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from napari_cytodino.common.errors import InputError
from napari_cytodino.stats.binomial import exact_interval
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.metrics._novelty import (
    auroc,
    limit_for,
    unfamiliar_figures,
)
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.labelled import OodCells

MLL = Taxonomy.load("mll21")
values = st.lists(st.integers(0, 6).map(lambda i: i / 4), min_size=1, max_size=30)


@given(values, values)
@settings(deadline=None)
def test_the_area_is_that_of_scikit_learn_whatever_the_ties(known, ood) -> None:
    truth = [0] * len(known) + [1] * len(ood)
    theirs = roc_auc_score(truth, known + ood)
    area, low, high = auroc(np.array(known), np.array(ood))
    assert area == pytest.approx(theirs)
    if low is not None and high is not None:
        assert 0 <= low <= area <= high <= 1


def test_the_interval_holds_the_true_area_in_most_repeats() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
        _, low, high = auroc(rng.standard_normal(80), 1 + rng.standard_normal(60))
        held += low <= 0.760250 <= high
    assert 0.91 <= held / 300 <= 0.985


def test_without_overlap_there_is_no_interval() -> None:
    assert auroc(np.array([0.1, 0.2]), np.array([1.0, 2.0])) == (1, None, None)
    assert auroc(np.array([0.1, 0.9]), np.array([0.5])) == (0.5, None, None)


def test_the_limit_keeps_just_enough_known_cells() -> None:
    known = np.arange(1, 101) / 100
    assert limit_for(known) == 0.95
    assert limit_for(np.array([0.5])) == 0.5
    assert (known <= limit_for(known, 0.951)).mean() == 0.96


def figures(known, ood, **more):
    policy = DecisionPolicy(min_confidence=0.6, min_margin=0, max_critical=1)
    others = {"red cells": OodCells(np.float32(ood), what="from afar", **more)}
    return unfamiliar_figures(np.float32(known), others, MLL, policy)


def test_false_positives_are_those_of_the_roc_curve() -> None:
    rng = np.random.default_rng(2)
    known, ood = rng.random(400), 0.5 + rng.random(300)
    (row,) = figures(known, ood)["rows"]
    # for scikit-learn familiar cells are the positives
    fpr, tpr, _ = roc_curve(
        np.r_[np.ones(400), np.zeros(300)], -np.float32(np.r_[known, ood]),
        drop_intermediate=False,
    )  # fmt: skip
    assert row["fpr95"] == pytest.approx(fpr[np.argmax(tpr >= 0.95)], abs=1e-6)
    assert row["fpr95_low"] < row["fpr95"] < row["fpr95_high"]


def test_at_the_own_limit_by_hand() -> None:
    found = figures([0.2, 0.5, 0.9, 1.2, np.nan], [0.8, 1.0, 1.5])
    assert found["n"] == 4
    assert (found["unlike"]["k"], found["unlike"]["value"]) == (1, 0.25)
    (row,) = found["rows"]
    # a cell at the limit is not beyond it
    assert (row["familiar_k"], row["n"], row["what"]) == (2, 3, "from afar")
    ends = exact_interval(2, 3)
    assert (row["familiar_low"], row["familiar_high"]) == pytest.approx(ends, abs=1e-6)
    assert row["accepted"] is None


def test_ood_cells_are_accepted_by_ever_fewer_rules() -> None:
    logits = np.zeros((400, len(MLL)), np.float32)
    logits[:300, MLL.index("LYT")] = 9
    unlike = np.where(np.arange(400) < 100, 2, 0.5)
    (row,) = figures([0.2, 0.3], unlike, logits=logits)["rows"]
    assert row["accepted_without_limit"] == 300
    assert row["accepted_among_known"] == 200
    # a quarter of them unlike: as a whole they are of another kind
    assert row["accepted"] == 0


def test_nothing_is_told_where_nothing_is_known() -> None:
    policy = DecisionPolicy()
    assert unfamiliar_figures(None, {}, MLL, policy) is None
    unknown = np.full(3, np.nan, np.float32)
    assert unfamiliar_figures(unknown, {}, MLL, policy) is None
    assert unfamiliar_figures(np.ones(3, np.float32), {}, MLL, policy)["rows"] == []


def test_ood_cells_need_an_unfamiliarity() -> None:
    with pytest.raises(InputError, match="not known for 1 of 2 cells"):
        OodCells(np.float32([1, np.nan]))
    with pytest.raises(InputError, match="0 of 0"):
        OodCells(np.zeros(0, np.float32))
    with pytest.raises(InputError, match="1 logits for 2 cells"):
        OodCells(np.ones(2, np.float32), np.zeros((1, 21), np.float32))
