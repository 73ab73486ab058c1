"""Layers of given weights are torch's own, and keep copies."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_cytodino.models.fused_layers import (
    ONEDNN,
    PreloadedLayerNorm,
    PreloadedLinear,
    strip_prefix,
)


@pytest.mark.parametrize("bias", [False, True])
def test_a_projection_is_that_of_torch(bias):
    theirs = nn.Linear(5, 3, bias=bias)
    tensors = {f"up.{name}": value for name, value in theirs.state_dict().items()}
    x = torch.randn(2, 4, 5)
    own = PreloadedLinear.named(tensors, "up")
    torch.testing.assert_close(own(x), theirs(x))
    with torch.no_grad():
        theirs.weight.zero_()
    assert own.weight.abs().sum() > 0


@pytest.mark.skipif(not ONEDNN, reason="this torch has no oneDNN")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(2, 7, 64), (64,), (0, 64), (1, 1, 64)])
def test_onednn_gives_the_same(shape, bias):
    theirs = nn.Linear(64, 48, bias=bias).requires_grad_(False)
    own = PreloadedLinear(theirs.weight, theirs.bias)
    own.onednn = True
    x = torch.randn(shape)
    torch.testing.assert_close(own(x), theirs(x))
    # as attention hands it on: heads and tokens exchanged, so not in order of memory
    turned = torch.randn(64, 3).T
    torch.testing.assert_close(own(turned), theirs(turned))


def test_a_norm_is_that_of_torch():
    theirs = nn.LayerNorm(6, eps=0.1)
    for value in theirs.parameters():
        nn.init.normal_(value)
    tensors = {f"n.{name}": value for name, value in theirs.state_dict().items()}
    x = torch.randn(3, 6)
    torch.testing.assert_close(PreloadedLayerNorm(tensors, "n", 0.1)(x), theirs(x))


def test_names_below_a_start():
    one, two = torch.ones(1), torch.zeros(1)
    assert strip_prefix({"a.b": one, "ab": two, "a.c.a.d": two}, "a.") == {
        "b": one,
        "c.a.d": two,
    }
