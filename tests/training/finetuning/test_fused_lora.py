"""The fused adapters are those of peft: answers, gradients, names, merged weights."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from peft.tuners.lora import Linear as LoraLinear
from torch.autograd import gradcheck
from transformers import Dinov2Config, DINOv3ViTConfig

from napari_cytodino.checkpoints.adapters import add_lora, merge_lora
from napari_cytodino.models.cytodino import (
    CytoDinoConfig,
    CytoDinoForImageClassification,
)
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.finetuning._fused_lora import (
    ATTENTION,
    AdaptedProduct,
    FusedLora,
    fuse_lora,
    kept,
)

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def adapted(kind: str = "dinov3_vit", dropout: float = 0.0):
    """Return a small model whose adapters are not at their start."""
    own = {"dinov3_vit": DINOv3ViTConfig, "dinov2": Dinov2Config}[kind](**SHAPE)
    if kind == "dinov3_vit":
        own.intermediate_size = 64
        own.pos_embed_rescale = None  # by chance, while it learns
    torch.manual_seed(0)
    config = CytoDinoConfig(
        backbone_config=own.to_diff_dict() | {"model_type": kind},
        taxonomy=Taxonomy.load("mll21").to_dict(),
        head_layers=1,
        head_dropout=0.0,
    )
    model = add_lora(CytoDinoForImageClassification(config), 4, 8, dropout)
    for name, value in model.named_parameters():
        if "lora_" in name or "layer_scale" in name:
            torch.nn.init.normal_(value, std=0.3)
    return model.train()


def learnt(model, pixels, *, autocast: bool):
    """Return logits, and the gradient of each weight that learns."""
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(pixel_values=pixels).logits.float()
    torch.autograd.backward(logits.square().mean())
    return logits.detach(), {
        name: value.grad.clone()
        for name, value in model.named_parameters()
        if value.grad is not None
    }


def pixels(count: int = 4):
    return torch.randn((count, 3, 32, 32), generator=torch.Generator().manual_seed(1))


def off(one, other) -> float:
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("kind", ["dinov3_vit", "dinov2"])
def test_as_near_to_the_exact_gradients_as_peft(kind):
    model = adapted(kind)
    exact, gradients = learnt(model, pixels(), autocast=False)
    plain, by_peft = learnt(model, pixels(), autocast=True)
    fuse_lora(model)
    fused, by_us = learnt(model, pixels(), autocast=True)
    assert off(fused, exact) < 2 * off(plain, exact) + 1e-3 < 0.05
    assert by_us.keys() == by_peft.keys() == gradients.keys()
    for name, want in gradients.items():
        assert by_us[name].dtype == torch.float32
        allowed = 2 * off(by_peft[name], want) + 0.02
        assert off(by_us[name], want) < allowed < 0.3, name


def test_without_autocast_everything_is_pefts_to_the_bit():
    model = adapted()
    before = learnt(model, pixels(), autocast=False)
    fuse_lora(model)
    after = learnt(model, pixels(), autocast=False)
    assert torch.equal(before[0], after[0])
    assert all(torch.equal(before[1][name], after[1][name]) for name in before[1])


@pytest.mark.parametrize("lost", [0.0, 0.3])
@pytest.mark.parametrize("bias", [True, False])
def test_the_gradient_is_that_of_the_function(lost, bias):
    torch.manual_seed(0)
    x, down, up = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 3, 5), (2, 5), (4, 2))
    )
    weight = torch.randn(4, 5, dtype=torch.float64)
    shift = torch.randn(4, dtype=torch.float64) if bias else None

    def product(*given):
        torch.manual_seed(7)  # the same mask each time
        return AdaptedProduct.apply(given[0], weight, shift, *given[1:], 0.7, lost)

    assert gradcheck(product, (x, down, up))
    torch.manual_seed(7)
    mask, keep = kept(x.reshape(-1, 5), lost) if lost else (torch.ones(6, 5), 1.0)
    low = (x.reshape(-1, 5) * mask / keep) @ down.T @ up.T * 0.7
    plain = torch.nn.functional.linear(x, weight, shift)
    torch.testing.assert_close(product(x, down, up), plain + low.view(2, 3, 4))


@pytest.mark.parametrize("lost", [0.1, 0.5, 0.999])
def test_dropout_loses_its_share_and_keeps_the_mean(lost):
    torch.manual_seed(0)
    x = torch.zeros(1000, 401, dtype=torch.bfloat16)
    mask, keep = kept(x, lost)
    assert (mask.shape, mask.dtype) == (x.shape, x.dtype)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert keep == pytest.approx(1 - lost, abs=2**-16)
    # six standard deviations of a binomial share of 401,000
    wide = 6 * (lost * (1 - lost) / x.numel()) ** 0.5
    assert mask.double().mean() == pytest.approx(keep, abs=wide)
    for axis in (0, 1):
        shares = mask.double().mean(axis)
        spread = (lost * (1 - lost) / x.shape[axis]) ** 0.5
        assert shares.std() == pytest.approx(spread, rel=0.2)


def test_masks_follow_the_seed_and_are_gone_in_evaluation():
    model = adapted(dropout=0.5)
    fuse_lora(model)
    said = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        said.append(learnt(model, pixels(), autocast=True)[0])
    assert torch.equal(said[0], said[1])
    assert not torch.equal(said[0], said[2])
    model.eval()
    quiet = [learnt(model, pixels(), autocast=True)[0] for _ in range(2)]
    assert torch.equal(*quiet)


def test_names_and_merged_weights_stay_pefts():
    model = adapted()
    names, plain = list(model.state_dict()), deepcopy(model)
    fuse_lora(model)
    fused = [m for m in model.modules() if isinstance(m, LoraLinear)]
    assert fused
    assert {type(layer) for layer in fused} == {FusedLora}
    assert list(model.state_dict()) == names
    one, other = merge_lora(deepcopy(model)), merge_lora(plain)
    for name, value in other.state_dict().items():
        assert torch.equal(one.state_dict()[name], value), name
    with torch.no_grad():
        torch.testing.assert_close(
            one.eval()(pixels()).logits, other.eval()(pixels()).logits
        )


def test_a_base_that_learns_is_left_to_peft():
    model = adapted()
    layer = next(m for m in model.modules() if isinstance(m, LoraLinear))
    layer.base_layer.weight.requires_grad_(True)
    fuse_lora(model)
    assert type(layer) is LoraLinear
    assert model.get_base_model().backbone.config._attn_implementation == ATTENTION
