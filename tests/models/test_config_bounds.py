"""A configuration says only what shapes a model, within reason, and never too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.models.config_bounds import (
    BACKBONES,
    backbone_fields,
    check_model,
    check_size,
)

WHERE = Path("config.json")
TINY = {
    "model_type": "dinov3_vit",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
HEAD = {"head_layers": 1, "head_heads": 2, "head_ff_ratio": 2, "head_dropout": 0.1}


@pytest.mark.parametrize("kind", BACKBONES)
def test_what_transformers_itself_writes_is_read(kind: str) -> None:
    written = AutoConfig.for_model(kind).to_dict()
    kept = backbone_fields(written, WHERE)
    assert kept["hidden_size"] == written["hidden_size"]
    assert "architectures" not in kept
    again = AutoConfig.for_model(**kept)
    assert again.to_dict() == written


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auto_map", {"AutoModel": "evil--Model"}),
        ("trust_remote_code", True),
        ("attn_implementation", "owner/kernels"),
        ("_attn_implementation", "owner/kernels"),
        ("quantization_config", {"quant_method": "x"}),
        ("hidden_act", "os.system"),
        ("hidden_act", 3),
        ("dtype", "evil"),
        ("return_dict", False),
        ("id2label", 3),
        ("hidden_size", 10**9),
        ("hidden_size", 0),
        ("hidden_size", "32"),
        ("hidden_size", True),
        ("hidden_size", 33),
        ("num_hidden_layers", 10**7),
        ("num_attention_heads", 0),
        ("patch_size", [16, 16]),
        ("image_size", 10**9),
        ("num_channels", 4),
        ("rope_theta", "x"),
        ("rope_theta", float("nan")),
        ("layer_norm_eps", 10**400),
        ("attention_dropout", 3),
        ("key_bias", 1),
    ],
)
def test_a_field_that_steers_or_cannot_be_is_named(name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=name.replace("hidden_size", "width|hid")):
        backbone_fields(TINY | {name: value}, WHERE)


@pytest.mark.parametrize("content", [None, [], "x", {}, {"model_type": ["dinov2"]}])
def test_what_is_no_backbone_is_told(content: object) -> None:
    with pytest.raises(CheckpointError, match="use one of dinov3_vit"):
        backbone_fields(content, WHERE)


@pytest.mark.parametrize(
    "change", [{"head_layers": 10**8}, {"head_heads": 0}, {"head_dropout": "x"}]
)
def test_a_head_that_cannot_be_built_is_named(change: dict[str, Any]) -> None:
    config = {"backbone_config": TINY, **HEAD}
    check_model(config, WHERE)
    with pytest.raises(CheckpointError, match=next(iter(change))):
        check_model(config | change, WHERE)


@pytest.mark.parametrize("kind", BACKBONES)
def test_the_least_is_no_more_than_there_is(kind: str, tmp_path: Path) -> None:
    from napari_cytodino.models.cytodino import (
        CytoDinoConfig,
        CytoDinoForImageClassification,
    )

    backbone = {**TINY, "model_type": kind, "image_size": 64, "patch_size": 16}
    if kind != "dinov3_vit":
        del backbone["intermediate_size"]
    own = {**HEAD, "head_layers": 2}
    taxonomy = {"classes": ["a", "b"]}
    config = CytoDinoConfig(backbone_config=backbone, taxonomy=taxonomy, **own)
    model = CytoDinoForImageClassification(config)
    count = sum(p.numel() for p in model.parameters())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(bytes(2 * count))
    check_size({"backbone_config": backbone, **own}, WHERE, weights)
    weights.write_bytes(bytes(count))
    with pytest.raises(CheckpointError, match="at least"):
        check_size({"backbone_config": backbone, **own}, WHERE, weights)
