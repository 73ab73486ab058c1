"""DinoBloom's published files -> a backbone folder; an explicit, offline step."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import torch

from napari_cytodino.checkpoints import find_backbone
from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor


HEAD_WIDTH = 64
"""Channels of an attention head in every DINOv2 ViT."""

_TRAINING_HEADS = ("dino_head", "ibot_head", "dino_loss", "ibot_patch_loss")

_OUTER = {
    "cls_token": "embeddings.cls_token",
    "mask_token": "embeddings.mask_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}

_INNER = {
    "attn.proj": "attention.o_proj",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
    "mlp.w3": "mlp.down_proj",
}

# the DINOv2 code may wrap blocks in chunks, which puts one more number in between
_BLOCK = re.compile(r"blocks\.(?:\d+\.)?(?P<layer>\d+)\.(?P<rest>.+)")


def read_dinobloom(path: Path) -> dict[str, Tensor]:
    """Read the backbone's tensors of a published file, under their published names.

    The files are those of https://github.com/marrlab/DinoBloom (Koch et al. 2024, arXiv
    2404.05022): DINOv2 ViTs in the naming of the DINOv2 code, under ``teacher`` beside
    the heads of their training, with positions for 224 px.

    Only tensors are read (``weights_only``): a file that asks for code is refused.

    Raises
    ------
    InputError
        When the file cannot be read so, or holds no backbone.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}: download it from DinoBloom's page.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle raise many kinds
        raise InputError(
            f"{path} is no file of plain tensors ({str(error).splitlines()[0]}): "
            "download DinoBloom's own file again."
        ) from error
    stored = content.get("teacher", content) if isinstance(content, dict) else {}
    tensors = {
        name.removeprefix("backbone."): value
        for name, value in stored.items()
        if isinstance(value, torch.Tensor) and not name.startswith(_TRAINING_HEADS)
    }
    if "patch_embed.proj.weight" not in tensors or "pos_embed" not in tensors:
        raise InputError(
            f"{path} holds no DINOv2 backbone: it has {', '.join(list(tensors)[:3])}; "
            "give one of DinoBloom's published .pth files."
        )
    return tensors


def rename(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the names of transformers' ``Dinov2Model``.

    The joint projection to queries, keys and values is split in three, and the joint
    gate of the giant model in two.
    """
    renamed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        match = _BLOCK.fullmatch(name)
        if match is None:
            renamed[_OUTER.get(name, name)] = value
            continue
        prefix = f"encoder.layer.{match['layer']}."
        for inner, part in _split(match["rest"], value):
            renamed[prefix + inner] = part.contiguous()
    return renamed


def _split(name: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    module, _, kind = name.rpartition(".")
    if module == "attn.qkv":
        for letter, part in zip("qkv", value.chunk(3), strict=True):
            yield f"attention.{letter}_proj.{kind}", part
    elif module == "mlp.w12":
        for word, part in zip(("gate", "up"), value.chunk(2), strict=True):
            yield f"mlp.{word}_proj.{kind}", part
    elif name in _INNER:
        yield _INNER[name], value
    else:
        yield f"{_INNER.get(module, module)}.{kind}", value


def config_of(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Read the shape of the model off its published tensors."""
    width, _, patch, _ = tensors["patch_embed.proj.weight"].shape
    side = math.isqrt(tensors["pos_embed"].shape[1] - 1)
    layers = {m["layer"] for m in map(_BLOCK.fullmatch, tensors) if m}
    return {
        "image_size": side * patch,
        "patch_size": patch,
        "hidden_size": width,
        "num_hidden_layers": len(layers),
        "num_attention_heads": max(1, width // HEAD_WIDTH),
        "use_swiglu_ffn": any(".mlp.w12." in name for name in tensors),
        "use_mask_token": "mask_token" in tensors,
    }


def convert_dinobloom(path: Path, out: Path) -> Path:
    """Write a published DinoBloom file as a folder that recipes name as backbone.

    Parameters
    ----------
    path : Path
        A ``.pth`` file of DinoBloom.
    out : Path
        Folder for ``config.json`` and ``model.safetensors``; must not hold others.

    Raises
    ------
    InputError
        When the file is no such backbone, or ``out`` is not empty.
    """
    from transformers import Dinov2Config, Dinov2Model

    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty: choose a new folder.")
    tensors = read_dinobloom(path)
    model = Dinov2Model(Dinov2Config(**config_of(tensors)))
    try:
        model.load_state_dict(rename(tensors))
    except RuntimeError as error:
        raise InputError(
            f"{path} does not fit a DINOv2 ViT of its own shape "
            f"({str(error).splitlines()[-1].strip()}): give DinoBloom's own file."
        ) from error
    model.save_pretrained(out)
    return find_backbone(str(out))
