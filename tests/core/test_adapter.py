"""Adapters: which weights learn, and a merge that changes nothing."""

from __future__ import annotations

import pytest
import torch

from napari_cytodino.core.adapter import add_lora, merge_lora
from napari_cytodino.core.errors import CytoDinoError
from napari_cytodino.core.model import CytoDinoConfig, CytoDinoForImageClassification
from napari_cytodino.core.taxonomy import Taxonomy

SMALL = {
    "image_size": 32,
    "patch_size": 16,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
BACKBONES = {
    "dinov3_vit": {**SMALL, "model_type": "dinov3_vit", "intermediate_size": 48},
    "dinov2": {**SMALL, "model_type": "dinov2", "mlp_ratio": 2},
}


def small_model(kind: str = "dinov3_vit") -> CytoDinoForImageClassification:
    torch.manual_seed(0)
    return CytoDinoForImageClassification(
        CytoDinoConfig(
            backbone_config=BACKBONES[kind],
            taxonomy=Taxonomy.load("mll21").to_dict(),
            head_layers=1,
            head_heads=2,
        )
    ).eval()


@pytest.mark.parametrize(("kind", "projections"), [("dinov3_vit", 6), ("dinov2", 6)])
def test_adapters_sit_on_every_projection_and_the_head_learns(
    kind: str, projections: int
) -> None:
    adapted = add_lora(small_model(kind), rank=4, alpha=8)
    learning = {n for n, p in adapted.named_parameters() if p.requires_grad}
    assert sum("lora_A" in name for name in learning) == 2 * projections
    assert any("head" in name for name in learning)
    assert all("lora_" in name or "head" in name for name in learning)


@pytest.mark.parametrize("kind", BACKBONES)
def test_merged_model_answers_as_the_adapted_one(kind: str) -> None:
    plain = small_model(kind)
    names = set(plain.state_dict())
    pixels = torch.randn(3, 3, 32, 32)
    before = plain(pixels).logits.detach()
    adapted = add_lora(plain, rank=4, alpha=8).eval()
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.2)
    expected = adapted(pixels).logits.detach()
    merged = merge_lora(adapted)
    assert isinstance(merged, CytoDinoForImageClassification)
    assert set(merged.state_dict()) == names
    assert (expected - before).abs().max() > 1e-3
    assert (merged(pixels).logits - expected).abs().max() < 1e-5


def test_a_rank_below_one_is_refused() -> None:
    with pytest.raises(CytoDinoError, match="rank of 0"):
        add_lora(small_model(), rank=0)


def test_a_backbone_without_projections_is_refused() -> None:
    model = small_model()
    model.backbone = torch.nn.Identity()
    with pytest.raises(CytoDinoError, match="Identity"):
        add_lora(model)


def test_infinite_weights_are_not_merged() -> None:
    adapted = add_lora(small_model(), rank=2, alpha=4)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.fill_(torch.inf)
    with pytest.raises(CytoDinoError, match="not finite"):
        merge_lora(adapted)
