"""The model: backbones it builds, what it returns, how it is described."""

from __future__ import annotations

import pytest
import torch

from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.models.cytodino import (
    CytoDinoConfig,
    CytoDinoForImageClassification,
    build_backbone_config,
    config_fields,
    model_from_config,
)
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")
SMALL = {
    "image_size": 32,
    "patch_size": 16,
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
BACKBONES = {
    "dinov3_vit": {
        **SMALL,
        "model_type": "dinov3_vit",
        "intermediate_size": 24,
        "num_register_tokens": 2,
    },
    "dinov2": {**SMALL, "model_type": "dinov2", "mlp_ratio": 1},
}


def small_model(kind: str = "dinov3_vit") -> CytoDinoForImageClassification:
    torch.manual_seed(0)
    return CytoDinoForImageClassification(
        CytoDinoConfig(
            backbone_config=BACKBONES[kind],
            taxonomy=TAXONOMY.to_dict(),
            head_layers=1,
            head_heads=2,
        )
    ).eval()


@pytest.mark.parametrize(("kind", "tokens"), [("dinov3_vit", 7), ("dinov2", 5)])
def test_logits_embedding_and_tokens(kind: str, tokens: int) -> None:
    model, pixels = small_model(kind), torch.randn(2, 3, 32, 32)
    logits, embedding = model.predict(pixels)
    assert logits.shape == (2, len(TAXONOMY))
    assert embedding.shape == (2, 24)
    assert model.tokens(pixels).shape == (2, tokens, 24)
    assert model.tokens(pixels)[:, model.prefix :].shape[1] == 4
    assert torch.equal(model(pixels).logits, logits)


def test_loss_only_with_labels_and_every_used_weight_learns() -> None:
    model, pixels = small_model(), torch.randn(2, 3, 32, 32)
    assert model(pixels).loss is None
    loss = model(pixels, labels=torch.tensor([0, 20])).loss
    loss.backward()
    idle = {n for n, p in model.named_parameters() if p.grad is None}
    assert idle == {"backbone.embeddings.mask_token"}


@pytest.mark.parametrize("turns", [2, 4])
def test_answers_of_turned_crops_are_averaged(turns: int) -> None:
    model, pixels = small_model(), torch.randn(2, 3, 32, 32)
    expected = torch.stack(
        [model(torch.rot90(pixels, k, (2, 3))).logits for k in range(0, 4, 4 // turns)]
    ).mean(dim=0)
    model.config.turns = turns
    logits, embedding = model.predict(pixels)
    assert torch.allclose(logits, expected, atol=1e-6)
    assert embedding.shape == (2, 24)
    again, _ = model.predict(torch.rot90(pixels, 2, (2, 3)))
    assert torch.allclose(again, logits, atol=1e-5)


def test_other_numbers_of_turns_are_refused() -> None:
    with pytest.raises(CheckpointError, match="turns is 3"):
        model_from_config(config_fields(small_model()) | {"turns": 3})


def test_unknown_backbone_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match=r"'resnet'.*dinov3_vit"):
        build_backbone_config({"model_type": "resnet"})


def test_described_and_built_again() -> None:
    model = small_model()
    again = model_from_config(config_fields(model))
    again.load_state_dict(model.state_dict())
    pixels = torch.randn(1, 3, 32, 32)
    assert torch.equal(again.eval()(pixels).logits, model(pixels).logits)


def test_a_description_that_lacks_a_field_is_refused() -> None:
    fields = config_fields(small_model())
    del fields["head_layers"]
    with pytest.raises(CheckpointError, match="head_layers"):
        model_from_config(fields)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    fields = config_fields(small_model()) | {"head_heads": 5}
    with pytest.raises(CheckpointError, match="no model that can be built"):
        model_from_config(fields)
