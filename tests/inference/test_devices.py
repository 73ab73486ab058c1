"""Bfloat16 is taken where the hardware gains by it, and never elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from napari_cytodino.common.errors import InputError
from napari_cytodino.inference import devices
from napari_cytodino.inference.devices import bfloat16_is_faster, pick_dtype


def test_a_wish_is_obeyed_whatever_the_hardware():
    for wish in ("float32", "bfloat16"):
        assert pick_dtype(wish, "cpu", ()) == wish
    with pytest.raises(InputError, match="'half' is no number type"):
        pick_dtype("half", "cpu")


@pytest.mark.parametrize("units", [False, True])
def test_auto_asks_hardware_and_calibration(units, monkeypatch):
    monkeypatch.setattr(devices, "bfloat16_is_faster", lambda kind: units)
    best = "bfloat16" if units else "float32"
    assert pick_dtype("auto", "cpu") == best
    assert pick_dtype("auto", "cpu", ("float32", "bfloat16")) == best
    # thresholds that were never measured in it would send every cell to review
    assert pick_dtype("auto", "cpu", ("float32",)) == "float32"


def in_process(**environment):
    """Ask a fresh interpreter, since torch reads its capabilities once."""
    code = (
        "from napari_cytodino.inference.devices import bfloat16_is_faster as gains;"
        "print(gains('cpu'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip() == "True"


@pytest.mark.parametrize(
    "cap", [{"ATEN_CPU_CAPABILITY": "avx2"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}]
)
def test_never_on_a_processor_capped_to_avx2(cap):
    assert not in_process(**cap)


def test_units_are_found_where_the_processor_names_them(monkeypatch):
    flags = set()
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            flags = set(file.read().split())
    named = bool(flags & {"avx512_bf16", "amx_bf16"})
    capped = {"ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"}
    if not flags or capped & set(os.environ):
        pytest.skip("the flags of this processor are not known, or capped")
    assert bfloat16_is_faster("cpu") == named


def test_a_torch_without_the_private_question_means_float32(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not bfloat16_is_faster("cpu")


@pytest.mark.parametrize("supported", [False, True])
def test_a_gpu_is_asked_itself(supported, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: supported)
    assert bfloat16_is_faster("cuda") is supported


@pytest.fixture
def asked(monkeypatch):
    """Let a product be asked of an Apple GPU; there is none here, so the CPU answers.

    The list holds what the GPU is to answer with, and takes up what it was asked.
    """
    answers, questions, stock = [], [], torch.ones

    def ones(*size, dtype, device):
        questions.append((device, dtype))
        if isinstance(answers[0], Exception):
            raise answers[0]
        return stock(*size, dtype=dtype) * answers[0]

    monkeypatch.setattr(torch, "ones", ones)
    devices._bfloat16_is_correct.cache_clear()
    yield answers, questions
    devices._bfloat16_is_correct.cache_clear()


@pytest.mark.parametrize(
    ("answer", "gains"),
    [
        (1, True),
        # a product that comes out wrong
        (0, False),
        # macOS 13, as torch 2.6 words it, and a torch that knows no such device
        (TypeError("BFloat16 is not supported on MPS"), False),
        (RuntimeError("MPS bfloat type is supported on MacOS 14.0 or newer."), False),
    ],
)
def test_an_apple_gpu_is_asked_once_to_multiply(asked, answer, gains):
    answers, questions = asked
    answers.append(answer)
    assert [bfloat16_is_faster("mps") for _ in range(3)] == [gains] * 3
    assert questions == [("mps", torch.bfloat16)]
    assert pick_dtype("auto", "mps") == ("bfloat16" if gains else "float32")
    # thresholds that were never measured in it are no matter of the device
    assert pick_dtype("auto", "mps", ("float32",)) == "float32"


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="for a torch without it")
def test_a_torch_without_apple_gpus_means_float32():
    devices._bfloat16_is_correct.cache_clear()
    assert not bfloat16_is_faster("mps")
