"""Bounds on errors: against scipy's exact tests, by hand, and by their properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.stats import beta, binom, binomtest

from napari_cytodino.common.errors import InputError
from napari_cytodino.stats.binomial import (
    check_share,
    counted_share,
    design_effect,
    exact_interval,
    fewest_cells,
    lower_bound,
    named_interval,
    p_value,
    upper_bound,
    wilson,
)

COUNTS = st.integers(0, 3000).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n))
)
SHARES = st.floats(0.0005, 0.9995)
LEVELS = st.floats(0.001, 0.5)


@settings(deadline=None, max_examples=200)
@given(COUNTS.filter(lambda kn: kn[1] > 0), SHARES)
def test_p_value_is_that_of_the_exact_binomial_test(counts, risk):
    k, n = counts
    want = binomtest(k, n, risk, alternative="less").pvalue
    assert float(p_value(k, n, risk)) == pytest.approx(want, rel=1e-9, abs=1e-300)


@settings(deadline=None, max_examples=200)
@given(COUNTS.filter(lambda kn: kn[1] > 0), LEVELS)
def test_bounds_are_those_of_clopper_and_pearson(counts, delta):
    k, n = counts
    upper, lower = float(upper_bound(k, n, delta)), float(lower_bound(k, n, delta))
    want = 1.0 if k == n else beta.ppf(1 - delta, k + 1, n - k)
    assert upper == pytest.approx(want, rel=1e-9)
    want = 0.0 if k == 0 else beta.ppf(delta, k, n - k + 1)
    assert lower == pytest.approx(want, rel=1e-9)
    interval = binomtest(k, n).proportion_ci(1 - 2 * delta, method="exact")
    assert (lower, upper) == pytest.approx((interval.low, interval.high), abs=1e-9)


@settings(deadline=None)
@given(COUNTS.filter(lambda kn: kn[0] < kn[1]), LEVELS)
def test_test_and_bound_say_the_same(counts, delta):
    bound = float(upper_bound(*counts, delta))
    assert float(p_value(*counts, bound)) == pytest.approx(delta, rel=1e-6)
    assert p_value(*counts, min(bound * 1.01, 1.0)) <= delta
    assert p_value(*counts, bound * 0.99) > delta


def test_golden_values():
    # (1 - 0.005) ** 598 by hand; rule of three; the textbook 95 % interval of 1 in 10
    assert float(p_value(0, 598, 0.005)) == pytest.approx(0.995**598)
    assert float(upper_bound(0, 598, 0.05)) == pytest.approx(1 - 0.05 ** (1 / 598))
    assert float(upper_bound(1, 10, 0.025)) == pytest.approx(0.4450161, abs=1e-7)
    assert float(lower_bound(1, 10, 0.025)) == pytest.approx(0.0025286, abs=1e-7)


def test_no_cells_prove_nothing():
    assert float(p_value(0, 0, 0.1)) == float(upper_bound(0, 0, 0.05)) == 1.0
    assert float(lower_bound(0, 0, 0.05)) == 0.0
    assert float(p_value(7, 7, 0.5)) == float(upper_bound(7, 7, 0.05)) == 1.0


def test_arrays_and_broken_numbers():
    k, n = np.array([0, 2.5, 9]), np.array([10, 40.5, 9])
    values = p_value(k, n, 0.2)
    assert values.shape == (3,)
    assert binom.cdf(2, 40, 0.2) < values[1] < binom.cdf(3, 41, 0.2)
    assert (upper_bound(k, n, 0.05) >= k / n).all()
    assert (lower_bound(k, n, 0.05) <= k / n).all()


@settings(deadline=None)
@given(COUNTS, st.floats(1, 50), LEVELS)
def test_fewer_effective_cells_never_prove_more(counts, effect, delta):
    k, n = counts
    fewer = upper_bound(k / effect, n / effect, delta)
    assert fewer >= upper_bound(k, n, delta) - 1e-9


@pytest.mark.parametrize(
    ("risk", "delta", "cells"),
    [(0.005, 0.05, 598), (0.01, 0.05, 299), (0.001, 0.05, 2995), (0.5, 0.25, 2)],
)
def test_fewest_cells_are_those_of_the_paper(risk, delta, cells):
    assert fewest_cells(risk, delta) == cells


@settings(deadline=None)
@given(st.floats(0.0005, 0.5), LEVELS)
def test_one_cell_fewer_would_not_do(risk, delta):
    n = fewest_cells(risk, delta)
    assert p_value(0, n, risk) <= delta * (1 + 1e-9)
    assert p_value(0, n - 1, risk) > delta * (1 - 1e-9)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, math.nan, math.inf])
def test_a_number_that_is_no_share_is_named(value):
    with pytest.raises(InputError, match=r"kappa is .* between 0 and 1"):
        check_share("kappa", value)
    with pytest.raises(InputError, match="risk"):
        fewest_cells(value, 0.05)
    with pytest.raises(InputError, match="delta"):
        fewest_cells(0.05, value)


# --- design effect ---------------------------------------------------------------


def test_design_effect_by_hand():
    # 4 patients of 2 cells, errors 2, 0, 0, 2: share 1/2, sum of (e - m/2)^2 = 4,
    # times 4/3 and over 8/4 = 2 gives 8/3
    wrong = np.array([1, 1, 0, 0, 0, 0, 1, 1], bool)
    patients = np.repeat(["a", "b", "c", "d"], 2)
    everything = np.ones(8, bool)
    assert design_effect(wrong, patients, everything) == pytest.approx(8 / 3)


def test_patients_who_are_all_alike_are_independent_cells():
    wrong = np.tile([True, False, False, False], 30)
    patients = np.repeat(np.arange(30), 4)
    assert design_effect(wrong, patients, np.ones(120, bool)) == 1.0


@pytest.mark.parametrize("size", [2, 10, 40])
def test_patients_of_equal_cells_count_as_one_cell_each(size):
    rng = np.random.default_rng(0)
    wrong = np.repeat(rng.random(400) < 0.3, size)
    patients = np.repeat(np.arange(400), size)
    effect = design_effect(wrong, patients, np.ones(len(wrong), bool))
    assert effect == pytest.approx(size * 400 / 399)


def test_without_an_error_among_the_taken_the_others_tell():
    rng = np.random.default_rng(1)
    wrong = np.repeat(rng.random(200) < 0.2, 10)
    patients = np.repeat(np.arange(200), 10)
    few = ~wrong & (np.arange(2000) % 2 == 0)
    taken = design_effect(wrong, patients, few)
    # errors of one patient go together wholly: five cells of each are worth one
    assert taken == pytest.approx(few.sum() / len(np.unique(patients[few])), rel=0.02)
    assert design_effect(wrong, patients, np.zeros(2000, bool)) == 1.0
    assert design_effect(np.zeros(2000, bool), patients, few) == 1.0


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.6), st.integers(1, 12))
def test_order_and_names_of_patients_do_not_matter(seed, share, groups):
    rng = np.random.default_rng(seed)
    wrong, taken = rng.random(80) < share, rng.random(80) < 0.7
    patients = rng.integers(0, groups, 80)
    effect = design_effect(wrong, patients, taken)
    assert effect >= 1
    order = rng.permutation(80)
    names = np.array([f"p{i}" for i in rng.permutation(groups)])
    again = design_effect(wrong[order], names[patients[order]], taken[order])
    assert again == pytest.approx(effect)


def test_the_effect_of_patients_by_hand():
    """Kish's ratio for 2 patients with 10 cells each and one error: 1 / 0.95."""
    wrong = np.arange(20) == 0
    patients = np.repeat(["a", "b"], 10)
    everything = np.ones(20, bool)
    assert design_effect(wrong, patients, everything) == pytest.approx(1 / 0.95)
    # with 3 patients of 4 cells, 2 errors of one: 2.4 in all, 7 / 15 within patients
    wrong = np.arange(12) < 2
    patients = np.repeat(["a", "b", "c"], 4)
    found = design_effect(wrong, patients, ~wrong)
    assert found == pytest.approx(1 + 7 / 15 * (10 / 3 - 1))


def test_the_effect_of_pairs_by_hand():
    """6 patients of 2 cells, 2 and 1 of them wrong: 4.2 / 2.25 in all."""
    wrong = np.isin(np.arange(12), [0, 1, 2])
    patients = np.repeat(list("abcdef"), 2)
    found = design_effect(wrong, patients, ~wrong)
    assert found == pytest.approx(1 + (4.2 / 2.25 - 1) * (9 / 5 - 1))


def test_cells_of_a_patient_are_no_more_alike_than_one_cell():
    """One large patient, all wrong: the ratio is 8, but more alike than 1 is none."""
    patients = np.array(["a"] * 20 + ["b"] * 2 + list("cdefghijk"))
    wrong = patients == "a"
    assert design_effect(wrong, patients, ~wrong) == pytest.approx(1.1)


@pytest.mark.parametrize(("k", "n"), [(0.0, 0.4), (0.3, 0.9), (2.5, 3.0), (4.0, 9.5)])
def test_broken_numbers_follow_the_beta_density(k, n):
    """Summed up by quadrature: fewer than one cell may be left after the division."""

    def below(share):
        def density(x):
            return x**k * (1 - x) ** (n - k - 1)

        # from 0 to the share, and in all; the peak at 1 is integrable
        part = integrate.quad(density, 0, share)[0]
        rest = integrate.quad(
            lambda x: x**k, share, 1, weight="alg", wvar=(0, n - k - 1)
        )
        return part / (part + rest[0])

    assert p_value(k, n, 0.3) == pytest.approx(1 - below(0.3), rel=1e-6)
    assert below(float(upper_bound(k, n, 0.05))) == pytest.approx(0.95, rel=1e-6)


@pytest.mark.parametrize(("k", "n"), [(0.3, 3.0), (0.9, 40.0), (2.5, 3.0)])
def test_a_lower_bound_of_broken_numbers_follows_the_beta_density(k, n):
    bound = float(lower_bound(k, n, 0.05))
    peak = {"weight": "alg", "wvar": (k - 1, 0)}
    part = integrate.quad(lambda x: (1 - x) ** (n - k), 0, bound, **peak)[0]
    rest = integrate.quad(lambda x: x ** (k - 1) * (1 - x) ** (n - k), bound, 1)[0]
    assert part / (part + rest) == pytest.approx(0.05, rel=1e-6)


def test_a_share_has_value_and_interval_under_a_name():
    found = counted_share(3, 40)
    low, high = exact_interval(3, 40)
    assert found == {
        "k": 3,
        "n": 40,
        "value": 0.075,
        "low": round(low, 6),
        "high": round(high, 6),
    }
    assert counted_share(3, 40, wilson, digits=4)["low"] == round(wilson(3, 40)[0], 4)
    wider = counted_share(3, 40, effect=2.0)
    assert wider["value"] == found["value"]
    assert wider["low"] < found["low"] < found["high"] < wider["high"]
    names = named_interval("recall", found)
    assert list(names) == ["recall", "recall_low", "recall_high"]
    none = named_interval("recall", counted_share(0, 0, wilson))
    assert set(none.values()) == {None}
