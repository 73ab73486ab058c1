"""Views as another laboratory might have made them: other stain, light and optics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_cytodino.core.errors import InputError

DARKEST = 1 / 255
"""Keeps the optical density of black finite."""


@dataclass(frozen=True)
class Strangeness:
    """How far a share of the student's views is taken from the training laboratories.

    Stain and light are changed as optical densities, where a dye's share is a factor
    and a lamp's colour a summand (after Tellez et al. 2019, doi
    10.1016/j.media.2019.101544, who vary the densities of separated stains).

    Attributes
    ----------
    share : float
        Share of views that are changed at all; 0 turns it off.
    mix : float
        Standard deviation of what one channel's density takes from the others'.
    strength : float
        Half-width of the log density of each channel; a common factor varies as much.
    light : float
        Greatest density that lamp and camera add to a channel.
    blur : float
        Largest factor of coarser sampling, which half of the changed views get.
    noise : float
        Greatest standard deviation of the noise.
    """

    share: float = 0.0
    mix: float = 0.12
    strength: float = 0.3
    light: float = 0.3
    blur: float = 2.5
    noise: float = 0.03

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise InputError(f"share = {self.share} is no share: use 0 to 1.")
        if self.blur < 1:
            raise InputError(f"blur = {self.blur} would sharpen: use 1 or more.")


def restain(pixels: Tensor, plan: Strangeness, generator: torch.Generator) -> Tensor:
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


def coarsen(pixels: Tensor, plan: Strangeness, generator: torch.Generator) -> Tensor:
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


def estrange(pixels: Tensor, plan: Strangeness, generator: torch.Generator) -> Tensor:
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
