"""The student before its first step: its shape, and the weights it starts from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from napari_cytodino.core.errors import InputError
from napari_cytodino.core.model import CytoDinoConfig, CytoDinoForImageClassification

if TYPE_CHECKING:
    from napari_cytodino.core.checkpoint import Checkpoint
    from napari_cytodino.training.config import Recipe

logger = logging.getLogger(__name__)

LAST_LAYER = "head.classify."
"""The layer whose rows are the classes."""


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

    Raises
    ------
    InputError
        When its backbone or head has another shape than the recipe's.
    """
    weights = checkpoint.model().state_dict()
    if model.config.taxonomy != checkpoint.taxonomy.to_dict():
        weights = {k: v for k, v in weights.items() if not k.startswith(LAST_LAYER)}
    own = model.state_dict()
    strange = sorted(set(weights) - set(own))
    strange += [k for k in own if not k.startswith(LAST_LAYER) and k not in weights]
    strange += [k for k in weights if k in own and weights[k].shape != own[k].shape]
    if strange:
        raise InputError(
            f"The checkpoint '{checkpoint.name}' is no start for this recipe: "
            f"{strange[0]} differs; take its values of [model] and size, or no start."
        )
    model.load_state_dict(weights, strict=False)
    logger.info("start: %s, sha256 %s", checkpoint.name, checkpoint.sha256)


def keep_of_start(
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
    own, start = model.state_dict(), checkpoint.model().state_dict()
    same = model.config.taxonomy == checkpoint.taxonomy.to_dict()
    shared = [k for k in own if same or not k.startswith(LAST_LAYER)]
    model.load_state_dict(
        {k: torch.lerp(own[k], start[k], share) for k in shared}, strict=False
    )
