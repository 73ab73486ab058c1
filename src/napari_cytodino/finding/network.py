"""The network that finds cells, and what it says of a window of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.finding._readable import Readable
    from napari_cytodino.finding.light import Light
    from napari_cytodino.models import FinderNet

Plane: TypeAlias = "NDArray[Any]"
Window = tuple[int, int, int, int]
"""Top, left, bottom, right, half open."""

MICRONS = 0.4
"""Size of a pixel at which the network is trained to see cells, in micrometres."""

STRIDE = 8
"""Both sides of what the network is given are multiples of this, in pixels."""

REACH = 64
"""Pixels around a place that may change what the network says of it."""

WEIGHTS = Path(__file__).with_name("finder.safetensors")


@dataclass(frozen=True)
class Maps:
    """What the network says of a window, in pixels of its own scale.

    Attributes
    ----------
    white, red : (h, w) float32 arrays
        Probability of being the centre of a nucleated cell, of a red cell.
    nucleus, cell : (h, w) float32 arrays
        Logits of lying in a nucleus, in a nucleated cell.
    size : (2, h, w) float32 array
        Diameter of the white and of the red cell at its centre, in pixels.
    scale : (2, h / 8, w / 8) float32 array
        log2 of the pixel over 0.4 um, and the log of its variance.
    """

    white: Plane
    red: Plane
    nucleus: Plane
    cell: Plane
    size: Plane
    scale: Plane


@dataclass(frozen=True)
class Rescaled:
    """A picture seen at another scale.

    Attributes
    ----------
    source : Readable
    light : Light
    factor : float
        Pixels here for one of the picture.
    """

    source: Readable
    light: Light
    factor: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width at this scale."""
        height, width = self.source.shape
        return max(1, round(height * self.factor)), max(1, round(width * self.factor))

    @property
    def factors(self) -> tuple[float, float]:
        """Pixels here for one of the picture, down and across, exactly."""
        height, width = self.shape
        return height / self.source.shape[0], width / self.source.shape[1]

    def absorbance(self, window: Window) -> Plane:
        """Return a window as (h, w, 3) float32, 0 where nothing absorbs."""
        top, left, bottom, right = window
        down, across = (1 / factor for factor in self.factors)
        box = [top * down, left * across, bottom * down, right * across]
        outer = (
            max(0, int(box[0]) - 2),
            max(0, int(box[1]) - 2),
            min(self.source.shape[0], int(np.ceil(box[2])) + 2),
            min(self.source.shape[1], int(np.ceil(box[3])) + 2),
        )
        image = Image.fromarray(self.source.read(*outer))
        inner = np.array(box)[[1, 0, 3, 2]] - np.array(outer)[[1, 0, 1, 0]]
        inner = np.clip(inner, 0, [*image.size, *image.size])
        way = Image.Resampling.BOX if self.factor < 1 else Image.Resampling.BILINEAR
        size = right - left, bottom - top
        small = np.asarray(image.resize(size, way, box=tuple(inner.tolist())))
        rows, columns = np.arange(top, bottom) + 0.5, np.arange(left, right) + 0.5
        return self.light.absorbance(small, rows * down, columns * across)


@cache
def network() -> FinderNet:
    """Return the network that ships, made ready once."""
    import torch
    from safetensors.torch import load_file

    from napari_cytodino.models import FinderNet, fuse

    state = {name: value.float() for name, value in load_file(WEIGHTS).items()}
    net = FinderNet(state["down1.0.weight"].shape[0])
    net.load_state_dict(state)
    # a third faster on processors
    fused: FinderNet = fuse(net).requires_grad_(False)
    return fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def look(picture: Rescaled, window: Window) -> Maps:
    """Return what the network says of a window of a picture at any scale."""
    return look_at(picture.absorbance(window))


def look_at(absorbance: Plane) -> Maps:
    """Return what the network says of absorbance of (h, w, 3)."""
    import torch

    height, width = absorbance.shape[:2]
    beyond = [(0, -height % STRIDE), (0, -width % STRIDE), (0, 0)]
    given = torch.from_numpy(np.pad(absorbance, beyond)[None]).permute(0, 3, 1, 2)
    with torch.inference_mode():
        maps = network()(given.float())
    cut = np.s_[0, ..., :height, :width]
    return Maps(
        maps.white.sigmoid().numpy()[cut],
        maps.red.sigmoid().numpy()[cut],
        maps.nucleus.numpy()[cut],
        maps.cell.numpy()[cut],
        np.exp2(maps.size.numpy()[cut]),
        maps.scale.numpy()[0],
    )
