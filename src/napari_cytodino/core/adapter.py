"""LoRA by peft: low-rank adapters on the backbone, merged away for inference."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_cytodino.core.errors import CytoDinoError

if TYPE_CHECKING:
    from peft import PeftModel

    from napari_cytodino.core.model import CytoDinoForImageClassification

TARGETS = (
    r"backbone\..*\.(q_proj|k_proj|v_proj|o_proj|up_proj|down_proj|gate_proj"
    r"|query|key|value|dense|fc1|fc2|weights_in|weights_out)"
)
"""Linear projections of attention and feed-forward, as DINOv3 and DINOv2 name them."""

HEAD = "head"
"""Trained whole beside the adapters, and stored with them."""


def add_lora(
    model: CytoDinoForImageClassification,
    rank: int = 64,
    alpha: int = 128,
    dropout: float = 0.1,
) -> PeftModel:
    """Freeze the backbone, add adapters to its projections, keep the head trainable.

    Parameters
    ----------
    model : CytoDinoForImageClassification
        Changed in place.
    rank, alpha : int
        Of the adapters; their product is scaled by ``alpha / rank``.
    dropout : float
        Before the adapters, while training.

    Raises
    ------
    CytoDinoError
        When the rank is below 1 or the backbone has no projection to adapt.
    """
    from peft import LoraConfig, get_peft_model

    if rank < 1:
        raise CytoDinoError(f"A LoRA rank of {rank} is below 1; raise it.")
    if not any(
        isinstance(module, nn.Linear) and re.fullmatch(TARGETS, name)
        for name, module in model.named_modules()
    ):
        raise CytoDinoError(
            f"The backbone {type(model.backbone).__name__} has no linear projection "
            "of a known name; train it whole, or use dinov3_vit or dinov2."
        )
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        bias="none",
        target_modules=TARGETS,
        modules_to_save=[HEAD],
    )
    with warnings.catch_warnings():
        # peft asks transformers for a property that transformers has deprecated
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*")
        return get_peft_model(model, config)


def merge_lora(adapted: PeftModel) -> CytoDinoForImageClassification:
    """Add the adapters to the weights in float32 and return the plain model.

    Raises
    ------
    CytoDinoError
        When the merged weights are not finite.
    """
    plain = adapted.to(torch.float32).merge_and_unload()
    for name, value in plain.state_dict().items():
        if not value.isfinite().all():
            raise CytoDinoError(
                f"{name} is not finite after merging; train again with a lower rate."
            )
    return plain
