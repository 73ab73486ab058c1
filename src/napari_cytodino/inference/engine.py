"""The model as it is run: fused, in one number type, from pixels to answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from napari_cytodino.common import CheckpointError
from napari_cytodino.models import (
    ONEDNN,
    DinoV3,
    DinoV3Shape,
    FusedQueryHead,
    PreloadedLinear,
    QueryHeadConfig,
    strip_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_cytodino.checkpoints import Checkpoint


_BODY, _HEAD = "backbone.", "head."


class Model(Protocol):
    """What a `Classifier` runs."""

    def predict(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, C), embedding (B, D) and features (B, 3 D) of pixels."""


class FusedModel(nn.Module):
    """Backbone and head for inference, averaged over quarter turns.

    The head stays in float32, whatever the backbone computes in: it is a few percent of
    the work and decides between near classes.

    Parameters
    ----------
    body : nn.Module
        Gives tokens (B, T, D) of pixels.
    head : FastHead
    turns : int
        Quarter turns of the crop whose answers are averaged: 1, 2 or 4.
    prefix : int
        Tokens before those of patches: the class token, and registers.
    """

    def __init__(
        self, body: nn.Module, head: FusedQueryHead, turns: int, prefix: int = 1
    ) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.tta_rotations, self.prefix = turns, prefix

    def to_device(self, kind: str, dtype: str) -> FusedModel:
        """Move to a device, and the backbone to a number type; return itself."""
        self.to(kind)
        self.body.to(getattr(torch, dtype))
        for layer in self.modules():
            if isinstance(layer, PreloadedLinear):
                plain = layer.weight.dtype is torch.float32
                layer.onednn = ONEDNN and kind == "cpu" and plain
        return self.eval().requires_grad_(False)

    def predict(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, C), embedding (B, D) and features (B, 3 D), float32.

        Features are what a taught head reads: the class token, and mean and maximum of
        the tokens of patches.
        """
        answers = []
        for turn in range(0, 4, 4 // self.tta_rotations):
            tokens = self.body(torch.rot90(pixel_values, turn, (2, 3))).float()
            patches = tokens[:, self.prefix :]
            parts = tokens[:, 0], patches.mean(dim=1), patches.amax(dim=1)
            answers.append((*self.head(tokens), torch.cat(parts, dim=1)))
        logits, embeddings, features = (
            torch.stack(part).mean(dim=0) for part in zip(*answers, strict=True)
        )
        return logits, embeddings, features

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same as `predict`."""
        return self.predict(pixel_values)


class _Tokens(nn.Module):
    """A backbone of transformers, for which nothing of our own is written."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: Tensor) -> Tensor:
        kind = next(self.backbone.parameters()).dtype
        tokens: Tensor = self.backbone(pixel_values=pixels.to(kind)).last_hidden_state
        return tokens


def fused_model(checkpoint: Checkpoint) -> FusedModel:
    """Build the model of a checkpoint for inference, in float32 on the CPU.

    Adapters are merged in float32 first. Backbones that `DinoV3` does not compute run
    as transformers has them, with the fast head.

    Raises
    ------
    CheckpointError
        When the weights changed since they were verified, or do not fit.
    """
    content = checkpoint.config()
    body = DinoV3Shape.from_config(content.get("backbone_config") or {})
    size = checkpoint.preprocessing.size
    if body is None or size < body.patch_size:
        plain = checkpoint.model()
        head = QueryHeadConfig.from_config(content, plain.head.query.shape[-1])
        return FusedModel(
            _Tokens(plain.backbone),
            FusedQueryHead(head, plain.head.state_dict()),
            plain.config.turns,
            _prefix(content),
        )
    head = QueryHeadConfig.from_config(content, body.hidden_size)
    if checkpoint.base is not None:
        tensors: Mapping[str, Tensor] = checkpoint.model().state_dict()
    else:
        tensors = checkpoint.tensors(_shapes(body, head))
    whole = {name: value.to(torch.float32) for name, value in tensors.items()}
    return FusedModel(
        DinoV3(body, strip_prefix(whole, _BODY), size),
        FusedQueryHead(head, strip_prefix(whole, _HEAD)),
        _tta_rotations(content),
        1 + body.num_register_tokens,
    )


def _prefix(content: Mapping[str, Any]) -> int:
    """Return how many tokens of a backbone of transformers stand before the patches."""
    own = content.get("backbone_config") or {}
    return 1 + int(own.get("num_register_tokens") or 0)


def _shapes(body: DinoV3Shape, head: QueryHeadConfig) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the tensors that the weights file must hold."""
    return {
        **{_BODY + name: shape for name, shape in body.tensor_shapes().items()},
        **{_HEAD + name: shape for name, shape in head.tensor_shapes().items()},
    }


def _tta_rotations(content: Mapping[str, Any]) -> int:
    turns = content.get("turns", 1)
    if turns not in (1, 2, 4):
        raise CheckpointError(
            f"config.json asks for {turns!r} turns, but 1, 2 or 4 are possible; "
            "get the checkpoint again."
        )
    return int(turns)
