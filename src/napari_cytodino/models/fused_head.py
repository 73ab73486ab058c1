"""The decoder head for inference: one query, so most of its products can be avoided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_cytodino.common import CheckpointError
from napari_cytodino.models.fused_layers import (
    PreloadedLayerNorm,
    PreloadedLinear,
    strip_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class QueryHeadConfig:
    """What a `QueryDecoderHead` was built from; its arguments by the same names.

    Raises
    ------
    CheckpointError
        When no head can be built from them.
    """

    width: int
    classes: int
    layers: int
    heads: int
    ff_ratio: int

    def __post_init__(self) -> None:
        values = (self.width, self.classes, self.layers, self.heads, self.ff_ratio)
        whole = all(type(value) is int and value > 0 for value in values)
        if not whole or self.width % self.heads:
            raise CheckpointError(
                f"config.json describes no head that can be built ({self}): whole "
                "numbers are needed, and heads that divide the width; get the "
                "checkpoint again."
            )

    @classmethod
    def from_config(cls, content: Mapping[str, Any], width: int) -> QueryHeadConfig:
        """Read ``config.json`` of a checkpoint.

        Raises
        ------
        CheckpointError
            When a field is missing or of a kind that no head can be built from.
        """
        try:
            return cls(
                width,
                len(content["taxonomy"]["classes"]),
                content["head_layers"],
                content["head_heads"],
                content["head_ff_ratio"],
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"config.json describes no head that can be built ({error}); "
                "get the checkpoint again."
            ) from error

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return names and shapes of the tensors, as `QueryDecoderHead` has them."""
        width, inner = self.width, self.ff_ratio * self.width
        found: dict[str, tuple[int, ...]] = {
            "query": (1, 1, width),
            "norm.weight": (width,),
            "norm.bias": (width,),
            "classify.weight": (self.classes, width),
            "classify.bias": (self.classes,),
        }
        for number in range(self.layers):
            start = f"decoder.layers.{number}."
            for part in ("self_attn", "multihead_attn"):
                found[f"{start}{part}.in_proj_weight"] = (3 * width, width)
                found[f"{start}{part}.in_proj_bias"] = (3 * width,)
                found[f"{start}{part}.out_proj.weight"] = (width, width)
                found[f"{start}{part}.out_proj.bias"] = (width,)
            found[f"{start}linear1.weight"] = (inner, width)
            found[f"{start}linear1.bias"] = (inner,)
            found[f"{start}linear2.weight"] = (width, inner)
            found[f"{start}linear2.bias"] = (width,)
            for norm in ("norm1", "norm2", "norm3"):
                found[f"{start}{norm}.weight"] = (width,)
                found[f"{start}{norm}.bias"] = (width,)
        return found


class FusedQueryHead(nn.Module):
    """The function of a `QueryDecoderHead` in evaluation, exact in real numbers.

    Self-attention over one token is a projection, fused to one matrix. Keys are never
    computed: their projection moves to the query (the bias cancels in the softmax);
    nor are values, whose projection is applied after pooling. So the tokens are read
    twice a layer instead of being projected twice (performance reference, 2).

    Parameters
    ----------
    shape : HeadShape
        What to compute.
    tensors : Mapping[str, Tensor]
        Float32 weights by the names of `QueryHeadConfig.tensor_shapes`.
    """

    def __init__(self, shape: QueryHeadConfig, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.query = nn.Parameter(tensors["query"].detach().clone().flatten(0, 1))
        self.layers = nn.ModuleList(
            _FastLayer(strip_prefix(tensors, f"decoder.layers.{number}."), shape)
            for number in range(shape.layers)
        )
        self.norm = PreloadedLayerNorm(tensors, "norm")
        self.classify = PreloadedLinear.named(tensors, "classify")

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read tokens (B, T, D); return logits (B, C) and embedding (B, D)."""
        x = self.query.expand(tokens.shape[0], -1)
        for layer in self.layers:
            x = layer(x, tokens)
        embedding = self.norm(x)
        return self.classify(embedding), embedding


class _FastLayer(nn.Module):
    def __init__(self, own: Mapping[str, Tensor], shape: QueryHeadConfig) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (
            PreloadedLayerNorm(own, f"norm{i}") for i in (1, 2, 3)
        )
        self.up, self.down = (
            PreloadedLinear.named(own, "linear1"),
            PreloadedLinear.named(own, "linear2"),
        )
        self.alone = _single_token_attention(strip_prefix(own, "self_attn."))
        query, key, value = own["multihead_attn.in_proj_weight"].chunk(3)
        query_bias, _, value_bias = own["multihead_attn.in_proj_bias"].chunk(3)
        self.to_query = PreloadedLinear(query, query_bias)
        split = (shape.heads, shape.width // shape.heads)
        self.scale = split[1] ** -0.5
        self.key = nn.Parameter(key.reshape(*split, shape.width).clone())
        self.value = nn.Parameter(value.reshape(*split, shape.width).clone())
        self.value_bias = nn.Parameter(value_bias.reshape(split).clone())
        self.out = PreloadedLinear.named(own, "multihead_attn.out_proj")

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        x = x + self.alone(self.norm1(x))
        queries = self.to_query(self.norm2(x)).view(-1, *self.value_bias.shape)
        queries = torch.einsum("bhd,hde->bhe", queries, self.key)
        shares = torch.softmax(queries @ tokens.transpose(1, 2) * self.scale, -1)
        pooled = shares @ tokens
        read = torch.einsum("hde,bhe->bhd", self.value, pooled) + self.value_bias
        x = x + self.out(read.flatten(1))
        out: Tensor = x + self.down(F.gelu(self.up(self.norm3(x))))
        return out


def _single_token_attention(own: Mapping[str, Tensor]) -> PreloadedLinear:
    """Return self-attention over one token: its value, projected."""
    weight, bias = own["out_proj.weight"], own["out_proj.bias"]
    value, value_bias = (
        own["in_proj_weight"].chunk(3)[2],
        own["in_proj_bias"].chunk(3)[2],
    )
    return PreloadedLinear(weight @ value, weight @ value_bias + bias)
