"""The recipe's model: published numbers of parameters, fresh weights from the seed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import AutoConfig, AutoModel

from napari_cytodino.common.errors import CheckpointError, InputError
from napari_cytodino.training.finetuning.model import (
    backbone_of,
    new_model,
    parameter_counts,
    trained_share,
)
from napari_cytodino.training.recipes.finetuning import (
    BackbonePlan,
    FinetuneRecipe,
    RandomBackbone,
)
from napari_cytodino.training.recipes.reading import build, read_recipe

if TYPE_CHECKING:
    from pathlib import Path

VIT_L16 = RandomBackbone(1024, 24, 16, 4096, 16, 4)
"""DINOv3 ViT-L/16: width, layers, heads, feed-forward, patch, registers."""


@pytest.fixture
def recipe() -> FinetuneRecipe:
    return build(FinetuneRecipe, *read_recipe("finetune-smoke"))


def backbone_folder(folder: Path, kind: str = "dinov3_vit") -> Path:
    """Save a tiny random backbone as the Hub would hold it."""
    shape = {"image_size": 32, "patch_size": 16, "hidden_size": 24}
    inner = {"intermediate_size": 48} if kind == "dinov3_vit" else {"mlp_ratio": 2}
    config = AutoConfig.for_model(
        kind, **shape, **inner, num_hidden_layers=2, num_attention_heads=2
    )
    torch.manual_seed(7)
    AutoModel.from_config(config).save_pretrained(folder)
    return folder


def test_the_published_recipe_trains_as_many_parameters_as_the_paper() -> None:
    whole = build(FinetuneRecipe, *read_recipe("mll21-vitl16"))
    shape = BackbonePlan(random=VIT_L16)
    with torch.device("meta"):
        counts = parameter_counts(new_model(replace(whole, backbone=shape)))
    assert counts == {
        "backbone": 303_129_600,
        "adapter": 28_311_552,
        "head": 50_425_877,
    }
    # by hand: rank 64 times (in + out) of q, k, v, o and of the two of width 4096
    assert counts["adapter"] == 24 * 64 * (4 * (1024 + 1024) + 2 * (1024 + 4096))
    said = trained_share(counts)
    assert "28,311,552 adapter parameters (8.54 %" in said
    assert "50,425,877 of the head 20.62 %" in said


def test_only_adapters_and_head_learn(recipe: FinetuneRecipe) -> None:
    model = new_model(recipe)
    counts = parameter_counts(model)
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert learning == counts["adapter"] + counts["head"]
    plain = model.get_base_model().backbone
    assert counts["backbone"] == sum(
        p.numel() for n, p in plain.named_parameters() if "lora_" not in n
    )


def test_the_seed_decides_what_is_fresh(recipe: FinetuneRecipe) -> None:
    first, again = new_model(recipe).state_dict(), new_model(recipe).state_dict()
    other = new_model(replace(recipe, seed=1)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    query = next(
        name for name in first if "modules_to_save" in name and "query" in name
    )
    assert not torch.equal(first[query], other[query])


@pytest.mark.parametrize("kind", ["dinov3_vit", "dinov2"])
def test_a_folder_gives_the_weights(
    tmp_path: Path, recipe: FinetuneRecipe, kind: str
) -> None:
    folder = backbone_folder(tmp_path / "base", kind)
    plan = BackbonePlan(source=str(folder), pos_embed_rescale=1.5)
    model = new_model(replace(recipe, backbone=plan, seed=3)).get_base_model()
    stored = AutoModel.from_pretrained(folder).state_dict()
    own = {
        name.replace(".base_layer.", "."): value
        for name, value in model.backbone.state_dict().items()
        if "lora_" not in name
    }
    assert set(own) == set(stored)
    assert all(torch.equal(own[name], stored[name]) for name in stored)
    fields = model.config.backbone_config
    assert fields["model_type"] == kind
    assert fields.get("pos_embed_rescale") == (1.5 if kind == "dinov3_vit" else None)


def test_heads_that_do_not_divide_the_width_of_a_folder_are_told(
    tmp_path: Path, recipe: FinetuneRecipe
) -> None:
    # the recipe alone cannot know the width
    plan = BackbonePlan(source=str(backbone_folder(tmp_path / "base")))
    wrong = replace(recipe, backbone=plan, head=replace(recipe.head, heads=5))
    with pytest.raises(InputError, match=r"head\.heads is 5.* width of 24: use one of"):
        new_model(wrong)


def test_the_positions_are_scaled_only_while_training(recipe: FinetuneRecipe) -> None:
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for rescale in (1.0, 2.0):
        plan = replace(recipe.backbone, pos_embed_rescale=rescale)
        backbone = new_model(replace(recipe, backbone=plan)).get_base_model().backbone
        for module in backbone.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0

        def differs(backbone: torch.nn.Module = backbone) -> bool:
            answers = [backbone(pixel_values=pixels).last_hidden_state for _ in "ab"]
            return not torch.equal(*answers)

        backbone.train()
        assert differs() == (rescale > 1)
        backbone.eval()
        assert not differs()


def test_activations_can_be_computed_again_with_the_same_gradient(
    recipe: FinetuneRecipe,
) -> None:
    still = replace(
        recipe,
        lora=replace(recipe.lora, dropout=0.0),
        head=replace(recipe.head, dropout=0.0),
        backbone=replace(recipe.backbone, pos_embed_rescale=1.0),
    )
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    grads, saved = [], []
    for again in (False, True):
        plan = replace(still.backbone, activation_checkpointing=again)
        model = new_model(replace(still, backbone=plan)).train()
        kept: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, kept=kept: (kept.append(x.numel()), x)[1], lambda x: x
        ):
            loss = model(pixel_values=pixels).logits.square().sum()
        loss.backward()
        grads.append([p.grad for p in model.parameters() if p.grad is not None])
        saved.append(sum(kept))
    assert len(grads[0]) == len(grads[1]) > 10
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*grads, strict=True))
    assert saved[1] < saved[0]


def test_a_missing_backbone_is_named(recipe: FinetuneRecipe) -> None:
    plan = BackbonePlan(source="no such folder")
    with pytest.raises(CheckpointError, match="no such folder"):
        backbone_of(plan, 32)
