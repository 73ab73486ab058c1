"""Which number type the model computes in: bfloat16 only where the hardware gains."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from napari_cytodino.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Container

DTYPES = ("auto", "float32", "bfloat16")
"""What a user may wish for."""


def pick_dtype(wish: str, kind: str, calibrated: Container[str] = DTYPES) -> str:
    """Choose what to compute in: "float32" or "bfloat16".

    Parameters
    ----------
    wish
        One of `DTYPES`; "auto" takes bfloat16 where it is faster and the checkpoint's
        thresholds were measured in it too, so that no promise is lost by it.
    kind
        Of the device, such as "cpu" or "cuda".
    calibrated
        The types in which the checkpoint was calibrated.

    Raises
    ------
    InputError
        When the wish is unknown.
    """
    if wish not in DTYPES:
        raise InputError(
            f"'{wish}' is no number type; choose one of {', '.join(DTYPES)}."
        )
    if wish != "auto":
        return wish
    if "bfloat16" in calibrated and gains_by_bfloat16(kind):
        return "bfloat16"
    return "float32"


def gains_by_bfloat16(kind: str) -> bool:
    """Return whether bfloat16 is faster than float32 on this device.

    A processor without units for it emulates it, at 0.4 of the speed of float32
    (performance reference, 2). An Apple GPU is asked to multiply, since macOS 13 has no
    bfloat16; whether it gains was not measured.
    """
    import torch

    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind == "mps":
        return _multiplies("mps")
    return _allowed() and _units()


@cache
def _multiplies(device: str) -> bool:
    """Return whether a small product in bfloat16 comes out right; asked once."""
    import torch

    try:
        ones = torch.ones((16, 16), dtype=torch.bfloat16, device=device)
        return bool(((ones @ ones).float().cpu() == 16).all())
    except (RuntimeError, TypeError):
        # torch says so with either, by its version and that of macOS
        return False


def _units() -> bool:
    """Return whether the processor multiplies bfloat16, as torch reads its flags."""
    import torch

    # These are private to torch; where they are gone, float32 is right, if slower.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    tests = (getattr(torch.cpu, name, None) for name in names)
    return any(test() for test in tests if test is not None)


def _allowed() -> bool:
    """Return whether torch and oneDNN may use those units; people cap them."""
    import torch

    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    cap = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", ""))
    free = ("BF16", "AMX", "DEFAULT", "ALL")
    return not cap or any(word in cap.upper() for word in free)
