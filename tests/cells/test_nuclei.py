"""Shapes of nuclei: necks are cut, lobes are joined, crumbs are dropped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.cells._nuclei import (
    close_gaps,
    depth_of,
    drop_small,
    join_lobes,
    split,
)

SHAPE = (120, 160)


def disc(y, x, radius, shape=SHAPE):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_depth_is_the_distance_to_the_background_and_a_border_is_none():
    depth = depth_of(disc(60, 80, 20))
    assert depth[60, 80] == pytest.approx(21, abs=1)
    cut = depth_of(disc(0, 80, 20))
    assert cut[0, 80] > 20
    assert depth_of(np.zeros(SHAPE, bool)).max() == 0


def test_gaps_and_holes_are_closed():
    ring = disc(60, 80, 20) & ~disc(60, 80, 12)
    assert close_gaps(ring, 0)[60, 80]
    two = disc(60, 60, 15) | disc(60, 96, 15)
    assert not close_gaps(two, 0)[60, 78]
    closed = close_gaps(two, 6)
    assert closed[60, 78]
    assert (closed >= two).all()


def test_touching_discs_are_cut_at_the_neck():
    pieces = split(disc(60, 60, 18) | disc(60, 92, 18), 60)
    assert pieces.max() == 2
    assert pieces[60, 60] != pieces[60, 92]
    border = np.flatnonzero(np.diff(pieces[60, 50:100])) + 50
    assert abs(border[0] - 76) <= 3


def test_one_disc_stays_one():
    mask = disc(60, 80, 22)
    pieces = split(mask, 60)
    assert pieces.max() == 1
    np.testing.assert_array_equal(pieces > 0, mask)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(10, 110), st.integers(10, 150), st.integers(3, 18)),
        max_size=6,
    )
)
def test_splitting_loses_and_invents_no_pixel(discs):
    mask = np.zeros(SHAPE, bool)
    for y, x, radius in discs:
        mask |= disc(y, x, radius)
    pieces = split(mask, 50)
    np.testing.assert_array_equal(pieces > 0, mask)
    assert set(np.unique(pieces)) == set(range(pieces.max() + 1))


def test_small_lobes_become_one_nucleus_and_whole_nuclei_do_not():
    lobes = np.zeros(SHAPE, np.int32)
    for label, (y, x) in enumerate([(50, 70), (66, 84), (50, 98)], 1):
        lobes[disc(y, x, 9)] = label
    assert len(np.unique(join_lobes(lobes, 60))) == 2
    whole = np.zeros(SHAPE, np.int32)
    whole[disc(60, 50, 20)], whole[disc(60, 96, 20)] = 1, 2
    assert len(np.unique(join_lobes(whole, 60))) == 3


def test_lobes_far_apart_stay_apart():
    lobes = np.zeros(SHAPE, np.int32)
    lobes[disc(60, 30, 9)], lobes[disc(60, 120, 9)] = 1, 2
    assert len(np.unique(join_lobes(lobes, 60))) == 3


def test_crumbs_are_dropped_unless_the_border_cuts_them():
    labels = np.zeros(SHAPE, np.int32)
    labels[disc(60, 80, 18)] = 1
    labels[disc(20, 20, 6)] = 2
    labels[disc(119, 140, 11)] = 3
    inside = drop_small(labels, 60, (False,) * 4)
    assert set(np.unique(inside)) == {0, 1}
    whole = drop_small(labels, 60, (True,) * 4)
    assert set(np.unique(whole)) == {0, 1, 2}
    assert whole[119, 140] == 2
    assert whole[20, 20] == 0


def test_nothing_stays_nothing():
    none = np.zeros(SHAPE, np.int32)
    assert not join_lobes(none, 60).any()
    assert not drop_small(none, 60, (True,) * 4).any()
