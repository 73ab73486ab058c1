"""The small network that finds cells: where they are, how large, and at what scale."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate


class FinderMaps(NamedTuple):
    """What the network says of absorbance of (n, 3, h, w).

    Attributes
    ----------
    white, red : (n, h, w) tensor
        Logits of being the centre of a nucleated cell and of a red cell.
    nucleus, cell : (n, h, w) tensor
        Logits of lying in a nucleus and in a nucleated cell.
    size : (n, 2, h, w) tensor
        At centres: log2 of the diameter of the white and of the red cell, in pixels.
    scale : (n, 2, h / 8, w / 8) tensor
        log2 of a pixel's size over the one it is trained at, and the log of its
        variance.
    """

    white: Tensor
    red: Tensor
    nucleus: Tensor
    cell: Tensor
    size: Tensor
    scale: Tensor


class FinderNet(nn.Module):
    """A U-Net of four levels (Ronneberger 2015), with centres as peaks of heat.

    Centres and sizes as in CenterNet (Zhou 2019, arXiv 1904.07850). There is no
    normalisation over an image: what it says of a place depends on its surroundings
    within 64 pixels alone, whatever window is read.

    Parameters
    ----------
    width : int
        Channels of the first level.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        a, b, c, d = width, 2 * width, 3 * width, 5 * width
        self.down1, self.down2 = _block(3, a), _block(a, b)
        self.down3, self.down4 = _block(b, c), _block(c, d)
        self.up3, self.up2, self.up1 = (
            _block(c + d, c),
            _block(b + c, b),
            _block(a + b, a),
        )
        self.maps = nn.Conv2d(a, 6, 1)
        self.scale = nn.Sequential(nn.Conv2d(d, d, 1), nn.SiLU(), nn.Conv2d(d, 2, 1))
        with torch.no_grad():
            self.maps.bias[:2] = -3.0  # type: ignore[index]

    def forward(self, absorbance: Tensor) -> FinderMaps:
        """Return the maps of absorbance of (n, 3, h, w), h and w multiples of 8."""
        one = self.down1(absorbance)
        two = self.down2(avg_pool2d(one, 2))
        three = self.down3(avg_pool2d(two, 2))
        four = self.down4(avg_pool2d(three, 2))
        three = self.up3(_joined(three, four))
        two = self.up2(_joined(two, three))
        maps = self.maps(self.up1(_joined(one, two)))
        white, red, nucleus, cell = maps[:, :4].unbind(1)
        return FinderMaps(
            white, red, nucleus, cell, maps[:, 4:] + 4.5, self.scale(four)
        )


def fuse(net: FinderNet) -> FinderNet:
    """Fold the normalisations of a trained network into its convolutions."""
    net.eval()
    for block in net.children():
        if isinstance(block, nn.Sequential) and isinstance(block[1], nn.BatchNorm2d):
            for at in (0, 3):
                convolution, normalisation = block[at], block[at + 1]
                assert isinstance(convolution, nn.Conv2d)
                assert isinstance(normalisation, nn.BatchNorm2d)
                block[at] = nn.utils.fuse_conv_bn_eval(convolution, normalisation)
                block[at + 1] = nn.Identity()
    return net


def _block(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, made, 3, padding=1),
        nn.BatchNorm2d(made),
        nn.SiLU(),
        nn.Conv2d(made, made, 3, padding=1),
        nn.BatchNorm2d(made),
        nn.SiLU(),
    )


def _joined(fine: Tensor, coarse: Tensor) -> Tensor:
    return torch.cat([fine, interpolate(coarse, scale_factor=2.0, mode="nearest")], 1)
