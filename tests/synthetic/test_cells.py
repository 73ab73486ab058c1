"""Red cells are pale in the middle and pink; platelets small and violet."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cytodino.synthetic._cells import (
    RED_CELL_DIAMETER,
    draw_platelet,
    draw_red_cell,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def diameter(mask: np.ndarray) -> float:
    return 2 * float(np.sqrt(mask.sum() / np.pi))


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.6])
def test_red_cells_have_their_size(scale: float, rng: np.random.Generator) -> None:
    sizes = [diameter(draw_red_cell(rng, scale).mask) for _ in range(40)]
    assert np.mean(sizes) == pytest.approx(RED_CELL_DIAMETER * scale, rel=0.05)
    assert np.std(sizes) > 0.01 * RED_CELL_DIAMETER * scale


def test_red_cells_are_biconcave(rng: np.random.Generator) -> None:
    for _ in range(20):
        sprite = draw_red_cell(rng)
        stain = sprite.density.sum(2)
        middle = stain.shape[0] // 2
        centre = stain[middle - 2 : middle + 3, middle - 2 : middle + 3].mean()
        assert centre < 0.8 * np.median(stain[sprite.mask])


def test_red_cells_take_up_least_red(rng: np.random.Generator) -> None:
    red, green, blue = draw_red_cell(rng).density.sum((0, 1))
    assert red < min(green, blue)


def test_platelets_are_small_and_violet(rng: np.random.Generator) -> None:
    for _ in range(20):
        sprite = draw_platelet(rng)
        assert 10 < diameter(sprite.mask) < 34
        red, green, blue = sprite.density.sum((0, 1))
        assert green > red > blue


@pytest.mark.parametrize("draw", [draw_red_cell, draw_platelet])
def test_the_same_generator_draws_the_same(draw: object) -> None:
    first, second = (draw(np.random.default_rng(8)) for _ in range(2))
    np.testing.assert_array_equal(first.density, second.density)
