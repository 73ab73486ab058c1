"""The query-token head: shapes, what it reads, what it was told to be."""

from __future__ import annotations

import torch

from napari_cytodino.models.cytodino import QueryDecoderHead


def test_shapes_and_the_embedding_behind_the_logits() -> None:
    head = QueryDecoderHead(24, 5, layers=2, heads=2).eval()
    logits, embedding = head(torch.randn(3, 7, 24))
    assert logits.shape == (3, 5)
    assert embedding.shape == (3, 24)
    assert torch.allclose(head.classify(embedding), logits)


def test_embedding_is_normalised() -> None:
    head = QueryDecoderHead(24, 5, layers=1, heads=2).eval()
    _, embedding = head(torch.randn(4, 7, 24) * 50)
    assert torch.allclose(embedding.mean(dim=1), torch.zeros(4), atol=1e-5)
    assert torch.allclose(embedding.std(dim=1, correction=0), torch.ones(4), atol=1e-2)


def test_order_of_tokens_does_not_matter_but_their_content_does() -> None:
    head = QueryDecoderHead(24, 5, layers=2, heads=2).eval()
    tokens = torch.randn(1, 9, 24)
    logits, _ = head(tokens)
    shuffled, _ = head(tokens[:, torch.randperm(9)])
    other, _ = head(tokens + torch.randn_like(tokens))
    assert torch.allclose(logits, shuffled, atol=1e-5)
    assert not torch.allclose(logits, other, atol=1e-3)


def test_layers_heads_and_feed_forward_are_as_asked() -> None:
    head = QueryDecoderHead(24, 5, layers=4, heads=4, ff_ratio=2)
    layers = list(head.decoder.layers)
    assert len(layers) == 4
    assert {layer.linear1.out_features for layer in layers} == {48}
    assert {layer.multihead_attn.num_heads for layer in layers} == {4}
    assert all(layer.norm_first for layer in layers)


def test_layers_start_different() -> None:
    head = QueryDecoderHead(24, 5, layers=2, heads=2)
    first, second = (layer.linear1.weight for layer in head.decoder.layers)
    assert not torch.equal(first, second)
