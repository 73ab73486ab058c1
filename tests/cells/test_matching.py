"""Cells are found again by place and size, one to one, or said to be gone."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.cells.matching import (
    AREA_RATIO,
    EXACT,
    NEAR,
    find_again,
    same_rows,
)


def grid(n, seed=0):
    """Return centres 40 px apart, jittered, and areas of cells 20 to 34 px wide."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n)))
    centre = np.stack(np.divmod(np.arange(n), side), 1) * 40.0
    return centre + rng.uniform(-4, 4, (n, 2)), rng.uniform(314, 900, n)


def match(old, new):
    labels = (np.arange(1, len(old[0]) + 1), np.arange(1, len(new[0]) + 1))
    return find_again(labels[0], *old, labels[1], *new)


@pytest.mark.parametrize("seed", range(5))
def test_renumbered_and_redrawn_cells_are_all_found(seed):
    rng = np.random.default_rng(seed)
    centre, area = grid(300, seed)
    order = rng.permutation(300)
    moved = centre[order] + rng.uniform(-2, 2, (300, 2))
    drawn = area[order] * rng.uniform(0.7, 1.4, 300)
    np.testing.assert_array_equal(
        match((centre, area), (moved, drawn)), np.argsort(order)
    )


def test_cells_that_are_gone_have_no_row():
    centre, area = grid(100)
    keep = np.arange(0, 100, 3)
    rows = match((centre, area), (centre[keep], area[keep]))
    np.testing.assert_array_equal(rows[keep], np.arange(len(keep)))
    assert (np.delete(rows, keep) == -1).all()


@pytest.mark.parametrize(
    ("shift", "factor", "found"),
    [
        (0.48, 1.0, True),
        (0.52, 1.0, False),
        (0.2, 1.9, True),
        (0.2, 2.2, False),
        (0.2, 1 / 2.2, False),
        (0.0, 9.0, True),
    ],
)
def test_how_far_and_how_alike(shift, factor, found):
    radius = 10.0
    area = np.array([np.pi * radius**2])
    smaller = radius * min(1, np.sqrt(factor))
    rows = match(
        (np.array([[50.0, 50.0]]), area),
        (np.array([[50.0, 50.0 + shift * smaller]]), area * factor),
    )
    assert (rows[0] == 0) is np.bool_(found)


def test_a_cell_cut_in_two_is_gone_and_so_are_two_that_became_one():
    radius = 20.0
    whole = (np.array([[50.0, 50.0]]), np.array([np.pi * radius**2]))
    off = 4 * radius / (3 * np.pi)
    halves = (np.array([[50.0 - off, 50.0], [50.0 + off, 50.0]]), whole[1] / [2, 2])
    assert match(whole, halves).tolist() == [-1]
    assert match(halves, whole).tolist() == [-1, -1]


def test_a_nucleus_and_its_ring_keep_apart():
    centre = np.array([[50.0, 50.0], [50.0, 50.0]])
    area = np.array([300.0, 900.0])
    assert match((centre, area), (centre, area[::-1])).tolist() == [1, 0]


def test_cells_on_one_spot_are_given_each_a_row_of_its_own():
    centre = np.array([[5.0, 5.0], [5.0, 5.0], [90.0, 9.0]])
    area = np.full(3, 80.0)
    assert sorted(match((centre, area), (centre, area)).tolist()) == [0, 1, 2]


def test_crops_of_a_stack_go_by_label():
    centre, area = np.full((5, 2), 31.5), np.full(5, 4096.0)
    old = np.array([4, 2, 9])
    rows = find_again(
        old, centre[:3], area[:3], np.array([1, 2, 3, 4, 5]), centre, area
    )
    assert rows.tolist() == [3, 1, -1]


@pytest.mark.parametrize(("m", "n"), [(0, 0), (0, 3), (3, 0)])
def test_none(m, n):
    assert match(grid(m), grid(n)).tolist() == [-1] * m


SPOTS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(1, 60)),
    min_size=1,
    max_size=8,
)


@given(SPOTS, SPOTS)
def test_pairs_are_alike_unique_and_none_that_is_plainly_mutual_is_missed(a, b):
    old, new = (
        (np.array([s[:2] for s in x], float), np.array([s[2] for s in x], float))
        for x in (a, b)
    )
    rows = match(old, new)
    if len(b) > 1 and len(set(b)) == 1:
        return
    taken = rows[rows >= 0]
    assert len(set(taken.tolist())) == len(taken)
    radius = [np.sqrt(area / np.pi) for _, area in (old, new)]
    distance = np.sqrt(
        ((old[0][:, None] - new[0]) ** 2).sum(-1) + np.subtract.outer(*radius) ** 2
    )
    for i, row in enumerate(rows):
        for j in range(len(b)):
            shift = np.hypot(*(old[0][i] - new[0][j]))
            small = min(radius[0][i], radius[1][j])
            ratio = max(old[1][i] / new[1][j], new[1][j] / old[1][i])
            alike = shift <= EXACT or (
                shift <= NEAR * small + 1e-9 and ratio <= AREA_RATIO + 1e-9
            )
            others = np.delete(distance[i], j), np.delete(distance[:, j], i)
            if row == j:
                assert alike
            elif (
                alike
                and shift < NEAR * small - 1e-9
                and ratio < AREA_RATIO - 1e-9
                and all((rest > distance[i, j] + 1e-9).all() for rest in others)
            ):
                pytest.fail(f"{a[i]} and {b[j]} are the same but were not paired")


def test_fifty_thousand_cells_take_well_under_a_second():
    centre, area = grid(50_000)
    match(grid(10), grid(10))  # scipy is loaded
    start = time.process_time()
    rows = match((centre, area), (centre[::-1] + 1, area[::-1]))
    assert time.process_time() - start < 1
    np.testing.assert_array_equal(rows, np.arange(50_000)[::-1])


def test_rows_of_cells_are_found_among_others() -> None:
    labels = np.zeros((40, 60), np.int32)
    labels[5:15, 5:15], labels[5:15, 30:40], labels[25:35, 10:20] = 1, 2, 3
    cells = cells_from_labels(labels)
    others = cells_from_labels(np.where(labels == 1, 0, labels) * 7)
    assert same_rows(cells, others).tolist() == [0, 1]
