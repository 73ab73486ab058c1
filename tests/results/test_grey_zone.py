"""The grey zone is where domain.md 4.2 puts it, and the cells asked for do tell."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cytodino.results.counting import CountingRules
from napari_cytodino.results.differential_count import Share, count_cells
from napari_cytodino.results.grey_zone import (
    MOST,
    bounds,
    cells_needed,
    grey_zone_sentence,
    grey_zones,
)
from napari_cytodino.stats.binomial import wilson
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")

# domain.md 4.2: total, threshold, lowest and highest per cent that leave it open
PUBLISHED = [
    (500, 20, 16.6, 23.4), (500, 10, 7.4, 12.6), (500, 5, 3.2, 6.8),
    (200, 20, 14.5, 25.5), (200, 10, 6, 14), (200, 5, 2, 8),
    (1000, 20, 17.6, 22.4), (1000, 10, 8.2, 11.8), (1000, 5, 3.7, 6.3),
]  # fmt: skip


def of(blasts, others, counting=None):
    codes = ["BLA"] * blasts + ["NGS"] * others
    frame = pd.DataFrame({"final_class": codes, "cell_class": codes})
    frame["reviewed_class"], frame["status"] = "", "auto"
    return count_cells(frame, TAXONOMY, counting)


@pytest.mark.parametrize(("total", "threshold", "low", "high"), PUBLISHED)
def test_bounds_as_published(total, threshold, low, high):
    fewest, most = bounds(threshold, total)
    found = (round(100 * fewest / total, 1), round(100 * most / total, 1))
    assert found == (low, high)


@given(st.integers(1, 1500), st.sampled_from([5, 10, 20, 50]))
def test_bounds_are_where_wilsons_interval_holds_the_threshold(total, threshold):
    fewest, most = bounds(threshold, total)
    for count in {0, fewest - 1, fewest, most, most + 1, total}:
        if 0 <= count <= total:
            low, high = wilson(count, total)
            inside = low <= threshold / 100 <= high
            assert inside == (fewest <= count <= most)


@given(
    st.integers(1, 600).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from([5, 10, 20]),
)
def test_as_many_cells_as_asked_for_tell_and_one_fewer_does_not(case, threshold):
    count, total = case
    share = Share(count, total)
    zones = grey_zones(share, [threshold])
    needed = cells_needed(share.percent, threshold)
    if not zones:
        assert needed is not None
        assert needed <= total
        return
    assert needed is None or needed > total
    # the same share of more cells: only whole multiples keep it exactly
    if needed is not None:
        times = -(-needed // total)
        assert not grey_zones(Share(count * times, total * times), [threshold])
        if times > 1:
            fewer = times - 1
            assert grey_zones(Share(count * fewer, total * fewer), [threshold])


def test_needed_by_hand():
    # 1.959964^2 * 0.2 * 0.8 / 0.02^2 = 1536.6
    assert cells_needed(18, 20) == 1537
    assert cells_needed(20, 20) is None


def test_the_sentence():
    assert grey_zone_sentence(of(90, 410)) == (
        "Blasts: 18.0 % (90 of 500; 95 % 14.9 to 21.6 %) cannot be told from 20 %: "
        "count more cells. At this share it takes about 1,037 more."
    )


def test_several_thresholds_in_one_sentence():
    told = grey_zone_sentence(of(4, 36))
    assert "cannot be told from 5 %, 10 % or 20 %: count more cells" in told
    assert "for 5 %" in told
    assert "no sensible number of cells would tell for 10 %" in told


def test_no_more_cells_are_asked_for_than_there_can_be():
    (zone,) = grey_zones(Share(199, 1000), [20])
    assert cells_needed(19.9, 20) > MOST
    assert zone.more is None


def test_silence_where_nothing_is_open():
    assert grey_zone_sentence(of(250, 250)) == ""
    assert grey_zone_sentence(of(0, 0)) == ""
    without = CountingRules.of(TAXONOMY).with_class("BLA", False)
    assert grey_zone_sentence(of(90, 410, without)) == ""
    assert grey_zones(Share(90, 500, counted=False), [20]) == ()
