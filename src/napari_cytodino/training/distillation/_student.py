"""The student before its first step: its shape, and the weights it starts from."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import torch

from napari_cytodino.common import InputError
from napari_cytodino.models import CytoDinoConfig, CytoDinoForImageClassification

if TYPE_CHECKING:
    from torch import Tensor

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.training.recipes import Recipe


logger = logging.getLogger(__name__)

LAST_LAYER = "head.classify."
"""The layer whose rows are the classes."""

_LAYER = re.compile(r"(.*\.layer\.)(\d+)(\..*)")
"""A weight of one of the backbone's layers: what comes before its number, and after."""

_SCALES = (".layer_scale1.lambda1", ".layer_scale2.lambda1")
"""What a layer adds is multiplied by these: at 0 it passes on what it gets."""


def new_model(recipe: Recipe) -> CytoDinoForImageClassification:
    """Build the recipe's model with random weights from its seed."""
    plan = recipe.model
    torch.manual_seed(recipe.seed)
    backbone = {
        "model_type": "dinov3_vit",
        "image_size": recipe.size,
        "patch_size": plan.patch,
        "hidden_size": plan.width,
        "intermediate_size": plan.feed_forward,
        "num_hidden_layers": plan.layers,
        "num_attention_heads": plan.heads,
        "num_register_tokens": plan.registers,
        "pos_embed_rescale": plan.rescale if plan.rescale > 1 else None,
        "drop_path_rate": plan.drop_path,
    }
    config = CytoDinoConfig(
        backbone_config=backbone,
        taxonomy=recipe.classes_in_order.to_dict(),
        head_layers=plan.head_layers,
        head_heads=plan.head_heads,
        head_dropout=plan.head_dropout,
        turns=plan.turns,
        synthetic=bool(recipe.synthetic),
    )
    model = CytoDinoForImageClassification(config)
    for name, parameter in model.named_parameters():
        if name.endswith("mask_token"):
            parameter.requires_grad_(False)
    return model


def start_from(model: CytoDinoForImageClassification, checkpoint: Checkpoint) -> None:
    """Take over a checkpoint's weights, save the last layer where classes differ.

    A backbone of fewer layers is deepened without changing what it computes (see
    `deepened`).

    Raises
    ------
    InputError
        When its backbone or head has another shape than the recipe's.
    """
    weights = _start_weights(model, checkpoint)
    if model.config.taxonomy != checkpoint.taxonomy.to_dict():
        weights = {k: v for k, v in weights.items() if not k.startswith(LAST_LAYER)}
    own = model.state_dict()
    different = sorted(set(weights) - set(own))
    different += [k for k in own if not k.startswith(LAST_LAYER) and k not in weights]
    different += [k for k in weights if k in own and weights[k].shape != own[k].shape]
    if different:
        raise InputError(
            f"The checkpoint '{checkpoint.name}' is no start for this recipe: "
            f"{different[0]} differs; take its values of [model] and size, or no start."
        )
    model.load_state_dict(weights, strict=False)
    logger.info("start: %s, sha256 %s", checkpoint.name, checkpoint.sha256)


def interpolate_with_start(
    model: CytoDinoForImageClassification, checkpoint: Checkpoint, share: float
) -> None:
    """Average the trained weights with those of the start, where both have them.

    Parameters
    ----------
    model
        Trained from the checkpoint; changed in place.
    checkpoint
        What it started from.
    share
        Of the start, 0 to 1.
    """
    own, start = model.state_dict(), _start_weights(model, checkpoint)
    same = model.config.taxonomy == checkpoint.taxonomy.to_dict()
    shared = [k for k in own if same or not k.startswith(LAST_LAYER)]
    model.load_state_dict(
        {k: torch.lerp(own[k], start[k], share) for k in shared}, strict=False
    )


def deepened(weights: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Spread a backbone's layers over more layers; the new ones pass on what they get.

    New layers lie between the old ones as copies of the one before, with layer scales
    of 0: the same function at first, and every scale learns at once. Stacking grown
    networks is from Gong et al., *Efficient Training of BERT by Progressively
    Stacking*, ICML 2019; scales of 0 in place of copies at full strength keep the
    start's accuracy.

    Parameters
    ----------
    weights
        Of a model with layer scales (DINOv2, DINOv3), by name.
    layers
        How many it shall have, at least as many as it has.
    """
    there = _depth(weights)
    sources = [index * there // layers for index in range(layers)]
    grown = {k: v for k, v in weights.items() if not _LAYER.fullmatch(k)}
    for name, value in weights.items():
        if not (match := _LAYER.fullmatch(name)):
            continue
        for index in (i for i, s in enumerate(sources) if s == int(match[2])):
            copy = index > 0 and sources[index - 1] == sources[index]
            silent = copy and name.endswith(_SCALES)
            grown[f"{match[1]}{index}{match[3]}"] = (
                torch.zeros_like(value) if silent else value
            )
    return grown


def _depth(weights: dict[str, Tensor]) -> int:
    return 1 + max((int(m[2]) for m in map(_LAYER.fullmatch, weights) if m), default=-1)


def _start_weights(
    model: CytoDinoForImageClassification, checkpoint: Checkpoint
) -> dict[str, Tensor]:
    weights = checkpoint.model().state_dict()
    layers = _depth(model.state_dict())
    return deepened(weights, layers) if layers > _depth(weights) > 0 else weights
