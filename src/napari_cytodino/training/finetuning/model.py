"""The model that a fine-tuning recipe describes: backbone, adapters, head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_cytodino.checkpoints import add_lora, find_backbone, load_backbone
from napari_cytodino.models import (
    CytoDinoConfig,
    CytoDinoForImageClassification,
    build_backbone_config,
)
from napari_cytodino.training.recipes import check_heads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peft import PeftModel
    from torch import Tensor, nn

    from napari_cytodino.training.recipes import BackbonePlan, FinetuneRecipe


RESCALE = "pos_embed_rescale"
"""What DINOv3 calls its random scale of positions; other backbones have none."""


def _random_fields(plan: BackbonePlan, size: int) -> dict[str, Any]:
    shape = plan.random
    if shape is None:
        return {}
    return {
        "model_type": "dinov3_vit",
        "image_size": size,
        "patch_size": shape.patch,
        "hidden_size": shape.width,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_register_tokens": shape.registers,
    }


def backbone_of(
    plan: BackbonePlan, size: int
) -> tuple[dict[str, Any], Mapping[str, Tensor]]:
    """Return a backbone's configuration and its weights; none where they are random."""
    if plan.random is not None:
        fields, weights = _random_fields(plan, size), {}
    else:
        pretrained = load_backbone(find_backbone(plan.source, plan.revision or None))
        fields, weights = pretrained.config.to_diff_dict(), pretrained.state_dict()
        fields["model_type"] = pretrained.config.model_type
    if fields["model_type"] == "dinov3_vit":
        rescale = plan.pos_embed_rescale
        fields[RESCALE] = rescale if rescale > 1 else None
    return fields, weights


def config_of(recipe: FinetuneRecipe, fields: dict[str, Any]) -> CytoDinoConfig:
    """Describe the model of a recipe on a backbone.

    Parameters
    ----------
    recipe
        Names classes and head.
    fields
        The backbone's configuration, from `backbone_of`.

    Raises
    ------
    InputError
        When the head's attention does not divide the backbone's width.
    """
    check_heads(
        "head.heads", recipe.head.heads, build_backbone_config(fields).hidden_size
    )
    return CytoDinoConfig(
        backbone_config=fields,
        taxonomy=recipe.classes_in_order.to_dict(),
        head_layers=recipe.head.layers,
        head_heads=recipe.head.heads,
        head_ff_ratio=recipe.head.ff_ratio,
        head_dropout=recipe.head.dropout,
        synthetic=bool(recipe.data.synthetic),
    )


def new_model(recipe: FinetuneRecipe) -> PeftModel:
    """Build backbone, adapters and head; all that is fresh comes from the seed.

    Raises
    ------
    CytoDinoError
        When the backbone cannot be had, has no projection to adapt, or has a width that
        the heads do not divide.
    """
    torch.manual_seed(recipe.seed)
    fields, weights = backbone_of(recipe.backbone, recipe.size)
    config = config_of(recipe, fields)
    model = CytoDinoForImageClassification(config)
    if weights:
        model.backbone.load_state_dict(weights)
    if recipe.backbone.activation_checkpointing:
        recompute(model.backbone)
    plan = recipe.lora
    return add_lora(model, plan.rank, plan.alpha, plan.dropout)


def recompute(backbone: Any) -> None:
    """Have activations computed again in the backward pass: less memory, more time.

    transformers renamed its switch in 5.2x; the older name goes in 6.
    """
    new, old = "activation_checkpointing_enable", "gradient_checkpointing_enable"
    switch = getattr(backbone, new, None) or getattr(backbone, old)
    switch({"use_reentrant": False})


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Count parameters of the backbone, the adapters and the head.

    peft keeps the head twice, as it was and as it learns; only the latter counts.
    """
    counts = {"backbone": 0, "adapter": 0, "head": 0}
    for name, value in model.named_parameters():
        if ".original_module." in name:
            continue
        kind = "adapter" if ".lora_" in name else "backbone"
        counts["head" if ".head." in name else kind] += value.numel()
    return counts


def trained_share(counts: Mapping[str, int]) -> str:
    """Say how much learns, with and without the head: they are often confused.

    The published 8 % is the adapter's share of backbone and adapter; the head, which
    learns too, is left out of it (domain.md 1.1, 11).
    """
    backbone, adapter, head = counts["backbone"], counts["adapter"], counts["head"]
    alone = adapter / (backbone + adapter)
    both = (adapter + head) / (backbone + adapter + head)
    return (
        f"{adapter:,} adapter parameters ({100 * alone:.2f} % of backbone and "
        f"adapter); with {head:,} of the head {100 * both:.2f} % of the whole learn."
    )
