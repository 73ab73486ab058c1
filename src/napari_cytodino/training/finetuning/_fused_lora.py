"""LoRA in half precision with fewer passes over memory; peft keeps the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

MOST = 2**22
"""Scores that are in memory at once: more leave the cache, and the gain with it."""


def attend(
    query: Tensor, key: Tensor, value: Tensor, scale: float | None = None
) -> Tensor:
    """Return what each query reads from the values.

    On a CPU in bfloat16 torch's own function, with its gradient, takes two to three
    times as long as three plain operations on a few images at a time (torch 2.13, AMD
    EPYC with AVX-512 bfloat16); without the gradient it is as fast, so the classifier
    keeps it. Elsewhere torch's own is taken.

    Parameters
    ----------
    query, key, value : Tensor
        (B, H, T, D), of one number type.
    scale : float, optional
        Of the scores; one over the root of D when None.

    Returns
    -------
    Tensor
        (B, H, T, D).
    """
    if query.device.type != "cpu" or query.dtype is not torch.bfloat16:
        return F.scaled_dot_product_attention(query, key, value, scale=scale)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    images, heads, tokens, _ = query.shape
    each = max(1, MOST // (heads * tokens * key.shape[2]))
    if images <= each:
        return _read(query, key, value, factor)
    split = (torch.split(part, each) for part in (query, key, value))
    return torch.cat([_read(q, k, v, factor) for q, k, v in zip(*split, strict=True)])


def _read(query: Tensor, key: Tensor, value: Tensor, factor: float) -> Tensor:
    scores = torch.matmul(query * factor, key.transpose(2, 3))
    # autocast would give float32
    return torch.matmul(scores.softmax(-1).to(value.dtype), value)


NORMS = ("norm1", "norm2")
"""What DINOv3 and DINOv2 call the norms before the layers that are adapted."""

ROTARY = "rope_embeddings"
"""What DINOv3 calls the table of its rotary embedding."""

ATTENTION = "napari-cytodino"
"""The name of our attention among those of transformers."""


def fuse_lora(model: nn.Module) -> None:
    """Have a model with adapters of peft compute in fewer passes, under autocast.

    Its weights stay peft's, by their names; without autocast nothing changes. Answers
    and gradients are peft's up to the rounding of the half-precision type; dropout
    draws other masks, as it draws them in another order.

    Parameters
    ----------
    model
        From `core.adapter.add_lora`; changed in place.
    """
    AttentionInterface.register(ATTENTION, _attention)
    for name, module in model.named_modules():
        if isinstance(module, PreTrainedModel) and name.endswith(".backbone"):
            module.set_attn_implementation(ATTENTION)
        last = name.rpartition(".")[2]
        if type(module) is LoraLinear and _plain(module):
            module.__class__ = FusedLora
        elif (isinstance(module, nn.LayerNorm) and last in NORMS) or last == ROTARY:
            module.register_forward_hook(_narrowed)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers asks for it; what `attend` cannot do is left to torch."""
    if attention_mask is not None or dropout or value.dtype is torch.float32:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module,
            *(query, key, value, attention_mask),
            dropout=dropout,
            scaling=scaling,
            **more,
        )
        return found
    query, key = query.to(value.dtype), key.to(value.dtype)
    return attend(query, key, value, scaling).transpose(1, 2), None


def _plain(layer: LoraLinear) -> bool:
    """Say whether a layer is LoRA as published, on a frozen projection."""
    base = layer.base_layer
    return (
        type(base) is nn.Linear
        and list(layer.active_adapters) == list(layer.lora_A)
        and len(layer.lora_A) == 1
        and not layer.lora_variant
        and not any(p.requires_grad for p in base.parameters())
    )


def _half(x: Tensor) -> torch.dtype | None:
    """Return the number type of autocast for a tensor's device; None without it."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def _narrowed(_module: nn.Module, _given: Any, out: Any) -> Any:
    """Convert what a layer gives once, not in each layer that takes it."""
    if isinstance(out, tuple):
        return tuple(_narrowed(_module, _given, part) for part in out)
    half = _half(out)
    return out if half is None else out.to(half)


def kept(x: Tensor, lost: float) -> tuple[Tensor, float]:
    """Draw which inputs stay: a mask of 0 and 1, and the share of ones expected.

    On a CPU by 16 bits an input, many times as fast as torch's Bernoulli numbers; the
    share is then that of 65,536 which is nearest. The bits come from a generator that
    torch's own seeds, so that a resumed run draws them again.

    Parameters
    ----------
    x
        Of the mask's shape, type and device.
    lost
        Share of zeros, 0 to below 1.
    """
    if x.device.type != "cpu":
        return torch.empty_like(x).bernoulli_(1 - lost), 1 - lost
    zeros = max(1, min(round(lost * 2**16), 2**16 - 1))
    chance = np.random.Generator(np.random.SFC64(int(torch.randint(2**62, ()))))
    words = chance.integers(0, 2**64, -(-x.numel() // 4), dtype=np.uint64)
    bits = torch.from_numpy(words.view(np.int16)[: x.numel()]).view(x.shape)
    # of all values the nearest of two neighbours, which are 0 and 1 after that
    least = zeros - 2**15
    bits.clamp_(least - 1, least).sub_(least - 1)
    keep = 1 - zeros / 2**16
    if x.dtype.itemsize != bits.dtype.itemsize:
        return bits.to(x.dtype), keep
    # by the bits of the number 1: torch converts slowly to halves
    return bits.mul_(torch.ones(1, dtype=x.dtype).view(bits.dtype)).view(x.dtype), keep


class FusedLora(LoraLinear):
    """A LoRA layer of peft that adds its product in place and masks by bits."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return ``W x + b + scaling * B A dropout(x)``."""
        half = _half(x)
        if half is None or self.merged or self.disable_adapters or args or kwargs:
            out: Tensor = super().forward(x, *args, **kwargs)
            return out
        [name] = self.active_adapters
        base, dropout = self.base_layer, self.lora_dropout[name]
        lost = float(getattr(dropout, "p", 0.0)) if self.training else 0.0
        adapted: Tensor = AdaptedProduct.apply(  # type: ignore[no-untyped-call]
            x.to(half),
            base.weight.to(half),
            None if base.bias is None else base.bias.to(half),
            self.lora_A[name].weight.to(half),
            self.lora_B[name].weight.to(half),
            self.scaling[name],
            lost,
        )
        return adapted


class AdaptedProduct(torch.autograd.Function):
    """A frozen projection and its adapter; see `FusedLora`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scaling: float,
        lost: float,
    ) -> Tensor:
        """Return the product of (..., D) with everything in one number type.

        Parameters
        ----------
        ctx
            Keeps what the gradient needs.
        x
            (..., D).
        weight, bias
            (E, D) and (E,); they get no gradient.
        down, up
            (R, D) and (E, R), A and B of LoRA.
        scaling
            Of the adapter's product.
        lost
            Share of the inputs that dropout takes from the adapter, 0 to below 1.
        """
        flat = x.reshape(-1, x.shape[-1])
        keep = 1 - lost
        mask = None
        if lost:
            mask, keep = kept(flat, lost)
        low = (flat if mask is None else flat * mask) @ down.T
        out = F.linear(flat, weight, bias)
        out.addmm_(low, up.T, alpha=scaling / keep)
        ctx.save_for_backward(flat, mask, low, weight, down, up)
        ctx.scaling, ctx.shape = scaling / keep, x.shape
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input and of A and B."""
        flat, mask, low, weight, down, up = ctx.saved_tensors
        grad = grads[0].reshape(-1, weight.shape[0])
        of_low = (grad @ up).mul_(ctx.scaling)
        of_up = (grad.T @ low).mul_(ctx.scaling)
        of_down = of_low.T @ (flat if mask is None else flat * mask)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = grad @ weight
            if mask is None:
                of_x.addmm_(of_low, down)
            else:
                of_x.add_((of_low @ down).mul_(mask))
            of_x = of_x.view(ctx.shape)
        return of_x, None, None, of_down, of_up, None, None
