"""The model: a transformers vision backbone and the query-token decoder head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_cytodino.common import CheckpointError
from napari_cytodino.models.config_bounds import backbone_fields
from napari_cytodino.models.torchvision_guard import leave_out_broken_torchvision

leave_out_broken_torchvision()
from transformers import (  # noqa: E402 it would trip over the other
    AutoConfig,
    AutoModel,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import ImageClassifierOutput  # noqa: E402


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


class CytoDinoConfig(PreTrainedConfig):
    """What the model is built from.

    Attributes
    ----------
    backbone_config : dict
        Fields of the backbone's own configuration, with its ``model_type``.
    taxonomy : dict
        `Taxonomy.to_dict`; the order of its classes is the order of the logits.
    head_layers, head_heads, head_ff_ratio, head_dropout
        Arguments of `QueryDecoderHead`.
    turns : int
        Quarter turns of the crop whose answers are averaged: 1, 2 or 4.
    synthetic : bool
        True where the training cells were drawn in code.
    """

    model_type = "cytodino"

    backbone_config: dict[str, Any] | None = None
    taxonomy: dict[str, Any] | None = None
    head_layers: int = 4
    head_heads: int = 4
    head_ff_ratio: int = 2
    head_dropout: float = 0.2
    turns: int = 1
    synthetic: bool = False


def build_backbone_config(fields: dict[str, Any]) -> PreTrainedConfig:
    """Build the configuration of a known backbone.

    Raises
    ------
    CheckpointError
        When its fields are not those of a known backbone, within bounds.
    """
    # transformers would obey fields that name code, whoever calls this
    known = backbone_fields(fields, Path("config.json"))
    return AutoConfig.for_model(**known)


class CytoDinoForImageClassification(PreTrainedModel):
    """Backbone and head; gives logits and an embedding for each cell."""

    config_class = CytoDinoConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    # transformers passes a loss factor to models that accept one; the loss has none.
    accepts_loss_kwargs = False

    def __init__(self, config: CytoDinoConfig) -> None:
        super().__init__(config)
        if config.turns not in (1, 2, 4):
            raise ValueError(f"turns is {config.turns}, but must be 1, 2 or 4")
        own = build_backbone_config(config.backbone_config or {})
        self.backbone: nn.Module = AutoModel.from_config(own)
        self.prefix = 1 + getattr(own, "num_register_tokens", 0)
        self.head = QueryDecoderHead(
            own.hidden_size,
            len((config.taxonomy or {}).get("classes", ())),
            config.head_layers,
            config.head_heads,
            config.head_ff_ratio,
            config.head_dropout,
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leave modules as they are: backbone and head draw their own weights."""

    def tokens(self, pixel_values: Tensor) -> Tensor:
        """Return the backbone's tokens (B, T, D), class and registers first."""
        return self.backbone(pixel_values=pixel_values).last_hidden_state

    def predict(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, C) and embedding (B, D), averaged over the turns."""
        if self.config.turns == 1:
            return self.head(self.tokens(pixel_values))
        step = 4 // self.config.turns
        views = [torch.rot90(pixel_values, k, (2, 3)) for k in range(0, 4, step)]
        answers = [self.head(self.tokens(view)) for view in views]
        logits, embeddings = zip(*answers, strict=True)
        return torch.stack(logits).mean(dim=0), torch.stack(embeddings).mean(dim=0)

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None
    ) -> ImageClassifierOutput:
        """Return logits, and the cross-entropy where labels are given."""
        logits, _ = self.predict(pixel_values)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


CONFIG_FIELDS = (
    "backbone_config",
    "taxonomy",
    "head_layers",
    "head_heads",
    "head_ff_ratio",
    "head_dropout",
    "turns",
    "synthetic",
)
"""What a checkpoint's ``config.json`` holds beside its ``model_type``."""


def config_fields(model: CytoDinoForImageClassification) -> dict[str, Any]:
    """Return what ``config.json`` of a checkpoint holds, as plain values."""
    fields = {name: getattr(model.config, name) for name in CONFIG_FIELDS}
    architecture = [type(model).__name__]
    return {"model_type": "cytodino", "architectures": architecture, **fields}


def model_from_config(content: dict[str, Any]) -> CytoDinoForImageClassification:
    """Build the model that ``config.json`` describes, with random weights.

    Raises
    ------
    CheckpointError
        When a field is missing or of a kind that no model can be built from.
    """
    try:
        fields = {name: content[name] for name in CONFIG_FIELDS if name != "turns"}
        fields["turns"] = content.get("turns", 1)
        return CytoDinoForImageClassification(CytoDinoConfig(**fields))
    except (AssertionError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"config.json describes no model that can be built ({error}); "
            "get the checkpoint again."
        ) from error
