"""Resizing crops to the side of the model's input, the same on every device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor


def off_apple_gpu(values: Tensor) -> Tensor:
    """Return values on the CPU if they lie on an Apple GPU, else as they are.

    Until torch 2.7 Apple GPUs had no antialiased resizing, until 2.8 no ``index_copy``,
    and in 2.13 they still draw no Poisson numbers (pytorch issue 141287).
    """
    return values.cpu() if values.device.type == "mps" else values


def resize(values: Tensor, size: int) -> Tensor:
    """Resize images bilinearly, with antialiasing where they become smaller.

    Parameters
    ----------
    values : Tensor
        (B, C, S, S) float32.
    size : int
        Side wanted, in pixels.

    Returns
    -------
    Tensor
        (B, C, size, size) on the same device; the values themselves where S is size.
    """
    if values.shape[-1] == size:
        return values
    resized = F.interpolate(
        off_apple_gpu(values), (size, size), mode="bilinear", antialias=True
    )
    return resized.to(values.device)
