"""The fast head gives what the head gives, and needs a fraction of its products."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.models.cytodino import QueryDecoderHead
from napari_cytodino.models.fused_head import FusedQueryHead, QueryHeadConfig


def head_of(width, heads, layers, ratio=2):
    """Return a head in which no weight is zero or one."""
    torch.manual_seed(1)
    head = QueryDecoderHead(width, 7, layers, heads, ratio).eval()
    for value in head.parameters():
        torch.nn.init.normal_(value, std=0.4)
    return head


def fast(head):
    """Return the fast head with the same weights."""
    layer = head.decoder.layers[0]
    width = head.query.shape[-1]
    shape = QueryHeadConfig(
        width,
        head.classify.out_features,
        len(head.decoder.layers),
        layer.multihead_attn.num_heads,
        layer.linear1.out_features // width,
    )
    stored = head.state_dict()
    assert shape.tensor_shapes() == {k: tuple(v.shape) for k, v in stored.items()}
    return FusedQueryHead(shape, stored).eval()


@settings(max_examples=25, deadline=None)
@given(
    heads=st.integers(1, 4),
    each=st.integers(1, 6),
    layers=st.integers(1, 4),
    ratio=st.integers(1, 3),
    tokens=st.integers(1, 9),
    batch=st.integers(1, 3),
)
def test_answers_equal_those_of_the_head(heads, each, layers, ratio, tokens, batch):
    head = head_of(heads * each, heads, layers, ratio)
    seen = torch.randn(batch, tokens, heads * each)
    with torch.inference_mode():
        want, got = head(seen), fast(head)(seen)
    for theirs, ours in zip(want, got, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_head_is_left_as_it_was():
    head = head_of(24, 4, 2)
    before = {k: v.clone() for k, v in head.state_dict().items()}
    fast(head)
    for name, value in head.state_dict().items():
        assert torch.equal(value, before[name])


def test_products_are_a_twentieth_of_those_of_the_head():
    # the shape of the paper's ViT-S: 261 tokens of 384
    head, tokens = head_of(384, 4, 4), torch.randn(1, 261, 384)
    counts = []
    for run in (head, fast(head)):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run.requires_grad_(False)(tokens)
        counts.append(counter.get_total_flops())
    assert counts[1] < counts[0] / 20


@pytest.mark.parametrize(
    "values", [(24, 5, 2, 5, 2), (24, 0, 2, 4, 2), (24, 5, 2.0, 4, 2)]
)
def test_a_shape_that_cannot_be_is_refused(values):
    with pytest.raises(CheckpointError, match="no head that can be built"):
        QueryHeadConfig(*values)
