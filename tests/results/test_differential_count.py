"""The differential agrees with published intervals and counts what ICSH counts."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from napari_cytodino.common.errors import InputError
from napari_cytodino.results.cell_table import final_class
from napari_cytodino.results.counting import CountingRules
from napari_cytodino.results.differential_count import (
    Ratio,
    Share,
    count_cells,
    differential,
)
from napari_cytodino.stats.binomial import wilson
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")


def table(**counts):
    codes = [code for code, n in counts.items() for _ in range(n)]
    calls = {"final_class": codes, "cell_class": codes, "reviewed_class": ""}
    return pd.DataFrame({**calls, "status": "auto"})


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
    ratio, low, high = count_cells(
        table(NGS=60, BLA=20, EBO=40, LYT=99), TAXONOMY
    ).ratio.interval
    assert ratio == 2
    factor = math.exp(1.959964 * math.sqrt(1 / 80 + 1 / 40))
    assert low == pytest.approx(2 / factor)
    assert high == pytest.approx(2 * factor)


@pytest.mark.parametrize("counts", [{"NGS": 5}, {"EBO": 5}, {}])
def test_no_ratio_without_both_sides(counts):
    assert count_cells(table(**counts), TAXONOMY).ratio.interval is None


# domain.md 4.2: per cent seen, then the interval for 100, 200, 300, 500, 1000 cells
PUBLISHED = {
    0: ["0-3.7", "0-1.9", "0-1.3", "0-0.8", "0-0.4"],
    1: ["0.2-5.4", "0.3-3.6", "0.3-2.9", "0.4-2.3", "0.5-1.8"],
    5: ["2.2-11.2", "2.7-9.0", "3.1-8.1", "3.4-7.3", "3.8-6.5"],
    10: ["5.5-17.4", "6.6-14.9", "7.1-13.9", "7.7-12.9", "8.3-12.0"],
    20: ["13.3-28.9", "15.0-26.1", "15.9-24.9", "16.7-23.7", "17.6-22.6"],
    50: ["40.4-59.6", "43.1-56.9", "44.4-55.6", "45.6-54.4", "46.9-53.1"],
}


@pytest.mark.parametrize("percent", PUBLISHED)
def test_the_published_table(percent):
    for total, told in zip((100, 200, 300, 500, 1000), PUBLISHED[percent], strict=True):
        low, high = Share(percent * total // 100, total).interval
        want = [float(part) for part in told.split("-")]
        assert [round(low, 1), round(high, 1)] == want, (percent, total)


def reviewed(*lines):
    """Return a table of (cells, model's class, reader's class, status)."""
    rows = [line[1:] for line in lines for _ in range(line[0])]
    columns = ["cell_class", "reviewed_class", "status"]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    frame["final_class"] = final_class(frame)
    return frame


def test_as_reviewed_beside_the_model_alone():
    found = count_cells(
        reviewed(
            (6, "NGS", "", "auto"),
            (2, "NGS", "NGB", "review"),
            (3, "BLA", "", "lineage_only"),
            (1, "LYT", "not_a_cell", "review"),
            (2, "ART", "", "auto"),
        ),
        TAXONOMY,
    )
    lines = {line.key: line for line in found.classes}
    assert (lines["NGS"].reviewed.count, lines["NGS"].model.count) == (6, 8)
    assert (lines["NGB"].reviewed.count, lines["NGB"].model.count) == (2, 0)
    # an open stage and what is no cell count for the model alone
    assert lines["BLA"].reviewed == Share(0, 8)
    assert lines["BLA"].model == Share(3, 12)
    assert found.blasts.model == Share(3, 12)
    assert lines["ART"].reviewed.count == 2
    assert math.isnan(lines["ART"].reviewed.percent)
    assert math.isnan(lines["ART"].reviewed.interval[0])
    assert (found.total, found.without_class) == (8, 4)
    assert found.share_of_target == 8 / 500
    tally = found.tally
    assert tally.open == {"BLA": 3}
    assert (tally.cells, tally.flagged, tally.looked_at) == (14, 6, 3)


def test_lineages_sum_what_counts_of_them():
    found = count_cells(
        reviewed(
            (1, "FGC", "", "auto"), (5, "KSC", "", "auto"), (3, "EBO", "", "auto")
        ),
        TAXONOMY,
    )
    lines = {line.key: line for line in found.lineages}
    assert lines["pathological"].reviewed == Share(1, 4)
    assert not lines["artifact"].counted
    assert sum(line.reviewed.count for line in lines.values()) == found.total
    assert [line.key for line in found.classes_of("erythroid")] == ["PEB", "EBO"]
    assert [line.key for line in found.lineages] == [g.name for g in TAXONOMY.lineages]


def test_another_way_of_counting():
    frame = reviewed(
        (4, "KSC", "", "auto"), (4, "BLA", "", "auto"), (2, "EBO", "", "auto")
    )
    own = replace(CountingRules.of(TAXONOMY), target=300, blasts_in_me=False)
    found = count_cells(frame, TAXONOMY, own.with_class("KSC", True))
    lines = {line.key: line for line in found.classes}
    assert lines["KSC"].reviewed == Share(4, 10)
    assert found.share_of_target == 10 / 300
    assert (found.ratio.myeloid, found.ratio.erythroid) == (0, 2)
    none = count_cells(frame, TAXONOMY, own.with_class("BLA", False))
    assert none.blasts is None


def test_the_ratio_in_words():
    assert Ratio(0, 5).sentence == "M:E not computable (0 myeloid, 5 erythroid cells)"
    told = Ratio(60, 20).sentence
    assert told == "M:E 3.0 (95 % 1.8 to 5.0; 60 myeloid, 20 erythroid cells)"


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(TAXONOMY.codes), st.integers(0, 30)))
def test_what_counts_adds_up(counts):
    found = count_cells(
        reviewed(*((n, code, "", "auto") for code, n in counts.items())), TAXONOMY
    )
    shares = [line.reviewed.percent for line in found.classes if line.counted]
    assert found.total == sum(
        line.reviewed.count for line in found.classes if line.counted
    )
    if found.total:
        assert sum(shares) == pytest.approx(100)
        for line in (*found.classes, *found.lineages):
            low, high = line.reviewed.interval
            assert not line.counted or low <= line.reviewed.percent <= high
    assert found.without_class == 0
