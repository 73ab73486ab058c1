"""The fused model answers as the checkpoint's own model does, without transformers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.folder import Preprocessing, write_manifest
from napari_cytodino.checkpoints.saving import save_checkpoint
from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.common.files import write_json
from napari_cytodino.inference.engine import fused_model
from napari_cytodino.models.cytodino import (
    CytoDinoConfig,
    CytoDinoForImageClassification,
)
from napari_cytodino.models.fused_layers import ONEDNN, PreloadedLinear
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.uncertainty.decisions import DecisionPolicy

MLL21 = Taxonomy.load("mll21")


def stored(folder, turns=1, **backbone):
    """Return a checkpoint of a small random model on some backbone."""
    torch.manual_seed(0)
    config = CytoDinoConfig(
        backbone_config={"image_size": 32, "hidden_size": 24} | backbone,
        taxonomy=MLL21.to_dict(),
        head_layers=2,
        turns=turns,
    )
    model = CytoDinoForImageClassification(config)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.2)
    preprocessing = Preprocessing(32, 64.0, (0.5,) * 3, (0.2,) * 3)
    save_checkpoint(folder, model, MLL21, preprocessing, DecisionPolicy(), "# Mine\n")
    return load_checkpoint(folder)


DINOV3 = {
    "model_type": "dinov3_vit",
    "patch_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
}
DINOV2 = DINOV3 | {"model_type": "dinov2"}
GATED = DINOV3 | {"use_gated_mlp": True}


@pytest.mark.parametrize("backbone", [DINOV3, DINOV2, GATED], ids=["v3", "v2", "gated"])
@pytest.mark.parametrize("turns", [1, 2, 4])
def test_answers_are_those_of_the_checkpoints_model(tmp_path, backbone, turns):
    checkpoint = stored(tmp_path / "mine", turns, **backbone)
    pixels = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        want = checkpoint.model().predict(pixels)
        got = fused_model(checkpoint).to_device("cpu", "float32").predict(pixels)
        near, *_ = fused_model(checkpoint).to_device("cpu", "bfloat16").predict(pixels)
    for theirs, ours in zip(want, got, strict=False):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert near.dtype == torch.float32
    assert 0 < (near - want[0]).abs().max() < 0.1 * want[0].abs().max() + 0.1


@pytest.mark.parametrize("name", ["demo", "starter"])
def test_shipped_checkpoints_need_no_transformers(name):
    code = (
        "import sys\n"
        "from napari_cytodino.checkpoints.checkpoint import load_checkpoint\n"
        "from napari_cytodino.inference.classifier import Classifier\n"
        f"Classifier(load_checkpoint({name!r}), 'cpu')\n"
        "print({'transformers', 'peft'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_weights_that_do_not_fit_are_told(tmp_path):
    checkpoint = stored(tmp_path / "mine", **DINOV3)
    path = checkpoint.folder / "config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["backbone_config"]["num_hidden_layers"] = 3
    write_json(path, content)
    listed = json.loads((checkpoint.folder / "manifest.json").read_text("utf-8"))
    write_manifest(checkpoint.folder, tuple(listed["sha256"]))
    with pytest.raises(CheckpointError, match=r"lacks tensor .*layer\.2"):
        fused_model(load_checkpoint(checkpoint.folder))


def test_a_gigantic_shape_is_refused_before_memory_is_asked_for(tmp_path):
    checkpoint = stored(tmp_path / "mine", **DINOV3)
    path = checkpoint.folder / "config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["backbone_config"] |= {"hidden_size": 8 * 10**9}
    write_json(path, content)
    listed = json.loads((checkpoint.folder / "manifest.json").read_text("utf-8"))
    write_manifest(checkpoint.folder, tuple(listed["sha256"]))
    with pytest.raises(CheckpointError, match="8000000000"):
        fused_model(load_checkpoint(checkpoint.folder))


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("turns", 3, "3 turns"),
        ("head_heads", 5, "no head"),
        ("head_layers", "many", "no head"),
    ],
)
def test_a_head_that_cannot_be_is_told(tmp_path, field, value, word):
    checkpoint = stored(tmp_path / "mine", **DINOV3)
    path = checkpoint.folder / "config.json"
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | {field: value})
    listed = json.loads((checkpoint.folder / "manifest.json").read_text("utf-8"))
    write_manifest(checkpoint.folder, tuple(listed["sha256"]))
    with pytest.raises(CheckpointError, match=word):
        fused_model(load_checkpoint(checkpoint.folder))


@pytest.mark.parametrize(("dtype", "body"), [("float32", True), ("bfloat16", False)])
def test_float32_on_a_cpu_goes_by_onednn(dtype, body):
    """And nothing else: neither bfloat16, which has it anyway, nor what is not cast."""
    model = fused_model(load_checkpoint("demo"))

    def by_onednn(part):
        return {m.onednn for m in part.modules() if isinstance(m, PreloadedLinear)}

    assert by_onednn(model) == {False}
    model.to_device("cpu", dtype)
    assert by_onednn(model.body) == {body and ONEDNN}
    assert by_onednn(model.head) == {ONEDNN}
