"""The decoder head for inference: one query, so most of its products can be avoided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from napari_cytodino.core.head import QueryDecoderHead


class FastHead(nn.Module):
    """The same function as a `QueryDecoderHead` in evaluation, exact in real numbers.

    Self-attention over one token is a projection, fused to one matrix. Keys are never
    computed: their projection moves to the query (the bias cancels in the softmax);
    nor are values, whose projection is applied after pooling. So the tokens are read
    twice a layer instead of being projected twice (performance reference, 2).

    Parameters
    ----------
    head : QueryDecoderHead
        Its weights, in float32; it is not changed.
    """

    def __init__(self, head: QueryDecoderHead) -> None:
        super().__init__()
        self.query = nn.Parameter(head.query.detach().clone().flatten(0, 1))
        self.layers = nn.ModuleList(
            _FastLayer(layer)
            for layer in head.decoder.layers
            if isinstance(layer, nn.TransformerDecoderLayer)
        )
        self.norm, self.classify = head.norm, head.classify

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read tokens (B, T, D); return logits (B, C) and embedding (B, D)."""
        x = self.query.expand(tokens.shape[0], -1)
        for layer in self.layers:
            x = layer(x, tokens)
        embedding = self.norm(x)
        return self.classify(embedding), embedding


class _FastLayer(nn.Module):
    def __init__(self, layer: nn.TransformerDecoderLayer) -> None:
        super().__init__()
        own, cross = layer.self_attn, layer.multihead_attn
        self.norm1, self.norm2, self.norm3 = layer.norm1, layer.norm2, layer.norm3
        self.up, self.down = layer.linear1, layer.linear2
        self.out = cross.out_proj
        width, heads = cross.embed_dim, cross.num_heads
        self.scale = (width // heads) ** -0.5
        with torch.no_grad():
            value, bias = own.in_proj_weight[-width:], own.in_proj_bias[-width:]
            self.own = nn.Parameter(own.out_proj.weight @ value)
            self.own_bias = nn.Parameter(own.out_proj(bias))
            query, key, value = cross.in_proj_weight.chunk(3)
            query_bias, _, value_bias = cross.in_proj_bias.chunk(3)
            self.ask = nn.Parameter(query.clone())
            self.ask_bias = nn.Parameter(query_bias.clone())
            each = width // heads
            self.key = nn.Parameter(key.reshape(heads, each, width).clone())
            self.value = nn.Parameter(value.reshape(heads, each, width).clone())
            self.value_bias = nn.Parameter(value_bias.reshape(heads, each).clone())

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        x = x + F.linear(self.norm1(x), self.own, self.own_bias)
        asked = F.linear(self.norm2(x), self.ask, self.ask_bias)
        asked = torch.einsum(
            "bhd,hde->bhe", asked.view(-1, *self.key.shape[:2]), self.key
        )
        shares = torch.softmax(asked @ tokens.transpose(1, 2) * self.scale, -1)
        pooled = shares @ tokens
        read = torch.einsum("hde,bhe->bhd", self.value, pooled) + self.value_bias
        x = x + self.out(read.flatten(1))
        out: Tensor = x + self.down(F.gelu(self.up(self.norm3(x))))
        return out
