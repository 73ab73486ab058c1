"""The plain-torch backbone is the function of transformers, for any shape of it."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from napari_cytodino.models.fused_dinov3 import DinoV3, DinoV3Shape


def theirs(**changes):
    """Return a model of transformers in which no weight is zero or one."""
    torch.manual_seed(0)
    model = DINOv3ViTModel(DINOv3ViTConfig(**changes)).eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return model


def ours(model, size):
    shape = DinoV3Shape.from_config(model.config.to_dict())
    assert shape is not None
    return DinoV3(shape, model.state_dict(), size).eval()


@settings(max_examples=25, deadline=None)
@given(
    heads=st.integers(1, 3),
    eighth=st.integers(1, 4),
    layers=st.integers(1, 3),
    registers=st.integers(0, 4),
    patch=st.sampled_from([4, 8]),
    grid=st.integers(1, 5),
    rest=st.integers(0, 3),
    biases=st.lists(st.booleans(), min_size=5, max_size=5),
    batch=st.integers(1, 3),
    theta=st.sampled_from([10.0, 100.0]),
)
def test_tokens_equal_those_of_transformers(
    heads, eighth, layers, registers, patch, grid, rest, biases, batch, theta
):
    names = ("query_bias", "key_bias", "value_bias", "proj_bias", "mlp_bias")
    model = theirs(
        hidden_size=heads * eighth * 4,
        num_attention_heads=heads,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_register_tokens=registers,
        patch_size=patch,
        rope_theta=theta,
        **dict(zip(names, biases, strict=True)),
    )
    size = patch * grid + rest
    pixels = torch.randn(batch, 3, size, size)
    with torch.inference_mode():
        want = model(pixel_values=pixels).last_hidden_state
        got = ours(model, size)(pixels)
    torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4)


def test_defaults_are_those_of_transformers():
    theirs_now = DINOv3ViTConfig()
    for field in fields(DinoV3Shape):
        assert getattr(theirs_now, field.name) == field.default, field.name


def test_tensors_are_named_and_shaped_as_transformers_stores_them():
    model = theirs(hidden_size=16, num_attention_heads=2, num_hidden_layers=2)
    shape = DinoV3Shape.from_config(model.config.to_dict())
    want = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shape.tensor_shapes() == want


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "dinov2"},
        {"use_gated_mlp": True},
        {"hidden_act": "relu"},
        {"num_channels": 4},
        {"a_field_of_next_year": 1},
        {"hidden_size": 390},
        {"num_attention_heads": 0},
        {"num_attention_heads": 6.0},
        {"num_attention_heads": True},
        {"num_register_tokens": -1},
        {"query_bias": 1},
        {"rope_theta": "100"},
    ],
)
def test_what_is_not_computed_here_is_left_to_transformers(change):
    assert DinoV3Shape.from_config({"model_type": "dinov3_vit"}) == DinoV3Shape()
    assert DinoV3Shape.from_config({"model_type": "dinov3_vit"} | change) is None


def test_bfloat16_is_near_float32():
    model = theirs(hidden_size=32, num_attention_heads=2, num_hidden_layers=2)
    own = ours(model, 64)
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        want = own(pixels)
        got = own.to(torch.bfloat16)(pixels)
    assert got.dtype == torch.bfloat16
    assert (got.float() - want).abs().mean() < 0.03 * want.abs().mean()
