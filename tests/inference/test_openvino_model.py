"""OpenVINO answers as torch does, within what is stated."""

from __future__ import annotations

import builtins
import socket

import numpy as np
import pytest
import torch

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.common.errors import InputError
from napari_cytodino.inference._openvino_model import OpenVinoModel
from napari_cytodino.inference.classifier import Classifier
from napari_cytodino.inference.devices import pick_device
from napari_cytodino.inference.engine import fused_model
from napari_cytodino.synthetic.smear import synthetic_crops


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-3), ("bfloat16", 0.15)])
def test_answers_are_near_those_of_torch(dtype, most, monkeypatch):
    pytest.importorskip("openvino")

    def refuse(*_, **__):
        raise AssertionError("a model of patients' cells was about to call home")

    monkeypatch.setattr(socket, "socket", refuse)
    checkpoint = load_checkpoint("demo")
    size = checkpoint.preprocessing.size
    model = OpenVinoModel(fused_model(checkpoint), size, dtype)
    plain = fused_model(checkpoint).to_device("cpu", "float32")
    for count in (1, 5):
        pixels = torch.randn(count, 3, size, size)
        with torch.inference_mode():
            want = plain.predict(pixels)
        for theirs, ours in zip(want, model.predict(pixels), strict=True):
            assert ours.shape == theirs.shape
            assert (ours - theirs).abs().max() < most


def test_a_classifier_runs_on_it():
    pytest.importorskip("openvino")
    checkpoint = load_checkpoint("demo")
    crops, _ = synthetic_crops(checkpoint.taxonomy.codes[:2], 2, size=64, seed=0)
    answers = [
        Classifier(checkpoint, device, dtype="float32")._run_batches(np.asarray(crops))[
            0
        ]
        for device in ("cpu", "openvino")
    ]
    np.testing.assert_allclose(*answers, atol=1e-3)
    assert "OpenVINO" in pick_device("openvino").name


def test_without_the_package_the_remedy_is_told(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.startswith("openvino"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match=r"napari-cytodino\[openvino\]"):
        pick_device("openvino")
