"""Attention by products is that of torch, whatever the shape, in parts or at once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from napari_cytodino.training.finetuning import _fused_lora as fused_lora
from napari_cytodino.training.finetuning._fused_lora import attend


def given_of(shape, dtype, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(shape).to(dtype) for _ in range(3)]


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(*(st.integers(1, most) for most in (7, 3, 40, 16))),
    scale=st.sampled_from([None, 0.3]),
    most=st.sampled_from([1, 5_000, fused_lora.MOST]),
    seed=st.integers(0, 99),
)
def test_the_function_is_torchs_own(shape, scale, most, seed):
    query, key, value = given_of(shape, torch.bfloat16, seed)
    want = F.scaled_dot_product_attention(
        query.double(), key.double(), value.double(), scale=scale
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused_lora, "MOST", most)
        got = attend(query, key, value, scale)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.double(), want, atol=0.03, rtol=0.03)


def test_gradients_are_torchs_own():
    found = []
    for how in (attend, F.scaled_dot_product_attention):
        parts = [x.requires_grad_() for x in given_of((3, 2, 30, 8), torch.bfloat16)]
        (how(*parts).float() ** 2).sum().backward()
        found.append([x.grad.float() for x in parts])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=0.06, rtol=0.06)


def test_no_more_scores_than_allowed_are_held(monkeypatch):
    seen = []
    read = fused_lora._read
    monkeypatch.setattr(
        fused_lora, "_read", lambda *given: seen.append(len(given[0])) or read(*given)
    )
    monkeypatch.setattr(fused_lora, "MOST", 3 * 2 * 10 * 10)
    attend(*given_of((8, 2, 10, 4), torch.bfloat16))
    assert seen == [3, 3, 2]


def test_other_number_types_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(fused_lora, "_read", None)
    parts = given_of((2, 2, 9, 4), torch.float32)
    want = F.scaled_dot_product_attention(*parts)
    assert torch.equal(attend(*parts), want)


def test_autocast_keeps_the_type():
    with torch.autocast("cpu", torch.bfloat16):
        out = attend(*given_of((2, 2, 9, 4), torch.bfloat16))
    assert out.dtype == torch.bfloat16
