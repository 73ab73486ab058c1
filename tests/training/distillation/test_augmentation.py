"""Augmentation: seeded, bounded, and each part does what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_cytodino.training.distillation.augmentation import (
    augment,
    centre,
    degrade,
    exchange_surroundings,
    pose,
    recolour,
    relight,
)
from napari_cytodino.training.evaluation.answers import disc
from napari_cytodino.training.recipes.distillation import Augmentation

STILL = Augmentation(
    scale=0, shift=0, stretch=0, gain=0, gamma=0, saturation=0, hue=0,
    relight=0, surround=0, soften=0, noise=0,
)  # fmt: skip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def crops() -> torch.Tensor:
    return torch.randint(0, 256, (6, 40, 40, 3), dtype=torch.uint8, generator=seeded())


def test_same_seed_same_views(crops: torch.Tensor) -> None:
    first = augment(crops, 32, Augmentation(), seeded(5))
    again = augment(crops, 32, Augmentation(), seeded(5))
    other = augment(crops, 32, Augmentation(), seeded(6))
    assert first.shape == (6, 3, 32, 32)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1
    assert first.isfinite().all()


def test_pose_keeps_scale_and_only_turns_or_mirrors_when_still() -> None:
    axis = torch.arange(40) + 0.5 - 20
    radius = torch.hypot(axis[:, None], axis[None, :])
    pixels = torch.exp(-(((radius - 10) / 3) ** 2)).expand(8, 3, 40, 40).clone()
    turned = pose(pixels, 32, STILL, seeded())
    expected = pixels[:, :, 4:36, 4:36]
    assert (turned - expected).abs().mean() < 0.02
    half = pixels.clone()
    half[:, :, :, :20] = 0
    assert (
        pose(half, 32, STILL, seeded()) - half[:, :, 4:36, 4:36]
    ).abs().mean() > 0.03


def test_relight_moves_the_background_towards_another_image() -> None:
    pixels = torch.full((2, 3, 32, 32), 0.9)
    pixels[1] = 0.6
    moved = relight(pixels, 1.0, torch.Generator().manual_seed(1))
    values = {round(float(v), 2) for v in moved.mean(dim=(1, 2, 3))}
    assert values <= {0.6, 0.9}
    assert torch.equal(relight(pixels, 0.0, seeded()), pixels)


def test_recolour_leaves_pixels_alone_when_still() -> None:
    pixels = torch.rand(3, 3, 8, 8, generator=seeded()) * 0.9 + 0.05
    assert torch.allclose(recolour(pixels, STILL, seeded()), pixels, atol=1e-4)
    greyed = recolour(pixels, replace(STILL, saturation=3.0), seeded(2))
    spread = [x.std(dim=1).mean() for x in (greyed, pixels)]
    assert float(spread[0]) != pytest.approx(float(spread[1]), rel=0.05)


def test_surroundings_change_outside_the_disc_only() -> None:
    pixels = torch.rand(8, 3, 64, 64, generator=seeded())
    mixed = exchange_surroundings(pixels, 1.0, seeded())
    inner = slice(24, 40)
    assert torch.allclose(
        mixed[:, :, inner, inner], pixels[:, :, inner, inner], atol=1e-2
    )
    assert (mixed - pixels)[:, :, :4, :4].abs().mean() > 0.1
    assert torch.equal(exchange_surroundings(pixels, 0.0, seeded()), pixels)


def test_disc_is_one_inside_and_zero_outside() -> None:
    mask = disc(64, torch.tensor([0.25]), softness=0.001)[0, 0]
    assert mask[32, 32] == pytest.approx(1)
    assert mask[0, 0] == pytest.approx(0)
    assert mask.mean() == pytest.approx(3.14159 / 16, abs=0.01)


def test_degrade_blurs_and_adds_noise() -> None:
    pixels = torch.rand(4, 3, 32, 32, generator=seeded())
    assert torch.equal(degrade(pixels, STILL, seeded()), pixels)
    blurred = degrade(pixels, replace(STILL, soften=1.0), seeded())
    assert blurred.std() < pixels.std()
    noisy = degrade(pixels, replace(STILL, noise=0.2), seeded())
    assert (noisy - pixels).std() > 0.01


def test_centre_is_the_middle_of_the_crop(crops: torch.Tensor) -> None:
    view = centre(crops, 32)
    assert view.shape == (6, 3, 32, 32)
    assert view[0, 1, 0, 0] == crops[0, 4, 4, 1] / 255
