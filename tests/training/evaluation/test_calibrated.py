"""Thresholds for bfloat16 are measured in it, and stand beside those of float32."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.folder import write_manifest
from napari_cytodino.checkpoints.saving import save_calibrated
from napari_cytodino.common.errors import CheckpointError, InputError
from napari_cytodino.common.files import write_json
from napari_cytodino.inference.classifier import Classifier
from napari_cytodino.training.commands.app import app
from napari_cytodino.training.commands.calibrate import calibrate, calibrate_for
from napari_cytodino.training.commands.origin import recipe_of
from napari_cytodino.training.distillation.pipeline import read_part
from napari_cytodino.training.evaluation.answers import predictions_of
from napari_cytodino.training.evaluation.cards import figures_of
from napari_cytodino.training.finetuning.pipeline import finetune
from napari_cytodino.training.recipes.distillation import Recipe
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe
from napari_cytodino.uncertainty.calibration import CalibrationTargets

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def both(smoke_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the smoke run's checkpoint with thresholds for both types."""
    out = tmp_path_factory.mktemp("both")
    calibrate_for("bfloat16", str(smoke_run / "checkpoint"), None, out)
    return out / "checkpoint"


def test_each_type_has_its_own_thresholds(smoke_run: Path, both: Path) -> None:
    before, after = load_checkpoint(smoke_run / "checkpoint"), load_checkpoint(both)
    assert (before.calibrated, after.calibrated) == (
        ("float32",),
        ("float32", "bfloat16"),
    )
    assert after.policy == before.policy
    assert figures_of(after.card) == figures_of(before.card)
    near = after.for_dtype("bfloat16")
    assert near.calibration is not None
    assert near.calibration.made_for["dtype"] == "bfloat16"
    assert near.policy.uncalibrated == ""
    assert near.policy.temperature == pytest.approx(after.policy.temperature, rel=0.2)
    assert near.policy.temperature != after.policy.temperature
    assert "computes in bfloat16" in after.card


def test_they_were_measured_in_that_type(both: Path) -> None:
    checkpoint = load_checkpoint(both).for_dtype("bfloat16")
    content, name = recipe_of(checkpoint)
    recipe = build(Recipe, content, name)
    crops = read_part(recipe, None, "calibration-b")
    ours = predictions_of(checkpoint, crops).logits
    plain = predictions_of(load_checkpoint(both), crops).logits
    assert 0 < np.abs(ours - plain).max() < 0.2
    classifier = Classifier(checkpoint, "cpu", 8, "bfloat16")
    seen, *_ = classifier._run_batches(np.ascontiguousarray(crops.pixels[:8]))
    np.testing.assert_allclose(seen, ours[:8], atol=1e-2)


def test_one_altered_to_belong_to_other_weights_holds_nothing(
    both: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(both, folder)
    path = folder / "calibration.bfloat16.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["made_for"]["dtype"] = "float32"
    write_json(path, content)
    listed = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    write_manifest(folder, tuple(listed["sha256"]))
    checkpoint = load_checkpoint(folder)
    assert checkpoint.calibrated == ("float32",)
    assert "float32 dtype" in checkpoint.for_dtype("bfloat16").policy.uncalibrated


def test_a_new_calibration_is_one_in_both_types(both: Path, tmp_path: Path) -> None:
    aims = CalibrationTargets(risk=0.1, delta=0.2)
    text = calibrate(str(both), None, tmp_path, aims=aims)
    after = load_checkpoint(tmp_path / "checkpoint")
    assert after.calibrated == ("float32", "bfloat16")
    before, near = (
        load_checkpoint(f).for_dtype("bfloat16") for f in (both, after.folder)
    )
    assert before.calibration is not None
    assert near.calibration is not None
    assert near.calibration.delta == 0.2
    curves = [c.calibration.curve.to_dict() for c in (before, near)]
    assert curves[0] == curves[1]
    assert "In bfloat16:" in text
    assert "computes in bfloat16" in after.card
    assert figures_of(after.card) == figures_of(load_checkpoint(both).card)


def test_a_fine_tuned_run_has_both_too(
    tmp_path: Path, pretended_gpu: list[tuple[str, str]]
) -> None:
    changes = ["run.epochs=1", "data.protocol=three-way"]
    content, name = read_recipe("finetune-smoke", changes)
    finetune(build(FinetuneRecipe, content, name), None, tmp_path / "run")
    source = tmp_path / "run" / "checkpoint"
    pretended_gpu.clear()
    line = ["calibrate", str(source), "--dtype", "bfloat16", "--out"]
    done = CliRunner().invoke(app, [*line, str(tmp_path / "run2")])
    assert done.exit_code == 0, done.output
    assert set(pretended_gpu) == {("model", "cuda"), ("pixels", "cuda")}
    made = load_checkpoint(tmp_path / "run2" / "checkpoint")
    assert "bfloat16" in made.calibrated
    refused = CliRunner().invoke(app, [*line, str(tmp_path / "x"), "--own-cells"])
    assert refused.exit_code == 2


def test_what_cannot_be_is_refused(smoke_run: Path, both: Path, tmp_path: Path) -> None:
    source = str(smoke_run / "checkpoint")
    with pytest.raises(InputError, match="'float16' is no other number type"):
        calibrate_for("float16", source, None, tmp_path)
    near = load_checkpoint(both).for_dtype("bfloat16")
    assert near.calibration is not None
    with pytest.raises(CheckpointError, match="measured in float32"):
        save_calibrated(
            tmp_path / "y", near, near.calibration, near.familiarity(), near.card
        )
