"""What ``config.json`` may say of a model: known fields, within reason, no bomb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cytodino.common import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


BACKBONES = ("dinov3_vit", "dinov2", "dinov2_with_registers")
"""Backbones that are built, all of them classes of transformers itself."""

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish")
"""Names of activations; transformers looks them up in a table, this is part of it."""

_WHOLE = {
    "hidden_size": (1, 8192),
    "intermediate_size": (1, 65536),
    "num_hidden_layers": (1, 128),
    "num_attention_heads": (1, 256),
    "num_register_tokens": (0, 256),
    "mlp_ratio": (1, 16),
    "patch_size": (1, 256),
    "image_size": (1, 4096),
    "num_channels": (3, 3),
}

_REAL = {
    "attention_dropout": (0, 1),
    "attention_probs_dropout_prob": (0, 1),
    "drop_path_rate": (0, 1),
    "hidden_dropout_prob": (0, 1),
    "initializer_range": (0, 10),
    "layer_norm_eps": (0, 1),
    "layerscale_value": (-1000, 1000),
    "pos_embed_jitter": (0, 100),
    "pos_embed_rescale": (0, 100),
    "pos_embed_shift": (0, 100),
    "rope_theta": (1e-3, 1e9),
}

_FLAGS = (
    "apply_layernorm",
    "key_bias",
    "mlp_bias",
    "proj_bias",
    "qkv_bias",
    "query_bias",
    "reshape_hidden_states",
    "use_gated_mlp",
    "use_mask_token",
    "use_swiglu_ffn",
    "value_bias",
)

_OPTIONAL = ("pos_embed_jitter", "pos_embed_rescale", "pos_embed_shift")

_NUMBERS = (None, "float32", "float16", "bfloat16")

_NOTES: dict[str, tuple[Any, ...]] = {
    "_name_or_path": (str, None),
    "architectures": (list, None),
    "chunk_size_feed_forward": (0,),
    "dtype": _NUMBERS,
    "id2label": (dict, None),
    "is_encoder_decoder": (False,),
    "label2id": (dict, None),
    "out_features": (list, None),
    "out_indices": (list, None),
    "output_attentions": (False,),
    "output_hidden_states": (False,),
    "problem_type": (None,),
    "return_dict": (True,),
    "stage_names": (list, None),
    "torch_dtype": _NUMBERS,
    "transformers_version": (str, None),
}
"""What transformers writes beside them: the kind, or the values that change nothing."""

_HEAD: dict[str, tuple[Any, ...]] = {
    "head_layers": (1, 64, int),
    "head_heads": (1, 256, int),
    "head_ff_ratio": (1, 16, int),
    "head_dropout": (0, 0.99, int, float),
    "turns": (1, 4, int),
}

_LEAST = 2
"""Bytes of a stored weight: half precision."""


def backbone_fields(content: object, path: Path) -> dict[str, Any]:
    """Return the fields of a backbone's configuration that shape it, all of them sound.

    transformers obeys fields that name code to fetch and run (``attn_implementation``,
    ``auto_map``), and builds any shape that is asked for before weights are compared.

    Parameters
    ----------
    content
        Of ``config.json`` of a backbone, or ``backbone_config`` of a checkpoint.
    path
        The file, for messages.

    Raises
    ------
    CheckpointError
        When a field is unknown, of the wrong kind, or out of its range.
    """
    if not isinstance(content, dict) or content.get("model_type") not in BACKBONES:
        kind = content.get("model_type") if isinstance(content, dict) else content
        raise CheckpointError(
            f"{path} describes a {kind!r}, which this version does not build; use one "
            f"of {', '.join(BACKBONES)}."
        )
    known = {k: v for k, v in content.items() if k not in ("model_type", *_NOTES)}
    for name, value in content.items():
        if name != "model_type" and not _sound(name, value):
            raise CheckpointError(
                f"{path} has {name} = {value!r}, which no backbone that this version "
                "builds has; get the checkpoint again from its source."
            )
    heads = known.get("num_attention_heads", 1)
    if known.get("hidden_size", heads) % heads:
        raise CheckpointError(
            f"{path} divides a width of {known['hidden_size']} by {heads} heads, which "
            "leaves a rest; get the checkpoint again from its source."
        )
    return {"model_type": content["model_type"], **known}


def _sound(name: str, value: object) -> bool:
    if name in _NOTES:
        return any(
            isinstance(value, one) if isinstance(one, type) else value == one
            for one in _NOTES[name]
        )
    if name in _OPTIONAL and value is None:
        return True
    if name in _WHOLE:
        return _within(value, _WHOLE[name], int)
    if name in _REAL:
        return _within(value, _REAL[name], int, float)
    if name in _FLAGS:
        return isinstance(value, bool)
    return name == "hidden_act" and value in ACTIVATIONS


def _within(value: object, bounds: tuple[float, float], *kinds: type) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    low, high = bounds
    return isinstance(value, kinds) and low <= value <= high


def check_model(config: Mapping[str, Any], path: Path) -> None:
    """Check what the configuration of a checkpoint says of backbone and head.

    Raises
    ------
    CheckpointError
        As `backbone_fields` does, and for a head that cannot be built.
    """
    backbone_fields(config.get("backbone_config"), path)
    for name, (low, high, *kinds) in _HEAD.items():
        if name in config and not _within(config[name], (low, high), *kinds):
            raise CheckpointError(
                f"{path} has {name} = {config[name]!r}, with which no head can be "
                "built; get the checkpoint again from its source."
            )


def check_size(config: Mapping[str, Any], path: Path, weights: Path) -> None:
    """Refuse a description of far more parameters than its weights can hold.

    The model is built before weights are compared with it: a small file must not be
    able to ask for all the memory there is.

    Parameters
    ----------
    config
        Checked by `check_model` or `backbone_fields`.
    path, weights
        The file it stands in, and that of the weights.

    Raises
    ------
    CheckpointError
        With both numbers.
    """
    fields = config.get("backbone_config", config)
    width, layers = fields.get("hidden_size", 1), fields.get("num_hidden_layers", 1)
    inner = fields.get("intermediate_size", width * fields.get("mlp_ratio", 1))
    patch = fields.get("patch_size", 16)
    least = layers * (4 * width**2 + 2 * width * inner) + 3 * width * patch**2
    if fields["model_type"] != "dinov3_vit":
        least += width * (fields.get("image_size", patch) // patch) ** 2
    ratio = config.get("head_ff_ratio", 1)
    least += config.get("head_layers", 0) * (8 + 2 * ratio) * width**2
    most = weights.stat().st_size // _LEAST
    if least > most:
        raise CheckpointError(
            f"{path} describes a model of at least {least:,} parameters, but "
            f"{weights.name} holds at most {most:,}; get the checkpoint again."
        )
