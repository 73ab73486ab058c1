"""Seeded augmentation of a whole batch: pose, stain, light, other laboratories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_cytodino.training.evaluation import disc

if TYPE_CHECKING:
    from napari_cytodino.training.recipes import Augmentation, DomainShift

_YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
)


def _uniform(n: int, half: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(n, generator=generator) * 2 - 1) * half


def pose(
    pixels: Tensor, side: int, settings: Augmentation, generator: torch.Generator
) -> Tensor:
    """Turn, mirror, scale and shift each image; the border is reflected."""
    n, _, height, _ = pixels.shape
    angle = torch.rand(n, generator=generator) * 2 * torch.pi
    size = torch.exp(_uniform(n, settings.scale, generator)) * side / height
    ratio = torch.exp(_uniform(n, settings.stretch, generator))
    flip = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    shift = torch.stack([_uniform(n, settings.shift, generator) for _ in "xy"], 1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([cos, -sin, sin, cos], 1).view(n, 2, 2)
    stretch = torch.diag_embed(torch.stack([size * ratio * flip, size / ratio], 1))
    matrix = torch.cat([turn @ stretch, (shift * 2)[:, :, None]], dim=2)
    grid = F.affine_grid(matrix, [n, 3, side, side], align_corners=False)
    return F.grid_sample(
        pixels, grid, padding_mode="reflection", align_corners=False
    ).clamp_(0, 1)


def relight(pixels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Give some images the background colour of another image of the batch."""
    n = len(pixels)
    coarse = F.avg_pool2d(pixels, 8).flatten(2)
    bright = coarse.mean(dim=1).topk(coarse.shape[2] // 8, dim=1).indices
    own = coarse.gather(2, bright[:, None].expand(-1, 3, -1)).mean(dim=2)
    other = own[torch.randperm(n, generator=generator)]
    ratio = (other / own.clamp_min(0.2)).clamp(0.6, 1.6)
    use = (torch.rand(n, generator=generator) < share).float()[:, None]
    return pixels * (1 + use * (ratio - 1))[:, :, None, None]


def recolour(
    pixels: Tensor, settings: Augmentation, generator: torch.Generator
) -> Tensor:
    """Change exponent and gain of each channel, then hue and saturation."""
    n = len(pixels)
    common = _uniform(n, settings.gamma, generator)[:, None]
    single = _uniform(3 * n, settings.gamma / 2, generator).view(n, 3)
    gamma = torch.exp(common + single)
    gain = torch.exp(
        _uniform(n, settings.gain, generator)[:, None]
        + _uniform(3 * n, settings.gain / 3, generator).view(n, 3)
    )
    out = pixels.clamp(1e-3, 1) ** gamma[:, :, None, None]
    angle = _uniform(n, settings.hue, generator)
    satur = torch.exp(_uniform(n, settings.saturation, generator))
    turn = torch.zeros(n, 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = satur * torch.cos(angle)
    turn[:, 1, 2] = -satur * torch.sin(angle)
    turn[:, 2, 1] = satur * torch.sin(angle)
    matrix = gain[:, :, None] * (torch.linalg.inv(_YIQ) @ turn @ _YIQ)
    return torch.einsum("nij,njhw->nihw", matrix, out)


def exchange_surroundings(
    pixels: Tensor, share: float, generator: torch.Generator
) -> Tensor:
    """Replace what lies outside a central disc in some images.

    Half of them get another image's outside, half a single random colour.
    """
    n, _, side, _ = pixels.shape
    inside = disc(side, torch.rand(n, generator=generator) * 0.14 + 0.38)
    colour = torch.rand(n, 3, 1, 1, generator=generator).expand_as(pixels)
    other = pixels[torch.randperm(n, generator=generator)]
    plain = (torch.rand(n, generator=generator) < 0.5)[:, None, None, None]
    outside = torch.where(plain, colour, other)
    use = (torch.rand(n, generator=generator) < share)[:, None, None, None]
    return torch.where(use, inside * pixels + (1 - inside) * outside, pixels)


def degrade(
    pixels: Tensor, settings: Augmentation, generator: torch.Generator
) -> Tensor:
    """Blur some images and add noise to all, each by its own amount."""
    n, _, side, _ = pixels.shape
    coarse = F.interpolate(
        F.avg_pool2d(pixels, 2), size=(side, side), mode="bilinear", align_corners=False
    )
    use = (torch.rand(n, generator=generator) < settings.soften).float()
    mix = (use * torch.rand(n, generator=generator))[:, None, None, None]
    level = torch.rand(n, 1, 1, 1, generator=generator) * settings.noise
    noise = torch.randn(pixels.shape, generator=generator) * level
    return pixels + mix * (coarse - pixels) + noise


def augment(
    crops: Tensor, side: int, settings: Augmentation, generator: torch.Generator
) -> Tensor:
    """Return one training view of each crop.

    Parameters
    ----------
    crops : Tensor
        (B, S, S, 3) uint8, with a margin around the field of view.
    side : int
        The model's input side; the view's scale is that of the crop.
    settings : Augmentation
        How far to go.
    generator : torch.Generator
        The only source of chance: the same state gives the same views.

    Returns
    -------
    Tensor
        (B, 3, side, side) float32 in 0..1.
    """
    pixels = crops.permute(0, 3, 1, 2).float() / 255
    pixels = pose(pixels, side, settings, generator)
    pixels = relight(pixels, settings.relight, generator)
    pixels = exchange_surroundings(pixels, settings.surround, generator)
    pixels = recolour(pixels, settings, generator)
    return degrade(pixels, settings, generator).clamp_(0, 1)


def centre(crops: Tensor, side: int) -> Tensor:
    """Return the unaugmented view: (B, 3, side, side) float32 in 0..1."""
    margin = (crops.shape[1] - side) // 2
    view = crops[:, margin : margin + side, margin : margin + side]
    return view.permute(0, 3, 1, 2).float() / 255


DARKEST = 1 / 255
"""Keeps the optical density of black finite."""


def restain(pixels: Tensor, plan: DomainShift, generator: torch.Generator) -> Tensor:
    """Vary dyes and light of each image by its own amounts."""
    n = len(pixels)

    def spread(half: float, *shape: int) -> Tensor:
        return (torch.rand(*shape, generator=generator) * 2 - 1) * half

    mixing = torch.eye(3) + torch.randn(n, 3, 3, generator=generator) * plan.mix
    mixing = mixing / mixing.sum(dim=2, keepdim=True).clamp_min(0.3)
    factor = torch.exp(spread(plan.strength, n, 1) + spread(plan.strength, n, 3))
    lamp = torch.rand(n, 3, generator=generator) * plan.light
    lamp = lamp * torch.rand(n, 1, generator=generator)
    density = -torch.log(pixels.clamp(DARKEST, 1))
    mixed = torch.einsum("nij,njhw->nihw", mixing * factor[:, :, None], density)
    return torch.exp(-(mixed + lamp[:, :, None, None])).clamp(0, 1)


def coarsen(pixels: Tensor, plan: DomainShift, generator: torch.Generator) -> Tensor:
    """Sample half of the images more coarsely, all by one factor, and bring them back.

    Cameras and objectives differ, and a small crop is enlarged before it is classified.
    """
    n, _, side, _ = pixels.shape
    factor = 1 + float(torch.rand(1, generator=generator)) * (plan.blur - 1)
    small = F.interpolate(
        pixels, size=max(4, round(side / factor)), mode="bilinear", antialias=True
    )
    back = F.interpolate(small, size=side, mode="bilinear", align_corners=False)
    use = torch.rand(n, generator=generator) < 0.5
    return torch.where(use[:, None, None, None], back, pixels)


def shift_domain(
    pixels: Tensor, plan: DomainShift, generator: torch.Generator
) -> Tensor:
    """Return the views, a share of them as from a laboratory never seen.

    Parameters
    ----------
    pixels : Tensor
        (B, 3, S, S) float in 0..1; not changed.
    plan : Strangeness
        How many and how far.
    generator : torch.Generator
        The only source of chance: the same state gives the same views.

    Returns
    -------
    Tensor
        (B, 3, S, S) float in 0..1.
    """
    rows = torch.nonzero(torch.rand(len(pixels), generator=generator) < plan.share)
    rows = rows.flatten()
    if not len(rows):
        return pixels
    changed = restain(pixels[rows], plan, generator)
    changed = coarsen(changed, plan, generator)
    level = torch.rand(len(rows), 1, 1, 1, generator=generator) * plan.noise
    noise = torch.randn(changed.shape, generator=generator)
    return pixels.index_copy(0, rows, (changed + level * noise).clamp(0, 1))
