"""LoRA by peft: low-rank adapters on the backbone, stored alone, merged to be used."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_cytodino.checkpoints.backbones import find_base, load_backbone
from napari_cytodino.checkpoints.folder import ADAPTER_CONFIG, WEIGHTS, read_json
from napari_cytodino.common import CheckpointError, CytoDinoError
from napari_cytodino.models import check_model, check_size, model_from_config

if TYPE_CHECKING:
    from pathlib import Path

    from peft import PeftModel
    from torch import Tensor

    from napari_cytodino.checkpoints.backbones import Base
    from napari_cytodino.models import CytoDinoForImageClassification


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


def adapter_tensors(adapted: PeftModel) -> dict[str, Tensor]:
    """Return what an adapter folder stores: the low-rank matrices and the head."""
    from peft import get_peft_model_state_dict

    return dict(get_peft_model_state_dict(adapted))


def adapter_config(adapted: PeftModel, base: Base) -> dict[str, Any]:
    """Return ``adapter_config.json`` in peft's own terms, only what we read again."""
    own = adapted.peft_config["default"]
    return {
        "peft_type": "LORA",
        "base_model_name_or_path": base.id,
        "revision": base.revision or None,
        "bias": "none",
        "target_modules": TARGETS,
        "modules_to_save": [HEAD],
        "r": own.r,
        "lora_alpha": own.lora_alpha,
    }


def read_adapter_config(folder: Path) -> tuple[int, int]:
    """Return rank and alpha of an adapter folder.

    Raises
    ------
    CheckpointError
        When a field is unknown, missing or asks for anything but plain LoRA here: peft
        would obey fields that change the model, or that name code to import.
    """
    path = folder / ADAPTER_CONFIG
    content = read_json(path)
    fixed = {
        "peft_type": "LORA",
        "bias": "none",
        "target_modules": TARGETS,
        "modules_to_save": [HEAD],
    }
    free = {"base_model_name_or_path", "revision", "r", "lora_alpha"}
    unexpected = sorted(set(content) ^ (set(fixed) | free))
    unexpected += [name for name in fixed if content.get(name) != fixed[name]]
    for name in ("r", "lora_alpha"):
        value = content.get(name)
        if type(value) is not int or value not in range(1, 4097):
            unexpected.append(name)
    if unexpected:
        raise CheckpointError(
            f"{path} is not as this version writes it: {unexpected[0]} is "
            f"{content.get(unexpected[0])!r}; save the checkpoint again."
        )
    return content["r"], content["lora_alpha"]


def model_with_adapter(
    config: dict[str, Any], folder: Path, base: Base
) -> tuple[PeftModel, dict[str, Tensor]]:
    """Build the model of an adapter folder on its base, adapters still at their start.

    Parameters
    ----------
    config : dict
        Content of ``config.json``.
    folder : Path
        The adapter folder.
    base : Base
        The weights it was trained on.

    Returns
    -------
    PeftModel, dict of Tensor
        The model, and the tensors it expects from ``adapter_model.safetensors``.

    Raises
    ------
    CheckpointError
        When the base cannot be had, is another one, or does not fit the configuration.
    """
    rank, alpha = read_adapter_config(folder)
    found = find_base(base)
    # before it is built: the adapter folder itself holds no weights to go by
    own = {"backbone_config": config.get("backbone_config")}
    check_model(config, folder / "config.json")
    check_size(own, folder / "config.json", found / WEIGHTS)
    model = model_from_config(config)
    weights = load_backbone(found).state_dict()
    try:
        model.backbone.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"The base {base.id} does not fit the configuration in {folder}: "
            f"{str(error).splitlines()[-1].strip()} Save the checkpoint again."
        ) from error
    adapted = add_lora(model, rank, alpha, dropout=0.0)
    return adapted, adapter_tensors(adapted)


def fill_adapter(
    adapted: PeftModel, tensors: dict[str, Tensor]
) -> CytoDinoForImageClassification:
    """Fill in the stored tensors, all of them, and merge them into the weights."""
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(adapted, tensors)
    return merge_lora(adapted)
