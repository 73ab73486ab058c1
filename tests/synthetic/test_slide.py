"""Sprites land where they are told, in part or not at all, and light falls on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.synthetic._cells import Sprite
from napari_cytodino.synthetic._slide import Canvas


def block(side: int = 7, strength: float = 3.0, cover: float = 1.0) -> Sprite:
    density = np.full((side, side, 3), strength * cover, np.float32)
    coverage = np.full((side, side), cover, np.float32)
    return Sprite(density, coverage, coverage > 0.5)


def canvas(shape: tuple[int, int] = (40, 60), seed: int = 0) -> Canvas:
    return Canvas(shape, np.random.default_rng(seed))


@settings(deadline=None, max_examples=60)
@given(st.integers(-20, 60), st.integers(-20, 80))
def test_a_label_is_cut_at_the_edge(row: int, column: int) -> None:
    slide = canvas()
    labels = np.zeros((40, 60), np.int32)
    slide.mark(labels, block(), (row, column), 5)
    expected = np.zeros((40, 60), np.int32)
    rows, columns = np.mgrid[:40, :60]
    expected[(abs(rows - row) <= 3) & (abs(columns - column) <= 3)] = 5
    np.testing.assert_array_equal(labels, expected)


def test_laying_over_hides_and_adding_adds() -> None:
    slide = canvas()
    slide.add(block(strength=1), (20, 20))
    slide.add(block(strength=1), (20, 20))
    np.testing.assert_allclose(slide._density[20, 20], 2)
    slide.lay_over(block(strength=0.5), (20, 20))
    np.testing.assert_allclose(slide._density[20, 20], 0.5)
    slide.lay_over(block(strength=1.5, cover=0.5), (20, 20))
    np.testing.assert_allclose(slide._density[20, 20], 1.0)


def test_stain_darkens_and_empty_glass_is_bright() -> None:
    slide = canvas()
    slide.lay_over(block(), (20, 20))
    picture = slide.render(np.random.default_rng(1))
    assert (picture.shape, picture.dtype) == ((40, 60, 3), np.uint8)
    assert picture[20, 20].max() < 40
    assert picture[:, 40:].mean() > 200


def test_light_is_uneven_and_noisy_but_little() -> None:
    picture = canvas((300, 300), 2).render(np.random.default_rng(1)).astype(float)
    corner, middle = picture[:40, :40].mean(), picture[130:170, 130:170].mean()
    assert 0.2 < abs(corner - middle) < 30
    assert 0.5 < np.diff(picture, axis=0).std() < 6


@pytest.mark.parametrize("seed", range(3))
def test_slides_differ_in_light(seed: int) -> None:
    first = canvas(seed=seed).render(np.random.default_rng(0))
    second = canvas(seed=seed + 10).render(np.random.default_rng(0))
    assert abs(first.mean((0, 1)) - second.mean((0, 1))).max() > 1
