"""Granules, needles, vacuoles and the Golgi zone lie where they belong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_cytodino.synthetic._cytoplasm import (
    Interior,
    lay_granules,
    lay_rods,
    overlay,
    pallor,
)
from napari_cytodino.synthetic._drawing import disc, edge, make_patch
from napari_cytodino.synthetic._morphology import Granules, Morphology, morphologies
from napari_cytodino.synthetic._nuclei import NucleusDrawing

RADIUS = 60.0


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(6)


@pytest.fixture
def inside() -> Interior:
    """Give a round cell with a round nucleus on its right."""
    patch = make_patch(RADIUS + 5, 1, 0)
    cell = disc(patch.u, patch.v, (0, 0), RADIUS)
    cover = edge(disc(patch.u, patch.v, (25, 0), 25), 2)
    density = np.ones((*patch.shape, 3), np.float32)
    return Interior(patch, RADIUS, cell, NucleusDrawing(density, cover, (25.0, 0.0)))


def one(code: str) -> Morphology:
    return morphologies([code])[0]


def granulated(over_nucleus: float) -> Morphology:
    kind = Granules("#400000", (60, 60), (2, 2), (over_nucleus, over_nucleus))
    return replace(one("LYT"), granules=(kind,))


def blank(inside: Interior) -> tuple[np.ndarray, np.ndarray]:
    shape = inside.patch.shape
    return np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)


def test_overlay_mixes_by_coverage() -> None:
    below = np.zeros((1, 3, 3), np.float32)
    cover = np.array([[0, 0.5, 1]], np.float32)
    mixed = overlay(below, np.array([2, 4, 6], np.float32), cover)
    np.testing.assert_allclose(mixed[0], [[0, 0, 0], [1, 2, 3], [2, 4, 6]])


def test_granules_stay_inside_the_cell(
    inside: Interior, rng: np.random.Generator
) -> None:
    density, coverage = lay_granules(granulated(1), inside, *blank(inside), rng)
    assert coverage.max() > 0.8
    assert density[inside.distance > 0].max() < 0.05
    assert ndimage.label(coverage > 0.4)[1] > 25


def test_granules_cover_the_nucleus_only_when_told_to(
    inside: Interior, rng: np.random.Generator
) -> None:
    core = inside.nucleus.coverage == 1
    below, _ = lay_granules(granulated(0), inside, *blank(inside), rng)
    above, _ = lay_granules(granulated(1), inside, *blank(inside), rng)
    assert below[core].max() < 0.01
    assert above[core].max() > 0.5


def test_cells_without_granules_or_needles_are_left_alone(
    inside: Interior, rng: np.random.Generator
) -> None:
    density, coverage = blank(inside)
    density += 0.3
    drawn, cover = lay_granules(one("LYT"), inside, density, coverage, rng)
    np.testing.assert_array_equal(drawn, density)
    np.testing.assert_array_equal(cover, coverage)
    np.testing.assert_array_equal(lay_rods(one("LYT"), inside, density, rng), density)


def test_needles_are_long_thin_and_inside(inside: Interior) -> None:
    kind = replace(one("FGC"), rods=(1, 1), rod_length=(30, 30))
    lengths = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        density = lay_rods(kind, inside, blank(inside)[0], rng)
        assert density[inside.distance > 0].max() == 0
        pixels = np.argwhere(density[..., 1] > 0.5 * density[..., 1].max())
        spread = np.sqrt(np.linalg.eigvalsh(np.cov(pixels.T)))
        lengths.append(spread[1] * np.sqrt(12))
        assert spread[1] > 4 * spread[0]
    assert np.median(lengths) == pytest.approx(31, abs=4)


def test_only_cells_with_holes_lose_stain(
    inside: Interior, rng: np.random.Generator
) -> None:
    assert not pallor(one("LYT"), inside, rng).any()
    holes = pallor(one("MON"), inside, rng)
    assert 0.8 < holes.max() <= 1
    assert 3 <= ndimage.label(holes > 0.4)[1] <= 11
    assert holes[inside.distance > 0].max() == 0


def test_the_golgi_zone_faces_the_middle_of_the_cell(
    inside: Interior, rng: np.random.Generator
) -> None:
    zone = pallor(one("PLM"), inside, rng)
    row, column = np.unravel_index(zone.argmax(), zone.shape)
    middle = zone.shape[0] // 2
    assert abs(row - middle) < 10
    assert column < middle + 25
    assert 0.6 < zone.max() < 0.9


def test_a_cell_full_of_nucleus_has_no_room_for_holes(
    inside: Interior, rng: np.random.Generator
) -> None:
    full = np.ones(inside.patch.shape, np.float32)
    nucleus = replace(inside.nucleus, coverage=full)
    assert not pallor(one("MON"), replace(inside, nucleus=nucleus), rng).any()
