"""Layers made of given weights; torch's own would first draw random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Mapping


ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether this torch can multiply float32 by oneDNN, as its compiler has it do.

Otherwise it takes MKL, which uses no AVX-512 on processors that are not Intel's: less
than half the rate on an AMD EPYC (benchmarks/README.md).
"""


class PreloadedLinear(nn.Module):
    """A projection.

    Parameters
    ----------
    weight : Tensor
        (outputs, inputs); copied.
    bias : Tensor, optional
        (outputs,); copied.

    Attributes
    ----------
    onednn : bool
        Multiply by oneDNN: on a CPU, in float32, without gradients, where `ONEDNN`.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.onednn = False
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    @classmethod
    def named(cls, tensors: Mapping[str, Tensor], name: str) -> PreloadedLinear:
        """Return the projection whose weight and perhaps bias go by a name."""
        return cls(tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))

    def forward(self, x: Tensor) -> Tensor:
        """Project the last axis."""
        if self.onednn:
            out: Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self.weight, self.bias, "none", [], ""
            )
            return out
        return F.linear(x, self.weight, self.bias)


class PreloadedLayerNorm(nn.Module):
    """Layer normalisation over the last axis.

    Parameters
    ----------
    tensors, name
        Weight and bias, (D,), go by this name; copied.
    eps : float
        Added to the variance.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], name: str, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(tensors[f"{name}.weight"].detach().clone())
        self.bias = nn.Parameter(tensors[f"{name}.bias"].detach().clone())
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, scale and shift."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


def strip_prefix(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin so, by the rest of their names."""
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
