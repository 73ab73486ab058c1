"""DINOv3's vision transformer in plain torch, fused for inference."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_cytodino.models.fused_layers import (
    PreloadedLayerNorm,
    PreloadedLinear,
    strip_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


_FIXED = {"num_channels": 3, "hidden_act": "gelu", "use_gated_mlp": False}
"""What this file computes; where a configuration says otherwise, transformers must."""

_NO_MATTER = frozenset(
    {
        "_name_or_path",
        "apply_layernorm",
        "architectures",
        "attention_dropout",
        "chunk_size_feed_forward",
        "drop_path_rate",
        "dtype",
        "id2label",
        "image_size",
        "initializer_range",
        "is_encoder_decoder",
        "label2id",
        "layerscale_value",
        "model_type",
        "out_features",
        "out_indices",
        "output_attentions",
        "output_hidden_states",
        "pos_embed_jitter",
        "pos_embed_rescale",
        "pos_embed_shift",
        "problem_type",
        "reshape_hidden_states",
        "return_class_token",
        "return_dict",
        "stage_names",
        "torch_dtype",
        "transformers_version",
    }
)
"""Fields that change training, or nothing; the size of the image is asked of itself."""


@dataclass(frozen=True)
class DinoV3Shape:
    """What the function depends on, with the defaults of transformers' configuration.

    Attributes
    ----------
    hidden_size, intermediate_size, num_hidden_layers, num_attention_heads
        Width of a token and of the feed-forward part, depth, heads.
    patch_size
        In pixels.
    num_register_tokens
        Tokens between the class token and the patches.
    """

    hidden_size: int = 384
    intermediate_size: int = 1536
    num_hidden_layers: int = 12
    num_attention_heads: int = 6
    patch_size: int = 16
    num_register_tokens: int = 0
    layer_norm_eps: float = 1e-5
    rope_theta: float = 100.0
    query_bias: bool = True
    key_bias: bool = False
    value_bias: bool = True
    proj_bias: bool = True
    mlp_bias: bool = True

    @classmethod
    def from_config(cls, content: Mapping[str, Any]) -> DinoV3Shape | None:
        """Read a backbone's configuration; None where it asks for what is not here."""
        if content.get("model_type") != "dinov3_vit":
            return None
        own = {f.name: content[f.name] for f in fields(cls) if f.name in content}
        unknown = set(content) - set(own) - set(_FIXED) - _NO_MATTER
        if unknown or any(content.get(k, v) != v for k, v in _FIXED.items()):
            return None
        shape = cls(**own)
        return shape if shape._sound() else None

    def _sound(self) -> bool:
        for field in fields(self):
            value: Any = getattr(self, field.name)
            kind: type = type(field.default)
            if type(value) is not kind and not (kind is float and type(value) is int):
                return False
            least = 0 if field.name == "num_register_tokens" else 1
            if kind is int and int(getattr(self, field.name)) < least:
                return False
        # each head is turned by pairs of rows and of columns
        return self.hidden_size % (4 * self.num_attention_heads) == 0

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return names and shapes of the tensors, as transformers stores them."""
        width, inner, patch = self.hidden_size, self.intermediate_size, self.patch_size
        found: dict[str, tuple[int, ...]] = {
            "embeddings.cls_token": (1, 1, width),
            "embeddings.mask_token": (1, 1, width),
            "embeddings.register_tokens": (1, self.num_register_tokens, width),
            "embeddings.patch_embeddings.weight": (width, 3, patch, patch),
            "embeddings.patch_embeddings.bias": (width,),
            "norm.weight": (width,),
            "norm.bias": (width,),
        }
        linear = {
            "attention.q_proj": (width, width, self.query_bias),
            "attention.k_proj": (width, width, self.key_bias),
            "attention.v_proj": (width, width, self.value_bias),
            "attention.o_proj": (width, width, self.proj_bias),
            "mlp.up_proj": (inner, width, self.mlp_bias),
            "mlp.down_proj": (width, inner, self.mlp_bias),
        }
        vectors = ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias")
        for number in range(self.num_hidden_layers):
            start = f"model.layer.{number}."
            for name in (*vectors, "layer_scale1.lambda1", "layer_scale2.lambda1"):
                found[start + name] = (width,)
            for name, (rows, columns, bias) in linear.items():
                found[f"{start}{name}.weight"] = (rows, columns)
                if bias:
                    found[f"{start}{name}.bias"] = (rows,)
        return found


class DinoV3(nn.Module):
    """The backbone, with queries, keys and values in one product.

    The scale after each part is folded into its last projection, and the table of the
    rotary embedding is computed once.

    Parameters
    ----------
    shape : DinoV3Shape
        What to compute.
    tensors : Mapping[str, Tensor]
        Float32 weights by the names of `DinoV3Shape.tensor_shapes`.
    size : int
        Side of the input in pixels.
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self, shape: DinoV3Shape, tensors: Mapping[str, Tensor], size: int
    ) -> None:
        super().__init__()
        self.patch, self.grid = shape.patch_size, size // shape.patch_size
        weight = tensors["embeddings.patch_embeddings.weight"].flatten(1)
        self.embed = PreloadedLinear(
            weight, tensors["embeddings.patch_embeddings.bias"]
        )
        parts = ("embeddings.cls_token", "embeddings.register_tokens")
        self.prefix = nn.Parameter(torch.cat([tensors[part] for part in parts], 1))
        self.layers = nn.ModuleList(
            _Layer(shape, strip_prefix(tensors, f"model.layer.{number}."))
            for number in range(shape.num_hidden_layers)
        )
        self.norm = PreloadedLayerNorm(tensors, "norm", shape.layer_norm_eps)
        cos, sin = _rope_tables(shape, self.grid)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the tokens (B, 1 + registers + patches, D) of (B, 3, size, size)."""
        side = self.grid * self.patch
        x = pixels[..., :side, :side].to(self.prefix.dtype)
        x = x.reshape(-1, 3, self.grid, self.patch, self.grid, self.patch)
        x = self.embed(x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2))
        x = torch.cat([self.prefix.expand(x.shape[0], -1, -1), x], 1)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        out: Tensor = self.norm(x)
        return out


class _Layer(nn.Module):
    def __init__(self, shape: DinoV3Shape, own: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.heads, width = shape.num_attention_heads, shape.hidden_size
        self.norm1 = PreloadedLayerNorm(own, "norm1", shape.layer_norm_eps)
        self.norm2 = PreloadedLayerNorm(own, "norm2", shape.layer_norm_eps)
        names = [f"attention.{part}_proj" for part in "qkv"]
        none = torch.zeros(width)
        self.qkv = PreloadedLinear(
            torch.cat([own[f"{name}.weight"] for name in names]),
            torch.cat([own.get(f"{name}.bias", none) for name in names]),
        )
        self.out = _scaled(own, "attention.o_proj", "layer_scale1")
        self.up = PreloadedLinear.named(own, "mlp.up_proj")
        self.down = _scaled(own, "mlp.down_proj", "layer_scale2")

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, tokens, 3 * self.heads, -1)
        first, second = qkv[:, :, : 2 * self.heads].chunk(2, -1)
        turned = (first * cos - second * sin, second * cos + first * sin)
        query, key = torch.cat(turned, -1).transpose(1, 2).chunk(2, 1)
        value = qkv[:, :, 2 * self.heads :].transpose(1, 2)
        read = F.scaled_dot_product_attention(query, key, value)
        x = x + self.out(read.transpose(1, 2).reshape(batch, tokens, width))
        out: Tensor = x + self.down(F.gelu(self.up(self.norm2(x))))
        return out


def _rope_tables(shape: DinoV3Shape, grid: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, 1, head / 2) of the rotary embedding; prefix tokens stay.

    Each patch is turned by its place in [-1, 1], rows first, then columns.
    """
    head = shape.hidden_size // shape.num_attention_heads
    pace = 1 / shape.rope_theta ** torch.arange(0, 1, 4 / head, dtype=torch.float32)
    line = 2 * (torch.arange(0.5, grid, dtype=torch.float32) / grid) - 1
    places = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).flatten(0, 1)
    angles = (2 * math.pi * places[:, :, None] * pace).flatten(1)
    still = torch.zeros(1 + shape.num_register_tokens, angles.shape[1])
    angles = torch.cat([still, angles])[:, None]
    return angles.cos(), angles.sin()


def _scaled(own: Mapping[str, Tensor], name: str, scale: str) -> PreloadedLinear:
    factor, bias = own[f"{scale}.lambda1"], own.get(f"{name}.bias")
    weight = factor[:, None] * own[f"{name}.weight"]
    return PreloadedLinear(weight, None if bias is None else factor * bias)
