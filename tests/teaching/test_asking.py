"""Whom to ask about: cells of every kind, each once, and the same ones every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_cytodino.teaching import asking as module
from napari_cytodino.teaching.asking import (
    DIRECTIONS,
    MOST,
    compact,
    drawn_cells,
    typical_cells,
    unsure_cells,
)


def clouds(sizes: list[int], width: int = 12, seed: int = 0) -> np.ndarray:
    """Return features in clouds of these sizes, one after the other."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(sizes), width)) * 6
    which = np.repeat(np.arange(len(sizes)), sizes)
    noise = rng.normal(size=(len(which), width))
    return (centres[which] + noise).astype(np.float16)


def odds(n: int, classes: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, 0.3), n).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 99))
@example(53, 5, 11)  # a cluster that is empty at the end
def test_only_given_rows_are_asked_about_and_none_twice(n, count, seed):
    features = clouds([20, 20, 20], seed=seed)
    rows = np.sort(np.random.default_rng(seed).permutation(60)[:n])
    for asked in (
        typical_cells(features, rows, count),
        unsure_cells(features, odds(60, seed=seed), rows, count),
        drawn_cells(rows, count, seed),
    ):
        assert set(asked.tolist()) <= set(rows.tolist())
        assert len(set(asked.tolist())) == len(asked) == min(n, count)


def test_the_same_cells_are_asked_about_every_time():
    features, rows = clouds([70, 30, 20]), np.arange(120)
    for ask in (
        lambda: typical_cells(features, rows, 7),
        lambda: unsure_cells(features, odds(120), rows, 7),
        lambda: drawn_cells(rows, 7, 3),
    ):
        np.random.seed(0)  # noqa: NPY002
        first = ask()
        np.random.seed(1)  # noqa: NPY002
        np.testing.assert_array_equal(ask(), first)


@pytest.mark.parametrize("count", [3, 4, 90])
def test_of_few_cells_all_are_asked_about(count):
    rows = np.array([2, 5, 11])
    features = clouds([12])
    assert sorted(typical_cells(features, rows, count)) == [2, 5, 11]
    assert sorted(unsure_cells(features, odds(12), rows, count)) == [2, 5, 11]
    assert sorted(drawn_cells(rows, count, 0)) == [2, 5, 11]


def test_without_cells_nothing_is_asked():
    none = np.zeros(0, np.int64)
    assert len(typical_cells(clouds([5]), none, 3)) == 0
    assert len(unsure_cells(clouds([5]), odds(5), none, 3)) == 0
    assert len(drawn_cells(none, 3, 0)) == 0


def test_no_cell_is_asked_about_where_none_is_wanted():
    features, rows = clouds([20]), np.arange(20)
    assert len(drawn_cells(rows, 0, 0)) == 0
    assert len(typical_cells(features, rows, 0)) == 0
    assert len(unsure_cells(features, odds(20), rows, 0)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_kind_is_asked_about_among_common_ones(seed):
    sizes = [300, 300, 300, 6]
    asked = typical_cells(clouds(sizes, seed=seed), np.arange(906), 20)
    assert (asked >= 900).any()
    # the largest cloud comes first, never the rare one
    assert asked[0] < 900


def test_of_a_cloud_its_middle_is_asked_about():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5)).astype(np.float16)
    features[0] = features[1:].mean(axis=0)
    assert typical_cells(features, np.arange(60), 1).tolist() == [0]


def test_cells_that_are_all_alike_can_be_asked_about():
    # empty fields, or one cell many times
    same = np.ones((50, 8), np.float16)
    assert len(set(typical_cells(same, np.arange(50), 5).tolist())) == 5
    three = np.repeat(clouds([1, 1, 1]), 20, axis=0)
    asked = typical_cells(three, np.arange(60), 10).tolist()
    assert {row // 20 for row in asked} == {0, 1, 2}
    assert len(set(asked)) == 10


def test_unsure_cells_are_asked_about_before_sure_ones():
    n, count = 400, 6
    probabilities = np.full((n, 3), 0.01, np.float32)
    probabilities[np.arange(n), np.arange(n) % 3] = 0.98
    unsure = np.arange(0, n, 4)
    probabilities[unsure] = [0.4, 0.35, 0.25]
    asked = unsure_cells(clouds([n]), probabilities, np.arange(n), count)
    assert len(asked) == count
    # each class gives its least sure, so that some of the others are among them
    assert np.isin(asked, unsure).sum() >= count // 3


def test_unsure_cells_come_from_several_classes():
    # a large class whose cells are all unsure, and two small sure ones
    rng = np.random.default_rng(0)
    called = np.repeat([0, 1, 2], [460, 20, 20])
    high = np.where(called == 0, rng.uniform(0.35, 0.45, 500), 0.9)
    probabilities = np.repeat(((1 - high) / 3)[:, None], 4, axis=1)
    probabilities[np.arange(500), called] = high
    probabilities = probabilities.astype(np.float32)
    features = clouds([460, 20, 20])
    asked = unsure_cells(features, probabilities, np.arange(500), 9)
    assert set(called[asked].tolist()) == {0, 1, 2}


def test_of_one_class_the_least_sure_cells_are_asked_about():
    margin = np.linspace(0, 1, 500, dtype=np.float32)
    both = np.stack([(1 + margin) / 2, (1 - margin) / 2], axis=1)
    asked = unsure_cells(clouds([500]), both, np.arange(500), 5)
    assert (asked < module.NEAR * 5).all()


def test_of_several_classes_the_least_sure_is_asked_about_first():
    # one cell a class; a sure one lies in the middle, which is the most typical place
    n = module.NEAR + 2
    high = np.full(n, 0.2)
    high[:2] = 0.95
    probabilities = np.repeat(((1 - high) / (n - 1))[:, None], n, axis=1)
    probabilities[np.arange(n), np.arange(n)] = high
    turn = np.linspace(0, 2 * np.pi, n - 2, endpoint=False)
    features = np.zeros((n, 2), np.float16)
    features[2:] = np.stack([np.sin(turn), np.cos(turn)], axis=1)
    assert typical_cells(features, np.arange(n), 1)[0] < 2
    asked = unsure_cells(features, probabilities.astype(np.float32), np.arange(n), 1)
    assert asked[0] >= 2


def test_cells_are_drawn_with_the_same_chance_and_in_an_order_of_the_seed():
    rows = np.arange(40, 60)
    drawn = np.concatenate([drawn_cells(rows, 5, seed) for seed in range(400)])
    counts = np.bincount(drawn, minlength=60)[40:]
    # 100 each, and four standard deviations
    assert np.abs(counts - 100).max() < 40
    np.testing.assert_array_equal(
        drawn_cells(rows[::-1], 5, 7), drawn_cells(rows, 5, 7)
    )
    # who asks for more gets the same ones first
    np.testing.assert_array_equal(drawn_cells(rows, 9, 7)[:5], drawn_cells(rows, 5, 7))


def test_of_very_many_cells_some_are_compared(monkeypatch):
    monkeypatch.setattr(module, "MOST", 100)
    features, rows = clouds([300, 300]), np.arange(600)
    asked = typical_cells(features, rows, 8)
    assert len(set(asked.tolist())) == 8
    np.testing.assert_array_equal(typical_cells(features, rows, 8), asked)
    assert (asked < 300).any()
    assert (asked >= 300).any()
    assert MOST > 100


@pytest.mark.parametrize(("n", "width"), [(60, 200), (200, 60), (200, 5), (4, 4)])
def test_places_keep_how_far_cells_are_apart(n, width):
    # few directions carry nearly all there is
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 4)) @ rng.normal(size=(4, width))
    places = compact(features)
    assert len(places) == n
    assert places.shape[1] <= DIRECTIONS
    x = (features - features.mean(axis=0)) / features.std(axis=0)
    want = ((x[:1] - x) ** 2).sum(axis=1)
    np.testing.assert_allclose(
        ((places[:1] - places) ** 2).sum(axis=1), want, rtol=1e-6
    )


def test_a_feature_that_never_changes_counts_nothing():
    features = clouds([30])
    features[:, 3] = 5
    moved = features.copy()
    moved[:, 3] = -5
    np.testing.assert_allclose(compact(features), compact(moved), atol=1e-4)
