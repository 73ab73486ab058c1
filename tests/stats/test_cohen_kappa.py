"""Kappa and its interval, by hand and beside scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from napari_cytodino.review.reader_agreement import agreement
from napari_cytodino.stats.cohen_kappa import NO_CELLS, ONE_CLASS, PERFECT, kappa
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")

# SAS/STAT, The FREQ Procedure, "Agreement Study": two dermatologists, four grades
SKIN = np.array([[10, 4, 1, 0], [5, 10, 12, 2], [2, 4, 12, 5], [0, 2, 6, 13]])

# Fleiss (1981), p. 213: two raters, 100 subjects
FLEISS = np.array([[75, 1, 4], [5, 4, 1], [0, 0, 10]])


def table_of(a, b, size=5):
    return np.bincount(a * size + b, minlength=size**2).reshape(size, size)


def linear(size):
    place = np.arange(size)
    return 1 - abs(place[:, None] - place) / (size - 1)


@pytest.mark.parametrize(
    ("weights", "value", "low", "high"),
    [(np.eye(4), 0.3449, 0.2030, 0.4868), (linear(4), 0.5082, 0.3798, 0.6366)],
)
def test_the_example_of_sas(weights, value, low, high):
    found = kappa(SKIN, weights)
    told = [round(x, 4) for x in (found.value, found.low, found.high)]
    assert told == [value, low, high]
    assert (found.cells, found.agreed, found.why) == (88, 45, "")


def test_the_example_of_fleiss():
    found = kappa(FLEISS)
    assert round(found.value, 2) == 0.68
    assert found.sentence == (
        f"kappa 0.68 (95 % {found.low:.2f} to {found.high:.2f}; 89 of 100 cells alike)"
    )


calls = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1)


@settings(deadline=None)
@given(calls)
def test_equal_to_scikit_learn(called):
    a, b = np.array(called).T
    for name, weights in ((None, np.eye(5)), ("linear", linear(5))):
        found = kappa(table_of(a, b), weights)
        if found.value is None:
            assert len({*a, *b}) == 1
            continue
        want = cohen_kappa_score(a, b, weights=name, labels=range(5))
        assert found.value == pytest.approx(want, abs=1e-9)
        if found.low is not None:
            assert -1 <= found.low <= found.value <= found.high <= 1


@settings(deadline=None)
@given(calls)
def test_it_does_not_matter_who_is_first(called):
    a, b = np.array(called).T
    one, other = (kappa(table_of(*p), linear(5)) for p in ((a, b), (b, a)))
    assert one.value == pytest.approx(other.value)
    assert one.low == pytest.approx(other.low)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    # two readers who each see the truth in 85 of 100 cells and guess otherwise
    rng, truth, hits = np.random.default_rng(7), 0.85**2, 0
    for _ in range(400):
        real = rng.integers(0, 4, 300)
        a, b = (
            np.where(rng.random(300) < 0.85, real, rng.integers(0, 4, 300))
            for _ in range(2)
        )
        found = kappa(table_of(a, b, 4))
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_where_kappa_is_not_defined():
    none = kappa(np.zeros((2, 2), int))
    assert (none.value, none.why, none.cells) == (None, NO_CELLS, 0)
    assert np.isnan(none.number)
    same = kappa(np.array([[9, 0], [0, 0]]))
    assert (same.value, same.why, same.agreed) == (None, ONE_CLASS, 9)
    assert same.sentence.startswith("kappa not defined: both call every cell the same")


def test_where_there_is_no_interval():
    found = kappa(np.diag([1, 2]))
    assert (found.value, found.low, found.why) == (1.0, None, PERFECT)
    one = kappa(np.array([[0, 1], [0, 0]]))
    assert (one.value, one.low) == (0.0, None)
    assert "too few cells" in one.sentence


def compare(*called, taxonomy=TAXONOMY, **options):
    """Compare calls given as 'first second' in the order of rows."""
    a, b = ({i: c.split()[k] for i, c in enumerate(called)} for k in (0, 1))
    return agreement(a, b, taxonomy, **options)


def test_series_are_weighted_by_stages():
    rng = np.random.default_rng(3)
    line = [c.code for c in TAXONOMY.classes_of("granulocytic")]
    a = rng.integers(0, 6, 200)
    b = np.clip(a + rng.integers(-1, 2, 200), 0, 5)
    called = [f"{line[i]} {line[j]}" for i, j in zip(a, b, strict=True)]
    found = compare(*called, "EBO NGS", "LYT LYT")
    series = {s.lineage: s for s in found.series}
    assert set(series) == {"granulocytic", "erythroid"}
    own = series["granulocytic"]
    assert own.strict.value == pytest.approx(cohen_kappa_score(a, b))
    assert own.weighted.value == pytest.approx(
        cohen_kappa_score(a, b, weights="linear")
    )
    assert (own.weighted.cells, own.weighted.agreed) == (200, 200)
    assert own.strict.agreed == int((a == b).sum())
    assert series["erythroid"].strict.why == NO_CELLS


def test_only_cells_that_both_called_are_compared():
    first = {1: "NGS", 2: "", 3: "LYT", 4: "BLA"}
    second = {1: "NGS", 2: "LYT", 3: "", 9: "EBO"}
    found = agreement(first, second, TAXONOMY, names=("A", "B"))
    assert (found.classes.cells, found.first, found.second) == (1, "A", "B")
    assert agreement({}, {}, TAXONOMY).classes.why == NO_CELLS
