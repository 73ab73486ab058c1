"""The paper's augmentation, batched on the device; each cell's chance from its key."""

from __future__ import annotations

from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from napari_cytodino.models import off_apple_gpu
from napari_cytodino.training.recipes import BORDERS, PaperAugmentation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor


if TYPE_CHECKING:
    Uniforms = Mapping[str, NDArray[np.float64]]

COLUMNS = (
    *("flip_x", "flip_y", "turn", "angle"),
    *("colour", "kind", "brightness", "contrast", "saturation", "hue", "order"),
    *("red", "green", "blue"),
    *("degrade", "way", "kernel", "sigma", "speckle", "grain", "quality"),
    *("equalise", "limit", "noise"),
)
"""The numbers drawn for a cell, each uniform in 0..1; a new one goes to the end."""

ORDERS = tuple(permutations(range(4)))
"""Orders of brightness, contrast, saturation and hue."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of the channels in grey (ITU-R BT.601)."""


def uniforms(keys: Sequence[Sequence[int]], seed: int) -> Uniforms:
    """Draw the numbers of each cell from its own key.

    The key is the epoch and the place in the epoch's order, and so the step, the rank
    and the place in its batch, whatever the number of ranks: a cell looks the same on
    one device as on eight, and after a resume.

    Parameters
    ----------
    keys : sequence of sequences of int
        (B, 2) epoch and position.
    seed : int
        Of the run.

    Returns
    -------
    mapping
        Each of `COLUMNS` -> (B,) uniform in 0..1.
    """
    rows = [np.random.default_rng((seed, *key)).random(len(COLUMNS)) for key in keys]
    return dict(zip(COLUMNS, np.array(rows).reshape(-1, len(COLUMNS)).T, strict=True))


def _between(u: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return low + (high - low) * u


def _column(values: NDArray[np.float64], like: Tensor) -> Tensor:
    """Return one value an image, ready to be broadcast over its pixels."""
    return torch.as_tensor(values, dtype=like.dtype).to(like.device).view(-1, 1, 1, 1)


def _where(
    pixels: Tensor, chosen: NDArray[np.bool_], change: Callable[[Tensor], Tensor]
) -> Tensor:
    """Change the chosen images of a batch; the choice is made without the device."""
    rows = torch.from_numpy(np.flatnonzero(chosen)).to(pixels.device)
    return pixels.index_copy(0, rows, change(pixels[rows])) if len(rows) else pixels


def pose(pixels: Tensor, u: Uniforms, settings: PaperAugmentation) -> Tensor:
    """Mirror and turn."""
    pixels = _where(pixels, u["flip_x"] < settings.flip, lambda x: x.flip(3))
    pixels = _where(pixels, u["flip_y"] < settings.flip, lambda x: x.flip(2))
    turned = u["turn"] < settings.turn
    angle = np.radians(_between(u["angle"], -settings.degrees, settings.degrees))
    cos, sin = np.cos(angle[turned]), np.sin(angle[turned])
    none = np.zeros_like(cos)
    matrix = np.stack([cos, -sin, none, sin, cos, none], axis=1).reshape(-1, 2, 3)

    def turn(x: Tensor) -> Tensor:
        theta = torch.from_numpy(matrix).to(x.device, x.dtype)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(
            x, grid, padding_mode=BORDERS[settings.border], align_corners=False
        )

    return _where(pixels, turned, turn)


def _grey(x: Tensor) -> Tensor:
    weights = torch.tensor(LUMA, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
    return (x * weights).sum(dim=1, keepdim=True)


def _brighter(x: Tensor, change: Tensor) -> Tensor:
    return x * (1 + change)


def _contrasted(x: Tensor, change: Tensor) -> Tensor:
    mean = _grey(x).mean(dim=(2, 3), keepdim=True)
    return mean + (x - mean) * (1 + change)


def _saturated(x: Tensor, change: Tensor) -> Tensor:
    grey = _grey(x)
    return grey + (x - grey) * (1 + change)


def _recoloured(x: Tensor, change: Tensor) -> Tensor:
    from kornia.color import hsv_to_rgb, rgb_to_hsv

    hue, rest = rgb_to_hsv(x).tensor_split((1,), dim=1)
    hue = (hue + 2 * torch.pi * change) % (2 * torch.pi)
    return hsv_to_rgb(torch.cat([hue, rest], dim=1))


JITTERS = {
    "brightness": _brighter,
    "contrast": _contrasted,
    "saturation": _saturated,
    "hue": _recoloured,
}
"""The four changes of colour, in the numbering of `ORDERS`."""


def colour(pixels: Tensor, u: Uniforms, settings: PaperAugmentation) -> Tensor:
    """Change brightness, contrast, saturation and hue, or else shift the channels."""
    chosen = u["colour"] < settings.colour
    jittered, shifted = chosen & (u["kind"] < 0.5), chosen & (u["kind"] >= 0.5)
    orders = np.array(ORDERS)[(u["order"] * len(ORDERS)).astype(int)]
    for place in range(4):
        for number, (name, jitter) in enumerate(JITTERS.items()):
            rows = jittered & (orders[:, place] == number)
            most = getattr(settings, name)
            change = _column(_between(u[name][rows], -most, most), pixels)
            pixels = _where(pixels, rows, partial(jitter, change=change)).clamp(0, 1)
    steps = np.stack([u["red"], u["green"], u["blue"]], axis=1)[shifted]
    most = settings.shift / 255
    shift = torch.from_numpy(_between(steps, -most, most))
    shift = shift.to(pixels.device, pixels.dtype).view(-1, 3, 1, 1)
    return _where(pixels, shifted, lambda x: (x + shift).clamp(0, 1))


def _blurred(x: Tensor, kernel: int, sigma: NDArray[np.float64]) -> Tensor:
    from kornia.filters import gaussian_blur2d

    both = _column(sigma, x).view(-1, 1).expand(-1, 2)
    return gaussian_blur2d(x, (kernel, kernel), both)


def speckled(
    x: Tensor,
    speckle: NDArray[np.float64],
    grain: NDArray[np.float64],
    seeds: NDArray[np.float64],
) -> Tensor:
    """Add a sensor's noise: normal in the hue, Poisson in the lightness.

    The hue's standard deviation is ``speckle * grain`` turns; the lightness gains a
    Poisson count of mean ``255 * grain`` times its own standard deviation, in steps of
    255, weaker where the image is light.
    """
    from kornia.color import hls_to_rgb, rgb_to_hls

    changed = []
    for image, wobble, strength, u in zip(x, speckle, grain, seeds, strict=True):
        chance = torch.Generator(x.device).manual_seed(int(u * 2**53))
        hue, light, saturation = rgb_to_hls(image)
        wave = torch.empty_like(hue).normal_(generator=chance)
        hue = (hue + 2 * torch.pi * float(wobble * strength) * wave) % (2 * torch.pi)
        mean = (255 * float(strength) * light.std()).expand_as(light)
        dots = torch.poisson(mean, generator=chance) / 255
        light = (light + dots * (1 - light)).clamp(0, 1)
        changed.append(hls_to_rgb(torch.stack([hue, light, saturation])))
    return torch.stack(changed).clamp(0, 1)


def _compressed(x: Tensor, quality: NDArray[np.float64]) -> Tensor:
    from kornia.enhance import jpeg_codec_differentiable

    values = torch.from_numpy(np.rint(quality)).to(x.device, x.dtype)
    return jpeg_codec_differentiable(x, values).clamp(0, 1)


def degrade(pixels: Tensor, u: Uniforms, settings: PaperAugmentation) -> Tensor:
    """Blur, or add a sensor's noise, or compress."""
    chosen = u["degrade"] < settings.degrade
    way = (u["way"] * 3).astype(int)
    for kernel, half in ((3, u["kernel"] < 0.5), (5, u["kernel"] >= 0.5)):
        rows = chosen & (way == 0) & half
        sigma = _between(u["sigma"][rows], *settings.blur)
        pixels = _where(pixels, rows, partial(_blurred, kernel=kernel, sigma=sigma))
    rows = chosen & (way == 1)
    speckle = _between(u["speckle"][rows], *settings.speckle)
    grain = _between(u["grain"][rows], *settings.grain)
    seeds = u["noise"][rows]
    pixels = _where(pixels, rows, lambda x: speckled(x, speckle, grain, seeds))
    rows = chosen & (way == 2)
    quality = _between(u["quality"][rows], *settings.quality)
    return _where(pixels, rows, lambda x: _compressed(x, quality))


def equalise(pixels: Tensor, u: Uniforms, settings: PaperAugmentation) -> Tensor:
    """Stretch the contrast of the lightness tile by tile, within a limit (CLAHE)."""
    from kornia.color import lab_to_rgb, rgb_to_lab
    from kornia.enhance import equalize_clahe

    rows = u["equalise"] < settings.equalise
    limits = _between(u["limit"][rows], *settings.limit)

    def stretch(x: Tensor) -> Tensor:
        light, rest = rgb_to_lab(x).tensor_split((1,), dim=1)
        flat = [
            equalize_clahe(one, float(limit))
            for one, limit in zip((light / 100).clamp(0, 1), limits, strict=True)
        ]
        return lab_to_rgb(torch.cat([torch.stack(flat) * 100, rest], dim=1))

    return _where(pixels, rows, stretch).clamp(0, 1)


@torch.no_grad()
def augment(
    pixels: Tensor,
    keys: Sequence[Sequence[int]],
    settings: PaperAugmentation,
    seed: int,
) -> Tensor:
    """Return training views.

    Parameters
    ----------
    pixels : Tensor
        (B, 3, S, S) float32 in 0..1, on the device.
    keys : sequence of sequences of int
        (B, 2) epoch and position in the epoch's order.
    settings : PaperAugmentation
        How far to go.
    seed : int
        Of the run.

    Returns
    -------
    Tensor
        (B, 3, S, S) float32 in 0..1, on the same device; drawn on the CPU where that is
        an Apple GPU, which lacks some of the operations.
    """
    home, pixels = pixels.device, off_apple_gpu(pixels)
    u = uniforms(keys, seed)
    pixels = pose(pixels, u, settings)
    pixels = colour(pixels, u, settings)
    pixels = degrade(pixels, u, settings)
    return equalise(pixels, u, settings).to(home)
