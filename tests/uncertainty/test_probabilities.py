"""Class probabilities by hand, and what renaming classes must not change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.uncertainty.predictions import PredictionBatch, Predictions
from napari_cytodino.uncertainty.probabilities import (
    class_probabilities,
    lineage_shares,
)

TAXONOMY = Taxonomy.load("mll21")
CODES = TAXONOMY.codes


def of_logits(logits, unfamiliarity=None):
    logits = np.asarray(logits, np.float32)
    n = len(logits)
    batch = PredictionBatch(
        np.arange(n),
        logits,
        np.zeros((n, 1), np.float16),
        np.ones(n, bool),
        unfamiliarity,
    )
    return Predictions.empty(n, logits.shape[1], 1).with_batches([batch])


def of_shares(*cells):
    p = np.full((len(cells), len(CODES)), 1e-9)
    for row, cell in enumerate(cells):
        for code, share in cell.items():
            p[row, TAXONOMY.index(code)] = share
    return of_logits(np.log(p))


def test_by_hand():
    made = class_probabilities(
        of_shares({"LYT": 0.6, "MON": 0.3, "BLA": 0.1}), TAXONOMY, 1.0
    )
    assert (CODES[made.best[0]], CODES[made.second[0]]) == ("LYT", "MON")
    assert made.confidence[0] == pytest.approx(0.6, abs=1e-6)
    assert made.margin[0] == pytest.approx(0.3, abs=1e-6)
    assert made.critical[0] == pytest.approx(0.1, abs=1e-6)
    assert CODES[made.worst[0]] == "BLA"
    assert made.known.tolist() == [True]
    assert np.isnan(made.unfamiliarity).all()


def test_lineages_are_summed():
    made = class_probabilities(
        of_shares({"MMZ": 0.3, "NGB": 0.3, "MON": 0.4}), TAXONOMY, 1.0
    )
    assert CODES[made.best[0]] == "MON"
    assert TAXONOMY.lineages[made.lineage[0]].name == "granulocytic"
    assert made.lineage_share[0] == pytest.approx(0.6, abs=1e-6)
    shares = lineage_shares(made.p, TAXONOMY)
    assert shares.shape == (1, len(TAXONOMY.lineages))
    for i, group in enumerate(TAXONOMY.lineages):
        members = [k for k, c in enumerate(TAXONOMY.classes) if c.lineage == group.name]
        assert shares[0, i] == pytest.approx(made.p[0, members].sum(), abs=1e-6)


def test_the_later_class_wins_a_tie():
    logits = np.full((1, len(CODES)), -30.0)
    logits[0, [3, 7, 11]] = 2.0
    made = class_probabilities(of_logits(logits), TAXONOMY, 1.0)
    assert (made.best[0], made.second[0], made.margin[0]) == (11, 7, 0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5))
def test_agrees_with_sorting(seed, temperature):
    logits = np.random.default_rng(seed).normal(0, 4, (30, len(CODES)))
    made = class_probabilities(of_logits(logits), TAXONOMY, temperature)
    p = softmax(logits.astype(np.float32).astype(float) / temperature, axis=1)
    order = np.argsort(p, axis=1)
    np.testing.assert_array_equal(made.best, order[:, -1])
    np.testing.assert_array_equal(made.second, order[:, -2])
    falling = -np.sort(-p, axis=1)
    np.testing.assert_allclose(made.confidence, falling[:, 0], atol=1e-6)
    np.testing.assert_allclose(made.margin, falling[:, 0] - falling[:, 1], atol=1e-6)
    critical = p[:, TAXONOMY.critical_mask].sum(axis=1)
    np.testing.assert_allclose(made.critical, critical, atol=1e-6)
    assert TAXONOMY.critical_mask[made.worst].all()


def test_cells_without_an_answer_have_no_evidence():
    logits = np.random.default_rng(0).normal(size=(3, len(CODES)))
    logits[1] = np.nan
    made = class_probabilities(of_logits(logits), TAXONOMY, 1.0)
    assert made.known.tolist() == [True, False, True]
    assert (made.p[1] == 0).all()
    assert (made.confidence[1], made.critical[1]) == (0, 0)
    empty = class_probabilities(Predictions.empty(0, len(CODES), 1), TAXONOMY, 1.0)
    assert len(empty.best) == len(empty.lineage) == len(empty.worst) == 0
    waiting = class_probabilities(Predictions.empty(2, len(CODES), 1), TAXONOMY, 1.0)
    assert not waiting.known.any()


def test_distance_to_the_training_cells_is_passed_on():
    far = np.array([0.5, 3.0], np.float32)
    made = class_probabilities(of_logits(np.zeros((2, len(CODES))), far), TAXONOMY, 1.0)
    np.testing.assert_array_equal(made.unfamiliarity, far)


def test_unfamiliar_are_those_beyond_the_limit_of_whom_it_is_known():
    far = np.array([0.9, 1.0, 1.1, np.nan, 5.0], np.float32)
    found = of_logits(np.zeros((5, len(CODES))), far)
    unread = np.array([True, True, True, True, False])
    given = replace(found, readable=unread)
    assert class_probabilities(given, TAXONOMY, 1.0).unfamiliar_count(1.0) == (1, 3)


def test_a_class_may_be_by_rank_or_by_probability():
    cell = {"NGS": 0.9, "NGB": 0.05, "MMZ": 0.03, "ABE": 0.02}
    evidence = class_probabilities(of_shares(cell), TAXONOMY, 1.0)
    asked = np.array([code == "ABE" for code in CODES])
    never, low = np.full(len(CODES), 2.0), np.full(len(CODES), 0.019)
    assert evidence.may_be(asked, never).tolist() == [False]
    assert evidence.may_be(asked, low).tolist() == [True]
    exact = np.where(asked, evidence.p[0].astype(float), 2.0)
    assert evidence.may_be(asked, exact).tolist() == [True]
    above = np.nextafter(exact, 2.0)
    assert evidence.may_be(asked, above).tolist() == [False]
    third = np.array([code == "MMZ" for code in CODES])
    assert evidence.may_be(third, never).tolist() == [True]
    # possible is asked only of the classes that are asked for
    assert evidence.may_be(np.zeros(len(CODES), bool), low).tolist() == [False]


def test_fewer_classes_than_the_top():
    two = TAXONOMY.subset(CODES[:2])
    evidence = class_probabilities(of_logits([[1.0, 0.0]]), two, 1.0)
    asked = np.array([False, True])
    assert evidence.may_be(asked, np.full(2, 2.0)).tolist() == [True]


def test_expected_cost_by_hand():
    # called LYT: truly MON in 0.3 of cases at 2, truly BLA in 0.1 at 10
    predictions = of_shares({"LYT": 0.6, "MON": 0.3, "BLA": 0.1})
    evidence = class_probabilities(predictions, TAXONOMY, 1.0)
    costs = np.zeros((len(CODES), len(CODES)))
    lyt, mon, bla = (TAXONOMY.index(c) for c in ("LYT", "MON", "BLA"))
    costs[mon, lyt], costs[bla, lyt] = 2, 10
    costs[lyt, mon] = 1000
    assert evidence.expected_cost(costs)[0] == pytest.approx(1.6, abs=1e-5)
    waiting = class_probabilities(Predictions.empty(1, len(CODES), 1), TAXONOMY, 1.0)
    assert np.isnan(waiting.expected_cost(costs)).all()


def test_cost_of_any_error_is_what_is_left_of_the_confidence():
    logits = np.random.default_rng(3).normal(0, 3, (50, len(CODES)))
    evidence = class_probabilities(of_logits(logits), TAXONOMY, 1.0)
    costs = 1.0 - np.eye(len(CODES))
    np.testing.assert_allclose(
        evidence.expected_cost(costs), 1 - evidence.confidence, atol=1e-5
    )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_classes_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(CODES))
    logits = rng.normal(0, 3, (20, len(CODES)))
    turned = replace(
        TAXONOMY, classes=tuple(TAXONOMY.classes[i] for i in order), tree=(), costs=()
    )
    one = class_probabilities(of_logits(logits), TAXONOMY, 1.3)
    two = class_probabilities(of_logits(logits[:, order]), turned, 1.3)
    for name in ("best", "second", "worst"):
        np.testing.assert_array_equal(getattr(one, name), order[getattr(two, name)])
    np.testing.assert_array_equal(one.lineage, two.lineage)
    for name in ("confidence", "margin", "lineage_share", "critical"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-6)
    asked = rng.random(len(CODES)) < 0.2
    least = rng.uniform(0.01, 0.3, len(CODES))
    np.testing.assert_array_equal(
        one.may_be(asked, least), two.may_be(asked[order], least[order])
    )
