"""Sampling: sources and classes in balance, repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cytodino.training.sampling import draw, emphasise, sampling_weights

TARGETS = np.array([0] * 90 + [1] * 10 + [1] * 5 + [2] * 5)
SOURCES = np.array(["blood"] * 100 + ["marrow"] * 10)


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
