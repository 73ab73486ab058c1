"""Shapes have the distances they claim; textures and dots the statistics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_cytodino.synthetic._drawing import (
    TILE,
    arc,
    disc,
    dots,
    edge,
    fibres,
    make_patch,
    merge,
    outline,
    segment,
    stretched,
    texture,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("angle", [0.0, 1.1])
def test_a_patch_holds_its_reach_around_its_middle_pixel(
    scale: float, angle: float
) -> None:
    patch = make_patch(20, scale, angle)
    middle = patch.shape[0] // 2
    assert patch.shape[0] == patch.shape[1]
    assert patch.shape[0] % 2 == 1
    assert patch.u[middle, middle] == patch.v[middle, middle] == 0
    border = np.hypot(patch.u, patch.v)
    border[1:-1, 1:-1] = np.inf
    assert border.min() >= 20
    spacing = np.hypot(*(np.diff(axis[middle])[0] for axis in (patch.u, patch.v)))
    assert spacing == pytest.approx(1 / scale, rel=1e-3)


def test_stretching_makes_an_oval_of_the_same_area() -> None:
    patch = make_patch(60, 1, 0)
    oval = stretched(patch, 2.0)
    round_area = (disc(patch.u, patch.v, (0, 0), 30) < 0).sum()
    inside = disc(oval.u, oval.v, (0, 0), 30) < 0
    assert inside.sum() == pytest.approx(round_area, rel=0.02)
    assert inside.any(0).sum() == pytest.approx(2 * inside.any(1).sum(), rel=0.05)


def test_an_edge_runs_from_full_to_empty() -> None:
    line = np.linspace(-5, 5, 101, dtype=np.float32)
    cover = edge(line, 4)
    assert (np.diff(cover) <= 0).all()
    assert (cover[line <= -2] == 1).all()
    assert (cover[line >= 2] == 0).all()
    assert cover[50] == pytest.approx(0.5)


def test_merging_keeps_both_shapes_and_fills_the_seam() -> None:
    patch = make_patch(40, 1, 0)
    left, right = (disc(patch.u, patch.v, (x, 0), 10) for x in (-10.5, 10.5))
    union = merge(left, right, 6)
    assert (union <= np.minimum(left, right) + 1e-6).all()
    assert union[42, 42] < 0 < min(left[42, 42], right[42, 42])


@pytest.mark.parametrize("half_angle", [0.6, 1.4, 2.2, 2.9])
def test_a_ribbon_has_the_distance_of_its_points(half_angle: float) -> None:
    patch = make_patch(40, 1, 0.4)
    turns = np.linspace(-half_angle, half_angle, 800)
    spine = 25 * np.stack([np.cos(turns), np.sin(turns)], 1)
    nearest = np.min(
        [np.hypot(patch.u - u, patch.v - v) for u, v in spine.astype(np.float32)], 0
    )
    ribbon = arc(patch.u, patch.v, 25, half_angle, 5)
    np.testing.assert_allclose(ribbon, nearest - 5, atol=0.1)


def test_a_segment_has_the_distance_of_its_points() -> None:
    patch = make_patch(30, 1, 0)
    start, end = (-12.0, 5.0), (9.0, -3.0)
    shares = np.linspace(0, 1, 500, dtype=np.float32)
    nearest = np.min(
        [
            np.hypot(
                patch.u - (start[0] + t * (end[0] - start[0])),
                patch.v - (start[1] + t * (end[1] - start[1])),
            )
            for t in shares
        ],
        0,
    )
    np.testing.assert_allclose(
        segment(patch.u, patch.v, start, end), nearest, atol=0.03
    )


@pytest.mark.parametrize("hairs", [(0, 0.0), (40, 15.0)])
def test_an_outline_stays_within_its_bounds(hairs: tuple[int, float]) -> None:
    patch = make_patch(80, 1, 0)
    for seed in range(8):
        inside = outline(patch, 40, 0.1, np.random.default_rng(seed), hairs) < 0
        far = np.hypot(patch.u, patch.v)
        assert far[inside].max() <= 40 * 1.2 + hairs[1]
        assert far[~inside].min() >= 40 * 0.8 - 0.1
        assert ndimage.label(inside, np.ones((3, 3)))[1] <= 1 + hairs[0]


def test_hairs_lengthen_the_border(rng: np.random.Generator) -> None:
    patch = make_patch(80, 1, 0)
    smooth = outline(patch, 40, 0.03, rng) < 0
    hairy = outline(patch, 40, 0.03, rng, (40, 15.0)) < 0

    def border(mask: np.ndarray) -> int:
        return int((mask & ~ndimage.binary_erosion(mask)).sum())

    assert border(hairy) > 1.5 * border(smooth)


@pytest.mark.parametrize("shape", [(50, 120), (TILE, TILE), (TILE + 9, 20), (7, 999)])
def test_a_texture_has_any_shape(
    shape: tuple[int, int], rng: np.random.Generator
) -> None:
    noise = texture(shape, 1.5, rng)
    assert noise.shape == shape
    assert noise.dtype == np.float32


def test_a_texture_is_standardised_and_as_coarse_as_asked(
    rng: np.random.Generator,
) -> None:
    fine, coarse = (texture((TILE, TILE), sigma, rng) for sigma in (1.0, 4.0))
    for noise in (fine, coarse):
        assert noise.mean() == pytest.approx(0, abs=0.2)
        assert noise.std() == pytest.approx(1, rel=0.01)
    assert np.abs(np.diff(fine)).mean() > 2 * np.abs(np.diff(coarse)).mean()


def test_two_pieces_of_texture_differ(rng: np.random.Generator) -> None:
    assert not np.array_equal(texture((9, 9), 1.0, rng), texture((9, 9), 1.0, rng))


def test_fibres_run_along_the_axis_of_the_patch(rng: np.random.Generator) -> None:
    patch = make_patch(60, 1, 0)
    lines = fibres(patch, rng, 5)
    across, along = (np.abs(np.diff(lines, axis=axis)).mean() for axis in (0, 1))
    assert across > 1.5 * along
    assert lines.std() == pytest.approx(1, rel=0.25)


@pytest.mark.parametrize("radius", [2.0, 3.5])
def test_dots_are_counted_and_sized(radius: float) -> None:
    # Only one place in 30 x 30 pixels may be chosen, so that no two dots touch.
    region = np.zeros((301, 301), bool)
    region[15::30, 15::30] = True
    cover = dots(region, 60, radius, np.random.default_rng(0))
    spots, count = ndimage.label(cover > 0.3)
    expected = len(np.unique(np.random.default_rng(0).choice(region.sum(), 60)))
    assert count == expected
    area = np.median(np.bincount(spots.ravel())[1:])
    assert area == pytest.approx(np.pi * radius**2, rel=0.5)
    assert 0 <= cover.min() <= cover.max() <= 1


def test_no_region_and_no_count_give_no_dots(rng: np.random.Generator) -> None:
    assert not dots(np.zeros((9, 9), bool), 5, 2, rng).any()
    assert not dots(np.ones((9, 9), bool), 0, 2, rng).any()
