"""Penalties: the published pairs counted, the repaired costs scaled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.distances import error_costs
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.finetuning._losses import penalty_matrix
from napari_cytodino.training.finetuning._soft_targets import VARIANTS

MLL = Taxonomy.load("mll21")
TREE = Taxonomy.load("hematopoiesis21")
CRITICAL = ["BLA", "MYB", "PMO", "FGC", "HAC", "KSC", "ABE", "LYI"]
SAFE = ["NGS", "NGB", "LYT", "MON", "EOS", "BAS", "PLM", "EBO"]


def factor(matrix: np.ndarray, taxonomy: Taxonomy, of: str, called: str) -> float:
    return float(matrix[taxonomy.index(of), taxonomy.index(called)])


def test_published_pairs_are_counted() -> None:
    found = penalty_matrix(MLL, variant="published", critical_penalty=3.0)
    values, counts = np.unique(found, return_counts=True)
    assert values.tolist() == [1.0, 1.5, 3.0]
    assert counts.tolist() == [313, 64, 64]
    for of in MLL.codes:
        for called in MLL.codes:
            expected = 1.0
            if of in CRITICAL and called in SAFE:
                expected = 3.0
            elif of in SAFE and called in CRITICAL:
                expected = 1.5
            assert factor(found, MLL, of, called) == expected, (of, called)


def test_published_leaves_out_what_it_leaves_out() -> None:
    found = penalty_matrix(MLL, variant="published", critical_penalty=3.0)
    for pair in ("BLA MMZ", "BLA PEB", "BLA ART", "BLA NIF", "FGC PMO"):
        assert factor(found, MLL, *pair.split()) == 1


@pytest.mark.parametrize("taxonomy", [MLL, TREE], ids=["mll21", "hematopoiesis21"])
def test_maturation_punishes_blasts_called_debris(taxonomy: Taxonomy) -> None:
    found = penalty_matrix(taxonomy, variant="maturation", critical_penalty=3.0)
    for debris in ("ART", "NIF", "KSC", "OTH"):
        assert factor(found, taxonomy, "BLA", debris) == 3
    assert np.array_equal(found, error_costs(taxonomy))


def test_maturation_scales_with_the_critical_penalty() -> None:
    found = penalty_matrix(TREE, variant="maturation", critical_penalty=5.0)
    assert factor(found, TREE, "BLA", "NGS") == 5
    assert factor(found, TREE, "HAC", "LYT") == 3
    assert factor(found, TREE, "NGS", "BLA") == 2
    assert factor(found, TREE, "NGB", "NGS") == 1


def test_the_false_alarm_is_a_constant_that_can_be_chosen() -> None:
    found = penalty_matrix(MLL, variant="published", critical_penalty=10.0)
    assert factor(found, MLL, "NGS", "BLA") == 1.5
    found = penalty_matrix(
        MLL, variant="published", critical_penalty=10.0, false_alarm_penalty=2.0
    )
    assert factor(found, MLL, "NGS", "BLA") == 2
    assert factor(found, MLL, "BLA", "NGS") == 10


@given(
    st.lists(st.sampled_from(TREE.codes), min_size=2, unique=True),
    st.sampled_from(VARIANTS),
    st.floats(1, 100),
)
@settings(deadline=None, max_examples=60)
def test_subsets_keep_their_factors(
    codes: list[str], variant: str, critical_penalty: float
) -> None:
    for taxonomy in (MLL, TREE):
        whole, part = (
            penalty_matrix(t, variant=variant, critical_penalty=critical_penalty)
            for t in (taxonomy, taxonomy.subset(codes))
        )
        kept = [taxonomy.index(c) for c in taxonomy.subset(codes).codes]
        assert np.array_equal(part, whole[np.ix_(kept, kept)])
        assert (part >= 1).all()
        assert (np.diag(part) == 1).all()
        assert part.max() <= critical_penalty + 1e-9


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_penalty_of_one_is_none(variant: str) -> None:
    for taxonomy in (MLL, TREE):
        found = penalty_matrix(taxonomy, variant=variant, critical_penalty=1.0)
        assert np.array_equal(found, np.ones((21, 21)))


def test_a_false_alarm_never_costs_more_than_a_miss() -> None:
    found = penalty_matrix(MLL, variant="published", critical_penalty=1.25)
    assert factor(found, MLL, "NGS", "BLA") == factor(found, MLL, "BLA", "NGS") == 1.25


@pytest.mark.parametrize("value", [0.99, 0.0, -3.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["critical_penalty", "false_alarm_penalty"])
def test_factors_below_one_are_refused(name: str, value: float) -> None:
    values = {"critical_penalty": 3.0, name: value}
    with pytest.raises(InputError, match=f"{name} is {value}; choose 1"):
        penalty_matrix(MLL, variant="published", **values)


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(InputError, match="no variant 'paper'"):
        penalty_matrix(MLL, variant="paper", critical_penalty=3.0)
