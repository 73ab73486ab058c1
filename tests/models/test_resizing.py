"""Resizing: a mean of what is merged, nothing where nothing changes, any device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_cytodino.models.resizing import off_apple_gpu, resize

if TYPE_CHECKING:
    from collections.abc import Callable


def images(side: int) -> torch.Tensor:
    chance = torch.Generator().manual_seed(0)
    return 255 * torch.rand(2, 3, side, side, generator=chance)


def test_what_has_the_size_is_left_alone() -> None:
    values = images(16)
    assert resize(values, 16) is values


def test_smaller_images_keep_the_mean_and_lose_the_stripes() -> None:
    values = images(64)
    small = resize(values, 16)
    assert small.shape == (2, 3, 16, 16)
    assert torch.allclose(small.mean((2, 3)), values.mean((2, 3)), atol=2)
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::2] = 255
    assert (resize(stripes, 16)[..., 2:-2] - 127.5).abs().max() < 10


@pytest.mark.parametrize("size", [8, 24, 40])
def test_an_apple_gpu_gives_what_the_cpu_gives(
    size: int, on_apple_gpu: Callable[[Any], Any]
) -> None:
    values = images(24)
    there = on_apple_gpu(values)
    with pytest.raises(NotImplementedError):
        # the stand-in lacks it, as torch 2.6 does
        torch.nn.functional.interpolate(there, (8, 8), mode="bilinear", antialias=True)
    resized = resize(there, size)
    assert resized.device.type == "mps"
    assert torch.equal(off_apple_gpu(resized), resize(values, size))


def test_other_devices_keep_their_values() -> None:
    values = images(8)
    assert off_apple_gpu(values) is values
    elsewhere = torch.zeros(2, device="meta")
    assert off_apple_gpu(elsewhere) is elsewhere
