"""Likeness: cells like one, cells that stand out, and the map of all."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cytodino.teaching.likeness import NEAR, alike, map_of, standing_out


def clusters(each: int, kinds: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    which = np.repeat(np.arange(kinds), each)
    middles = rng.normal(0, 2, (kinds, 30))
    features = middles[which] + rng.normal(0, 1, (len(which), 30))
    return features.astype(np.float16), which


def test_the_cell_itself_comes_first_then_its_own_kind() -> None:
    features, which = clusters(50)
    rows = np.arange(200)
    found = alike(features, 120, rows, 40)
    assert found[0] == 120
    assert len(set(found.tolist())) == 40
    assert (which[found] == which[120]).mean() > 0.95


def test_only_the_rows_given_are_shown() -> None:
    features, _ = clusters(50)
    rows = np.arange(0, 200, 3)
    found = alike(features, 1, rows, 20)
    assert found[0] == 1
    assert set(found[1:].tolist()) <= set(rows.tolist())
    assert alike(features, 7, np.array([7]), 20).tolist() == [7]
    assert len(alike(features, 7, np.arange(5), 20)) == 6


def test_the_nearest_come_first() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(0, 1, (300, 10))
    features[:, 1:] *= 1e-6
    features[:, 0] = np.arange(300)
    found = alike(features.astype(np.float32), 100, np.arange(300), 5)
    assert set(found.tolist()) == {98, 99, 100, 101, 102}


def test_a_cell_of_another_kind_stands_out_of_a_group() -> None:
    features, which = clusters(40)
    group = np.flatnonzero(which == 2)
    assert len(standing_out(features, group)) <= 2
    mixed = np.append(group[:30], [0, 50])
    assert set(standing_out(features, mixed).tolist()) >= {0, 50}
    assert not len(standing_out(features, group[:4])), "of four none can stand out"


@pytest.mark.parametrize("each", [30, 800])
def test_like_cells_lie_near_each_other_on_the_map(each: int) -> None:
    features, which = clusters(each)
    places = map_of(features)
    assert places.shape == (4 * each, 2)
    assert places.dtype == np.float32
    assert places.min() >= 0
    assert places.max() <= 1
    away = np.hypot(*(places[:, None] - places[None, ::7]).transpose(2, 0, 1))
    away[np.arange(0, len(places), 7), np.arange(len(places[::7]))] = np.inf
    nearest = which[::7][away.argmin(axis=1)]
    assert (nearest == which).mean() > 0.9
    np.testing.assert_array_equal(map_of(features), places)


@pytest.mark.parametrize("count", [0, 1, 3, NEAR, NEAR + 1])
def test_few_cells_have_places_too(count: int) -> None:
    features = np.random.default_rng(0).normal(0, 1, (count, 8)).astype(np.float16)
    places = map_of(features)
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()


def test_cells_that_are_all_the_same_have_places() -> None:
    places = map_of(np.ones((40, 8), np.float16))
    assert np.isfinite(places).all()
