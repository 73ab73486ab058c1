"""Single cells: exact masks within their reach, and marks of their class."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from napari_cytodino.synthetic._cells import Body, Sprite, draw_cell, make_body
from napari_cytodino.synthetic._morphology import morphologies

CODES = [kind.code for kind in morphologies()]


def cell(code: str, seed: int = 0, scale: float = 1.0) -> tuple[Sprite, Body]:
    (kind,) = morphologies([code])
    rng = np.random.default_rng(seed)
    body = make_body(kind, rng)
    return draw_cell(kind, body, rng, scale), body


def seen(sprite: Sprite) -> np.ndarray:
    """Give the colours of a sprite on white glass, 0 to 1."""
    return np.exp(-sprite.density)


def median(code: str, measure: object) -> float:
    return float(np.median([measure(cell(code, seed)[0]) for seed in range(7)]))


def orange(sprite: Sprite) -> float:
    colours = seen(sprite)[sprite.mask]
    return float((colours[:, 0] - colours[:, 2]).mean())


def dark(sprite: Sprite) -> float:
    """Measure the share of the cell's outer rim that is nearly black."""
    depth = ndimage.distance_transform_edt(sprite.mask)
    rim = (depth > 2) & (depth < 10)
    return float((seen(sprite)[rim].mean(1) < 0.35).mean())


def sharpness(sprite: Sprite) -> float:
    detail = ndimage.laplace(ndimage.gaussian_filter(sprite.density.sum(2), 1))
    return float(abs(detail[sprite.mask]).mean() / sprite.density.sum(2).mean())


def solidity(sprite: Sprite) -> float:
    return float(regionprops(sprite.mask.astype(np.uint8))[0].solidity)


def diameter(sprite: Sprite) -> float:
    return 2 * float(np.sqrt(sprite.mask.sum() / np.pi))


@pytest.mark.parametrize("scale", [0.35, 1.0])
@pytest.mark.parametrize("code", CODES)
def test_masks_are_one_piece_within_reach(code: str, scale: float) -> None:
    for seed in range(4):
        sprite, body = cell(code, seed, scale)
        assert ndimage.label(sprite.mask)[1] == 1
        middle = sprite.mask.shape[0] // 2
        rows, columns = np.nonzero(sprite.mask)
        assert np.hypot(rows - middle, columns - middle).max() <= body.reach * scale
        assert diameter(sprite) >= 1.6 * body.radius * scale


@pytest.mark.parametrize("code", CODES)
def test_sprites_are_finite_stain(code: str) -> None:
    sprite, _ = cell(code, 2)
    assert sprite.density.shape == (*sprite.mask.shape, 3)
    assert sprite.density.dtype == sprite.coverage.dtype == np.float32
    assert np.isfinite(sprite.density).all()
    assert sprite.density.min() >= 0
    assert 0 <= sprite.coverage.min() <= sprite.coverage.max() <= 1
    # Nothing of a cell is cut off by its patch.
    for line in (sprite.coverage[0], sprite.coverage[:, 0]):
        assert line.max() < 0.1


@pytest.mark.parametrize("code", CODES)
def test_the_same_generator_draws_the_same_cell(code: str) -> None:
    np.testing.assert_array_equal(cell(code, 5)[0].density, cell(code, 5)[0].density)


@pytest.mark.parametrize("code", CODES)
def test_cells_of_a_class_differ(code: str) -> None:
    first, second = (seen(cell(code, seed)[0]).mean((0, 1)) for seed in (0, 1))
    assert abs(first - second).max() > 1e-3


@pytest.mark.parametrize("code", CODES)
def test_the_scale_scales(code: str) -> None:
    small, large = (diameter(cell(code, 3, scale)[0]) for scale in (0.5, 1.0))
    assert large == pytest.approx(2 * small, rel=0.08)


def test_sizes_are_in_the_order_of_biology() -> None:
    sizes = [median(code, diameter) for code in ("EBO", "LYT", "NGS", "PMO", "OTH")]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 1.8 * sizes[1]


def test_eosinophils_are_orange() -> None:
    eosinophil, abnormal = median("EOS", orange), median("ABE", orange)
    for code in ("NGS", "BAS", "MYB"):
        assert eosinophil > median(code, orange) + 0.1
        assert abnormal > median(code, orange) + 0.05


def test_dark_granules_set_apart_basophils_and_abnormal_eosinophils() -> None:
    assert median("BAS", dark) > 0.15
    assert 0.035 < median("ABE", dark) < median("BAS", dark)
    for code in ("NGS", "EOS", "MYB"):
        assert median(code, dark) < 0.03


def test_young_red_cells_are_bluest() -> None:
    def blue_body(sprite: Sprite) -> float:
        rim = sprite.mask & (ndimage.distance_transform_edt(sprite.mask) < 9)
        colours = seen(sprite)[rim]
        return float((colours[:, 2] - colours[:, 0]).mean())

    assert median("PEB", blue_body) > median("BLA", blue_body) > 0.1
    assert median("PEB", blue_body) > median("EBO", blue_body) + 0.2


def test_hairs_make_the_outline_ragged() -> None:
    assert median("HAC", solidity) < 0.93
    assert median("LYT", solidity) > 0.96


def test_needles_are_red() -> None:
    def red(sprite: Sprite) -> float:
        colours = seen(sprite)[sprite.mask]
        return float((colours[:, 0] - colours[:, 1:].max(1) > 0.15).mean())

    assert median("FGC", red) > 10 * median("PMO", red) + 0.005


def test_the_unidentifiable_cell_is_out_of_focus() -> None:
    blurred = median("NIF", sharpness)
    for code in ("LYT", "NGS", "BLA", "ART"):
        assert blurred < 0.4 * median(code, sharpness)


def test_precipitate_is_black_grains_on_next_to_nothing() -> None:
    def contrast(sprite: Sprite) -> float:
        low, high = np.percentile(seen(sprite)[sprite.mask].mean(1), (2, 60))
        return float(high - low)

    assert median("ART", contrast) > 0.6


def test_a_body_reaches_as_far_as_its_parts() -> None:
    assert Body(50, 1, 0, (0, 0.0)).reach == 50
    assert Body(50, 1.44, 0.05, (9, 10.0)).reach == pytest.approx((55 + 10) * 1.2)
