"""The published augmentation: each cell's chance its own, each change what it says."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_cytodino.common.errors import InputError
from napari_cytodino.synthetic.smear import synthetic_crops
from napari_cytodino.training.finetuning.augmentation import (
    COLUMNS,
    ORDERS,
    augment,
    colour,
    degrade,
    equalise,
    pose,
    speckled,
    uniforms,
)
from napari_cytodino.training.recipes.finetuning import PaperAugmentation

if TYPE_CHECKING:
    from collections.abc import Callable

OFF = PaperAugmentation(flip=0, turn=0, colour=0, degrade=0, equalise=0)
ALL = PaperAugmentation(flip=1, turn=1, colour=1, degrade=1, equalise=1)
KEYS = [(2, place) for place in range(12)]


def cells(count: int = 12) -> torch.Tensor:
    drawn, _ = synthetic_crops(("NGS", "BLA"), count // 2, size=64, seed=1)
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255


def chance(rows: int = 1, **values: float) -> dict[str, np.ndarray[Any, Any]]:
    """Return numbers that choose nothing, but for those given."""
    u = {name: np.full(rows, 0.999) for name in COLUMNS}
    return u | {name: np.full(rows, value) for name, value in values.items()}


def test_the_published_values_are_the_defaults() -> None:
    published = PaperAugmentation()
    assert (published.flip, published.turn, published.degrees) == (0.5, 0.5, 180)
    assert (published.colour, published.degrade, published.equalise) == (0.5, 0.3, 0.3)
    assert published.quality == (9, 100)
    assert published.border == "constant"
    changes = [published.brightness, published.contrast, published.saturation]
    assert changes == [0.1, 0.1, 0.15]
    assert (published.hue, published.shift) == (0.03, 15)
    assert published.limit == (1.0, 2.0)


def test_a_cell_looks_the_same_in_any_batch_and_again() -> None:
    pixels = cells()
    together = augment(pixels, KEYS, ALL, seed=3)
    assert torch.equal(together, augment(pixels, KEYS, ALL, seed=3))
    halves = [
        augment(pixels[part], KEYS[part], ALL, seed=3)
        for part in (slice(0, 5), slice(5, 12))
    ]
    assert torch.equal(together, torch.cat(halves))
    assert together.min() >= 0
    assert together.max() <= 1


def test_an_apple_gpu_gets_the_views_of_the_cpu(
    on_apple_gpu: Callable[[Any], Any],
) -> None:
    pixels = cells()
    expected = augment(pixels, KEYS, ALL, seed=3)
    found = augment(on_apple_gpu(pixels), KEYS, ALL, seed=3)
    assert found.device.type == "mps"
    assert torch.equal(found.cpu(), expected)


def test_epoch_position_and_seed_change_the_view() -> None:
    one = cells(2)[:1]
    first = augment(one, [(0, 0)], ALL, seed=3)
    for keys, seed in ([(1, 0)], 3), ([(0, 1)], 3), ([(0, 0)], 4):
        assert not torch.equal(first, augment(one, keys, ALL, seed=seed))


def test_nothing_is_changed_where_nothing_is_chosen() -> None:
    pixels = cells()
    assert torch.equal(augment(pixels, KEYS, OFF, seed=3), pixels)


def test_the_global_generators_are_not_touched() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    augment(cells(), KEYS, ALL, seed=3)
    assert torch.equal(torch.rand(3), expected)


def test_chances_are_uniform_and_independent() -> None:
    u = uniforms([(epoch, place) for epoch in range(4) for place in range(500)], 9)
    table = np.stack([u[name] for name in COLUMNS])
    assert table.shape == (len(COLUMNS), 2000)
    assert np.abs(table.mean(axis=1) - 0.5).max() < 0.03
    assert np.abs(np.corrcoef(table) - np.eye(len(COLUMNS))).max() < 0.1
    chosen = [(u["degrade"] < 0.3).mean(), (u["turn"] < 0.5).mean()]
    assert chosen == pytest.approx([0.3, 0.5], abs=0.04)


def test_flips_are_exact() -> None:
    pixels, both = cells(2), replace(OFF, flip=0.5)
    assert torch.equal(pose(pixels, chance(2, flip_x=0.1), both), pixels.flip(3))
    assert torch.equal(pose(pixels, chance(2, flip_y=0.1), both), pixels.flip(2))


def test_a_quarter_turn_is_exact_and_others_stay_inside() -> None:
    pixels = cells(2)
    turned = pose(pixels, chance(2, turn=0.1, angle=0.75), replace(OFF, turn=0.5))
    options = [torch.rot90(pixels, k, (2, 3)) for k in (1, 3)]
    assert min(float((turned - o).abs().max()) for o in options) < 1e-4
    half = pose(pixels, chance(2, turn=0.1, angle=0.0), replace(OFF, turn=0.5))
    assert (half - pixels.flip(2, 3)).abs().max() < 1e-4


@pytest.mark.parametrize(("border", "black"), [("constant", True), ("reflection", 0)])
def test_the_corners_of_a_turned_cell(border: str, black: bool) -> None:
    settings = replace(OFF, turn=0.5, border=border)
    eighth = chance(1, turn=0.1, angle=0.625)
    turned = pose(torch.ones(1, 3, 64, 64), eighth, settings)
    # a square turned by 45 degrees leaves 2 (sqrt(2) - 1)^2 = 17.2 % of the frame
    # at its corners, the published maximum (domain.md 1.1, 14)
    empty = float((turned[0, 0] < 0.5).float().mean())
    assert empty == pytest.approx(0.1716 if black else 0, abs=0.01)


def jitter(pixels: torch.Tensor, name: str, u: float, **settings: Any) -> torch.Tensor:
    """Change one of the four alone: the others stand at the middle, which is none."""
    still = {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.5}
    numbers = chance(len(pixels), colour=0.1, kind=0.1, order=0.3, **still | {name: u})
    return colour(pixels, numbers, replace(OFF, colour=0.5, **settings))


def test_brightness_multiplies_and_contrast_keeps_the_mean() -> None:
    pixels = 0.3 + 0.4 * cells(2)
    assert torch.allclose(jitter(pixels, "brightness", 1.0), pixels * 1.1, atol=1e-4)
    flat = jitter(pixels, "contrast", 0.0)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    mean = (pixels * weights).sum(1).mean(dim=(1, 2)).view(-1, 1, 1, 1)
    assert torch.allclose(flat - mean, 0.9 * (pixels - mean), atol=1e-4)


def test_saturation_moves_from_grey_and_hue_turns_the_circle() -> None:
    pixels = torch.tensor([0.6, 0.3, 0.5]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    grey = 0.299 * 0.6 + 0.587 * 0.3 + 0.114 * 0.5
    paler = jitter(pixels, "saturation", 0.0)[0, :, 0, 0]
    expected = [grey + 0.85 * (v - grey) for v in (0.6, 0.3, 0.5)]
    assert paler.tolist() == pytest.approx(expected, abs=1e-4)
    turned = jitter(pixels, "hue", 1.0)[0, :, 0, 0]
    hue, saturation, value = colorsys.rgb_to_hsv(0.6, 0.3, 0.5)
    wanted = colorsys.hsv_to_rgb((hue + 0.03) % 1, saturation, value)
    assert turned.tolist() == pytest.approx(wanted, abs=1e-4)


def test_channels_are_shifted_or_jittered_never_both() -> None:
    pixels = 0.3 + 0.4 * cells(2)
    numbers = chance(2, colour=0.1, kind=0.9, red=1.0, green=0.5, blue=0.0, hue=0.0)
    shifted = colour(pixels, numbers, replace(OFF, colour=0.5)) - pixels
    steps = 255 * shifted.mean(dim=(0, 2, 3))
    assert steps.tolist() == pytest.approx([15, 0, -15], abs=1e-2)
    assert len(ORDERS) == 24


@pytest.mark.parametrize(
    ("way", "more"),
    [(0.1, {"kernel": 0.1}), (0.1, {"kernel": 0.9}), (0.5, {}), (0.9, {"quality": 0})],
)
def test_each_degradation_changes_fine_detail(way: float, more: Any) -> None:
    pixels, settings = cells(2), replace(OFF, degrade=0.5)
    changed = degrade(pixels, chance(2, degrade=0.1, way=way, **more), settings)
    assert (changed - pixels).abs().max() > 0.01
    assert (changed.mean((2, 3)) - pixels.mean((2, 3))).abs().max() < 0.15
    fine = [float(x.diff(dim=3).abs().mean()) for x in (changed, pixels)]
    assert fine[0] > fine[1] if way == 0.5 else fine[0] < fine[1]


def test_a_better_quality_is_nearer_to_the_cell() -> None:
    pixels, settings = cells(2), replace(OFF, degrade=0.5)
    far = [
        float((degrade(pixels, chance(2, degrade=0, way=0.9, quality=q), settings)
               - pixels).abs().mean())
        for q in (0.0, 0.4, 1.0)
    ]  # fmt: skip
    assert far[0] > far[1] > far[2]


def test_noise_grows_with_its_strength_and_spares_white() -> None:
    pixels, one = cells(2)[:1], np.array([0.3])
    weak, strong = (
        float((speckled(pixels, one * 0.1, np.array([g]), one) - pixels).abs().mean())
        for g in (0.1, 0.5)
    )
    assert 0 < weak < strong
    white = torch.ones(1, 3, 8, 8)
    assert torch.allclose(speckled(white, one * 0.1, one, one), white, atol=1e-5)


def test_equalisation_spreads_the_lightness_and_keeps_the_hue() -> None:
    pixels = 0.4 + 0.2 * cells(4)
    numbers = chance(4, equalise=0.1)
    spread = equalise(pixels, numbers, replace(OFF, equalise=0.5))
    assert spread.mean(1).std() > 1.2 * pixels.mean(1).std()
    strong = equalise(pixels, numbers, replace(OFF, equalise=0.5, limit=(8.0, 8.0)))
    assert strong.mean(1).std() > spread.mean(1).std()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"border": "wrap"}, "'wrap'"),
        ({"turn": 1.5}, r"turn is 1\.5, but must be 1 or less"),
        (
            {"blur": (3.0, 0.5)},
            r"blur is \(3\.0, 0\.5\), but must be .* the lower first",
        ),
        ({"quality": (0.0, 50.0)}, r"quality\[0\] is 0\.0, but must be 1 or more"),
    ],
)
def test_faulty_settings_are_named(settings: Any, word: str) -> None:
    with pytest.raises(InputError, match=word):
        PaperAugmentation(**settings)
