"""Dealing: every class in every part where it can be, shares kept, any order alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.data.grouped_split import stratified_group_split

SHARES = np.array([0.62, 0.08, 0.12, 0.18])


def names(n: int) -> list[str]:
    return [f"group-{i}" for i in range(n)]


def parts_of(counts: np.ndarray, dealt: np.ndarray) -> np.ndarray:
    return np.stack([counts[dealt == p].sum(axis=0) for p in range(len(SHARES))])


def test_single_cells_get_the_shares_to_the_cell() -> None:
    counts = np.repeat(np.eye(2, dtype=np.int64), [100, 50], axis=0)
    dealt = stratified_group_split([counts], names(150), SHARES, 0)
    assert parts_of(counts, dealt).T.tolist() == [[62, 8, 12, 18], [31, 4, 6, 9]]


def test_four_groups_of_a_class_reach_all_four_parts() -> None:
    counts = np.repeat(np.eye(3, dtype=np.int64), [4, 400, 1000], axis=0)
    dealt = stratified_group_split([counts], names(1404), SHARES, 3)
    assert parts_of(counts, dealt)[:, 0].tolist() == [1, 1, 1, 1]


def test_fewer_groups_go_to_the_largest_parts() -> None:
    counts = np.repeat(np.eye(4, dtype=np.int64), [1, 2, 3, 40], axis=0)
    got = parts_of(counts, stratified_group_split([counts], names(46), SHARES, 0))
    assert (got > 0).T.tolist()[:3] == [
        [True, False, False, False],
        [True, False, False, True],
        [True, False, True, True],
    ]


def test_the_first_level_is_covered_first() -> None:
    # Two laboratories with two groups each of the only class they share.
    classes = np.ones((4, 1), np.int64)
    laboratories = np.repeat(np.eye(2, dtype=np.int64), 2, axis=0)
    dealt = stratified_group_split([classes, laboratories], names(4), SHARES, 0)
    assert sorted(dealt) == [0, 1, 2, 3]


def test_large_groups_are_dealt_near_the_shares() -> None:
    rng = np.random.default_rng(5)
    counts = rng.poisson(40, (30, 3)) * rng.integers(0, 2, (30, 3))
    dealt = stratified_group_split([counts], names(30), SHARES, 0)
    share = parts_of(counts, dealt) / counts.sum(axis=0)
    assert np.abs(share - SHARES[:, None]).max() < 0.05


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(
        InputError, match="3 groups of cells cannot be dealt to 4 parts"
    ):
        stratified_group_split([np.full((3, 2), 10)], names(3), SHARES, 0)


def test_every_class_of_one_group_leaves_parts_empty() -> None:
    with pytest.raises(InputError, match="3 of them would be empty"):
        stratified_group_split([np.eye(5, dtype=np.int64)], names(5), SHARES, 0)


def test_a_seed_decides_and_only_a_seed() -> None:
    counts = np.ones((60, 1), np.int64)
    first = stratified_group_split([counts], names(60), SHARES, 1)
    assert np.array_equal(first, stratified_group_split([counts], names(60), SHARES, 1))
    assert not np.array_equal(
        first, stratified_group_split([counts], names(60), SHARES, 2)
    )


matrices = st.integers(1, 4).flatmap(
    lambda c: st.lists(
        st.lists(st.integers(0, 9), min_size=c, max_size=c).filter(any),
        min_size=20,
        max_size=40,
    )
)


@settings(max_examples=40, deadline=None)
@given(matrices, st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_class_of_enough_groups_is_in_every_part(
    rows: list[list[int]], seed: int, random: object
) -> None:
    counts = np.array(rows, np.int64)
    dealt = stratified_group_split([counts], names(len(rows)), SHARES, seed)
    held = (counts > 0).sum(axis=0)
    # covering a class in a part takes one group, so this many are never used up
    enough = held >= len(SHARES) * counts.shape[1]
    assert (parts_of(counts, dealt)[:, enough] > 0).all()
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    again = stratified_group_split(
        [counts[order]], [f"group-{i}" for i in order], SHARES, seed
    )
    assert np.array_equal(again, dealt[order])
