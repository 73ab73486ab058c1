"""Sampling: sources and classes in balance, repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.data.sampling import (
    class_weights,
    draw,
    emphasise,
    epoch_order,
    sampling_weights,
    some_of_each,
)

PUBLISHED = np.array(
    [
        *[8, 19630, 441, 11973, 27395, 5883, 47, 409, 42, 65, 26242, 3055, 4040, 6557],
        *[9968, 29424, 3538, 294, 2740, 7629, 11994],
    ]
)
"""MLL's class counts in the order of mll21.toml (domain reference, 1.3)."""

TRAIN = PUBLISHED - np.maximum(1, PUBLISHED // 5)
TARGETS = np.array([0] * 90 + [1] * 10 + [1] * 5 + [2] * 5)
SOURCES = np.array(["blood"] * 100 + ["marrow"] * 10)


def expected_draws(counts: np.ndarray, power: float) -> np.ndarray:
    """Return how many crops of each class an epoch twice as long shows on average."""
    mass = counts * (counts + 1.0) ** -power
    return counts + counts.sum() * mass / mass.sum()


def shares(weights: np.ndarray) -> dict[tuple[str, int], float]:
    pairs = {(str(s), int(t)) for s, t in zip(SOURCES, TARGETS, strict=True)}
    return {
        (s, t): float(weights[(s == SOURCES) & (t == TARGETS)].sum()) for s, t in pairs
    }


def test_sources_and_their_classes_get_equal_shares() -> None:
    weights = sampling_weights(TARGETS, SOURCES, 1.0)
    assert weights.sum() == pytest.approx(1)
    assert shares(weights) == pytest.approx(
        {
            ("blood", 0): 0.25,
            ("blood", 1): 0.25,
            ("marrow", 1): 0.25,
            ("marrow", 2): 0.25,
        }
    )


def test_power_zero_keeps_the_frequencies_of_a_source() -> None:
    found = shares(sampling_weights(TARGETS, SOURCES, 0.0))
    assert found[("blood", 0)] == pytest.approx(0.45)
    assert found[("blood", 1)] == pytest.approx(0.05)


def test_draw_depends_on_seed_and_step_alone() -> None:
    weights = sampling_weights(TARGETS, SOURCES, 1.0)
    assert np.array_equal(draw(weights, 32, 1, 7), draw(weights, 32, 1, 7))
    assert not np.array_equal(draw(weights, 32, 1, 7), draw(weights, 32, 1, 8))
    assert not np.array_equal(draw(weights, 32, 1, 7), draw(weights, 32, 2, 7))


def test_draw_follows_the_weights() -> None:
    weights = np.zeros(5)
    weights[3] = 1.0
    assert set(draw(weights, 16, 0, 0)) == {3}


def test_emphasis_multiplies_by_class_and_source() -> None:
    names = [("a", "lab"), ("b", "lab"), ("b", "other")]
    raised = emphasise(np.full(3, 1 / 3), names, {"b": 2.0, "other": 3.0})
    assert raised.tolist() == pytest.approx([1 / 9, 2 / 9, 6 / 9])
    assert emphasise(np.full(3, 1 / 3), names, {}).tolist() == pytest.approx(
        [1 / 3] * 3
    )


def test_the_rarest_published_class_is_drawn_965_times_an_epoch() -> None:
    drawn = expected_draws(TRAIN, 0.7)
    # domain reference, 1.1 number 6: 7 images, about 965 draws, 138 each
    assert drawn[0] == pytest.approx(965, abs=0.5)
    assert drawn[0] / TRAIN[0] == pytest.approx(138, abs=0.5)
    assert drawn.sum() == pytest.approx(274_216)


def test_an_epoch_of_the_published_counts_is_as_long_as_published() -> None:
    targets = np.repeat(np.arange(21), TRAIN)
    orders = [
        epoch_order(targets, power=0.7, multiplier=2, seed=3, epoch=e) for e in range(4)
    ]
    assert {len(order) for order in orders} == {274_216}
    seen = [np.bincount(targets[order], minlength=21) for order in orders]
    expected = expected_draws(TRAIN, 0.7)
    # four standard deviations of the mean of four draws
    assert (abs(np.mean(seen, axis=0) - expected) < 2 * np.sqrt(expected)).all()


def test_published_class_weights() -> None:
    # domain reference, 1.1 numbers 6 and 17
    whole = class_weights(np.repeat(np.arange(21), PUBLISHED), 21)
    train = class_weights(np.repeat(np.arange(21), TRAIN), 21)
    assert whole[0] == pytest.approx(31.94, abs=0.005)
    assert train[0] == pytest.approx(30.54, abs=0.005)
    # numbers 6: an error on the rarest weighs 3 x 31.94 = 95.8, on the commonest 0.527
    assert whole.min() == pytest.approx(0.527, abs=0.0005)
    assert whole.argmin() == 15


def test_weights_are_as_many_as_classes_and_an_absent_class_shifts_none() -> None:
    weights = class_weights(np.array([0, 0, 0, 3]), 5)
    # balanced: 4 / (2 * 3) and 4 / (2 * 1)
    assert weights.tolist() == pytest.approx([(2 / 3) ** 0.5, 1, 1, 2**0.5, 1])


@pytest.mark.parametrize("multiplier", [1.0, 1.5, 3.0])
def test_every_crop_comes_at_least_once(multiplier: float) -> None:
    targets = np.array([0] * 30 + [1] * 10)
    order = epoch_order(targets, power=0.7, multiplier=multiplier, seed=0, epoch=0)
    assert len(order) == 40 * multiplier
    assert set(order) == set(range(40))
    assert not np.array_equal(order[:40], np.arange(40))
    assert order.dtype == np.int64


def test_an_epoch_depends_on_seed_and_epoch_alone() -> None:
    targets = np.array([0] * 30 + [1] * 10)

    def order(seed: int, epoch: int) -> list[int]:
        found = epoch_order(targets, power=0.7, multiplier=2, seed=seed, epoch=epoch)
        return found.tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    assert order(1, 2) != order(2, 1)


def test_rare_classes_are_drawn_more_often_the_higher_the_power() -> None:
    targets = np.repeat([0, 1], [900, 100])
    rare = [
        int(targets[epoch_order(targets, power=p, multiplier=2, seed=0, epoch=0)].sum())
        - 100
        for p in (0.0, 0.7, 1.0)
    ]
    assert rare[0] == pytest.approx(100, abs=40)
    assert rare[0] < rare[1] < rare[2] < 550


def test_what_cannot_be_drawn_is_refused() -> None:
    targets, nothing = np.array([0, 1]), np.array([], np.int64)
    for power, multiplier in ((-0.1, 2.0), (0.7, 0.9)):
        with pytest.raises(InputError, match="power from 0 and a multiplier from 1"):
            epoch_order(targets, power=power, multiplier=multiplier, seed=0, epoch=0)
    with pytest.raises(InputError, match="no cell"):
        epoch_order(nothing, power=0.7, multiplier=2, seed=0, epoch=0)
    with pytest.raises(InputError, match="no cell"):
        class_weights(nothing, 3)
    with pytest.raises(InputError, match="Target 3 is no class: use 0 to 2"):
        class_weights(np.array([0, 3]), 3)
    with pytest.raises(InputError, match="Target -1"):
        class_weights(np.array([0, -1]), 3)


def test_some_of_each_class_and_source_and_no_more() -> None:
    rows = some_of_each(TARGETS, SOURCES, seed=1, most=7)
    assert np.array_equal(rows, np.unique(rows))
    kept = {(str(SOURCES[i]), int(TARGETS[i])) for i in rows}
    assert kept == {("blood", 0), ("blood", 1), ("marrow", 1), ("marrow", 2)}
    assert len(rows) == 7 + 7 + 5 + 5
    assert np.array_equal(rows, some_of_each(TARGETS, SOURCES, seed=1, most=7))
    assert not np.array_equal(rows, some_of_each(TARGETS, SOURCES, seed=2, most=7))
    nothing = np.zeros(0, np.int64)
    assert len(some_of_each(nothing, np.zeros(0, str), seed=0)) == 0
