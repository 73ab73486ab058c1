"""The query-token decoder head: one learnt query reads all tokens of the backbone."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class QueryDecoderHead(nn.Module):
    """A transformer decoder whose single query becomes the cell's embedding.

    Parameters
    ----------
    width : int
        Width of the backbone's tokens.
    classes : int
        Number of logits.
    layers, heads : int
        Depth and attention heads of the decoder.
    ff_ratio : int
        Width of the feed-forward layers in widths.
    dropout : float
        In attention and feed-forward, while training.
    """

    def __init__(
        self,
        width: int,
        classes: int,
        layers: int = 4,
        heads: int = 4,
        ff_ratio: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(1, 1, width))
        layer = nn.TransformerDecoderLayer(
            width,
            heads,
            dim_feedforward=ff_ratio * width,
            dropout=dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.decoder = nn.TransformerDecoder(layer, layers)
        self.norm = nn.LayerNorm(width)
        self.classify = nn.Linear(width, classes)
        self.reset()

    def reset(self) -> None:
        """Draw fresh weights, each decoder layer its own."""
        nn.init.normal_(self.query, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.MultiheadAttention):
                nn.init.xavier_uniform_(module.in_proj_weight)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read tokens (B, T, D); return logits (B, C) and embedding (B, D)."""
        query = self.query.expand(len(tokens), -1, -1)
        embedding = self.norm(self.decoder(query, tokens)[:, 0])
        return self.classify(embedding), embedding
