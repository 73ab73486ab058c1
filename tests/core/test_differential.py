"""The differential agrees with published intervals and counts what ICSH counts."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from napari_cytodino.core.differential import differential, me_ratio, summary, wilson
from napari_cytodino.core.errors import InputError
from napari_cytodino.core.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")


def table(**counts):
    codes = [code for code, n in counts.items() for _ in range(n)]
    return pd.DataFrame({"final_class": codes, "status": "auto"})


def test_100_of_500():
    low, high = wilson(100, 500)
    assert (round(100 * low, 1), round(100 * high, 1)) == (16.7, 23.7)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_equal_to_scipy(case):
    k, n = case
    want = binomtest(k, n).proportion_ci(method="wilson")
    low, high = wilson(k, n)
    assert math.isclose(low, want.low, abs_tol=1e-9)
    assert math.isclose(high, want.high, abs_tol=1e-9)


def test_no_trials_say_nothing_and_nonsense_is_refused():
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(InputError, match="3 of 2"):
        wilson(3, 2)


def test_shares_are_of_counted_cells_only():
    counts = differential(table(NGS=60, BLA=40, ART=900), TAXONOMY)
    by_class = counts.set_index("cell_class")
    assert by_class.loc["NGS", "percent"] == 60
    assert by_class.loc["ART", "count"] == 900
    assert math.isnan(by_class.loc["ART", "percent"])
    assert counts["percent"].sum() == pytest.approx(100)
    assert counts["cell_class"].tolist() == list(TAXONOMY.codes)


def test_rows_without_a_class_are_not_counted():
    counts = differential(table(NGS=3, **{"": 7}), TAXONOMY)
    assert counts["count"].sum() == 3


def test_nothing_counted():
    counts = differential(table(ART=2), TAXONOMY)
    assert counts["percent"].isna().all()


def test_the_taxonomy_of_the_table():
    frame = table(NGS=1)
    with pytest.raises(InputError, match="taxonomy="):
        differential(frame)
    frame.attrs["taxonomy"] = TAXONOMY.to_dict()
    assert differential(frame).equals(differential(frame, TAXONOMY))


def test_myeloid_to_erythroid():
    ratio, low, high = me_ratio(table(NGS=60, BLA=20, EBO=40, LYT=99), TAXONOMY)
    assert ratio == 2
    factor = math.exp(1.959964 * math.sqrt(1 / 80 + 1 / 40))
    assert low == pytest.approx(2 / factor)
    assert high == pytest.approx(2 * factor)


@pytest.mark.parametrize("counts", [{"NGS": 5}, {"EBO": 5}, {}])
def test_no_ratio_without_both_sides(counts):
    assert me_ratio(table(**counts), TAXONOMY) is None


def test_summary():
    frame = table(NGS=5, KSC=2, **{"": 3})
    frame.loc[0, "status"] = "review"
    frame.loc[9, "status"] = "rejected"
    told = summary(frame, TAXONOMY)
    assert (told["cells"], told["counted"], told["without_class"]) == (10, 5, 3)
    assert (told["flagged"], told["rejected"], told["me_ratio"]) == (1, 1, None)
