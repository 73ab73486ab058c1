"""The same smear under other cameras: different, but the same smear."""

import numpy as np
import pytest

from napari_cytodino.training.finding.cameras import seen_by_a_camera

SIDE = 64
BACKGROUND = np.array([240.0, 225.0, 205.0])


def scene():
    rgb = np.zeros((SIDE, SIDE, 3)) + BACKGROUND
    cell = np.zeros((SIDE, SIDE))
    rows, columns = np.ogrid[:SIDE, :SIDE]
    disc = (rows - 32) ** 2 + (columns - 32) ** 2 < 14**2
    rgb[disc], cell[disc] = (80, 50, 130), 1
    return rgb, cell


def views(count):
    rgb, cell = scene()
    chances = (np.random.default_rng(seed) for seed in range(count))
    return [seen_by_a_camera(rgb, BACKGROUND, cell, c) for c in chances]


def test_a_seed_gives_one_view_and_another_seed_another():
    rgb, cell = scene()
    same = [
        seen_by_a_camera(rgb, BACKGROUND, cell, np.random.default_rng(s))
        for s in (1, 1, 2)
    ]
    assert np.array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])


def test_nuclei_stay_darker_than_glass_and_all_is_finite():
    for view in views(40):
        assert view.shape == (SIDE, SIDE, 3)
        assert np.isfinite(view).all()
        assert view[28:36, 28:36].mean() > view[:6].mean() + 0.1


def test_views_differ_in_strength_and_colour():
    middles = np.array([view[28:36, 28:36].mean((0, 1)) for view in views(40)])
    assert middles.mean(1).std() > 0.1
    hues = middles / middles.sum(1, keepdims=True)
    assert hues.std(0).max() > 0.03


@pytest.mark.parametrize("seed", range(5))
def test_glass_is_near_zero(seed):
    bare = np.zeros((SIDE, SIDE, 3)) + BACKGROUND
    chance = np.random.default_rng(seed)
    view = seen_by_a_camera(bare, BACKGROUND, np.zeros((SIDE, SIDE)), chance)
    assert abs(np.median(view)) < 0.4
