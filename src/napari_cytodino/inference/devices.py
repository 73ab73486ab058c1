"""Which number type the model computes in: bfloat16 only where the hardware gains."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Container

    from napari_cytodino.checkpoints import Checkpoint


DEVICES = ("auto", "cuda", "mps", "cpu", "openvino")
"""What a user may wish for; `auto` takes the first that works, but not OpenVINO, which
takes seconds to prepare a model."""


@dataclass(frozen=True)
class Device:
    """Where the model runs, by name, and why not on a GPU."""

    kind: str
    name: str
    why: str = ""


def pick_device(wish: str = "auto") -> Device:
    """Choose the device to run on.

    Parameters
    ----------
    wish
        One of `DEVICES`.

    Raises
    ------
    InputError
        When the device is unknown or not usable here.
    """
    if wish not in DEVICES:
        raise InputError(f"'{wish}' is no device; choose one of {', '.join(DEVICES)}.")
    import torch

    cuda = torch.cuda.is_available()
    mps = torch.backends.mps.is_available()
    if wish in ("auto", "cuda") and cuda:
        return Device("cuda", torch.cuda.get_device_name())
    if wish in ("auto", "mps") and mps:
        return Device("mps", "Apple GPU")
    if wish == "openvino":
        from napari_cytodino.inference._openvino_model import openvino_name

        return Device("openvino", openvino_name())
    why = (
        "this build of torch is for the CPU only; for an NVIDIA GPU install the build "
        "that pytorch.org names for it"
        if torch.version.cuda is None
        else "torch finds no usable NVIDIA driver; update the driver"
    )
    if wish in ("cuda", "mps"):
        raise InputError(f"Device '{wish}' cannot be used: {why}, or use --device cpu.")
    cores = torch.get_num_threads()
    return Device("cpu", f"CPU, {cores} threads", "" if wish == "cpu" else why)


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
    if "bfloat16" in calibrated and bfloat16_is_faster(kind):
        return "bfloat16"
    return "float32"


def on_device(
    checkpoint: Checkpoint, device: str = "auto", dtype: str = "auto"
) -> tuple[Checkpoint, Device]:
    """Choose device and number type for a checkpoint.

    Parameters
    ----------
    device, dtype
        One of `DEVICES`, one of `DTYPES`.

    Returns
    -------
    Checkpoint
        With the thresholds that were measured in what is computed in, its `dtype`.
    Device
        Where it will run.
    """
    found = pick_device(device)
    chosen = pick_dtype(dtype, found.kind, checkpoint.calibrated)
    fits = chosen == checkpoint.dtype
    return checkpoint if fits else checkpoint.for_dtype(chosen), found


def bfloat16_is_faster(kind: str) -> bool:
    """Return whether bfloat16 is faster than float32 on this device.

    A processor without units for it emulates it, at 0.4 of the speed of float32
    (performance reference, 2). An Apple GPU is asked to multiply, since macOS 13 has no
    bfloat16; whether it gains was not measured.
    """
    import torch

    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind == "mps":
        return _bfloat16_is_correct("mps")
    return _allowed() and _has_bfloat16_units()


@cache
def _bfloat16_is_correct(device: str) -> bool:
    """Return whether a small product in bfloat16 comes out right; asked once."""
    import torch

    try:
        ones = torch.ones((16, 16), dtype=torch.bfloat16, device=device)
        return bool(((ones @ ones).float().cpu() == 16).all())
    except (RuntimeError, TypeError):
        # torch says so with either, by its version and that of macOS
        return False


def _has_bfloat16_units() -> bool:
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
