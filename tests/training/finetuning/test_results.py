"""The end of a run: logits as inference gives them, honest names, a usable folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModel
from typer.testing import CliRunner

from napari_cytodino.cells.crops import CropBatch
from napari_cytodino.checkpoints.backbones import describe_backbone
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.cli import app
from napari_cytodino.inference.classifier import Classifier
from napari_cytodino.training.evaluation.answers import predictions_of
from napari_cytodino.training.evaluation.cards import figures_block, figures_of
from napari_cytodino.training.evaluation.run import VALIDATION, figures_with
from napari_cytodino.training.finetuning import results as finetune_results
from napari_cytodino.training.finetuning.model import new_model
from napari_cytodino.training.finetuning.parts import load_parts
from napari_cytodino.training.finetuning.results import (
    UNTUNED,
    card_of,
    finish,
)
from napari_cytodino.training.recipes.finetuning import BackbonePlan, FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.labelled import LabelledPredictions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.training.finetuning.parts import Parts


@pytest.fixture(scope="module")
def recipe() -> FinetuneRecipe:
    return build(FinetuneRecipe, *read_recipe("finetune-smoke"))


@pytest.fixture(scope="module")
def parts(recipe: FinetuneRecipe, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return load_parts(recipe, None, tmp_path_factory.mktemp("none"))


@pytest.fixture(scope="module")
def finished(
    recipe: FinetuneRecipe, parts: Parts, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a run's folder after its end; the model never learnt anything."""
    out = tmp_path_factory.mktemp("finished")
    finish(recipe, new_model(recipe), parts, out, "cpu")
    return out


def test_logits_are_those_of_inference(finished: Path, parts: Parts) -> None:
    checkpoint = load_checkpoint(finished / "checkpoint")
    answers = predictions_of(checkpoint, parts.selection, batch=4)
    assert answers.logits.shape == (6, 3)
    pixels = np.stack([parts.selection.crop(i) for i in range(6)])
    batch = CropBatch(np.arange(6), pixels, np.ones(6, bool))
    (answer,) = Classifier(checkpoint, "cpu", dtype="float32").run([batch])
    assert np.allclose(answers.logits, answer.logits, atol=1e-5)
    assert np.allclose(answers.embeddings, answer.embeddings, atol=1e-2)
    assert np.array_equal(answers.targets, parts.selection.targets)


def answered(parts: Parts, logits: NDArray[np.float32]) -> LabelledPredictions:
    n = len(parts.selection)
    targets, sources = parts.selection.targets, parts.selection.sources
    embeddings = np.zeros((n, 24), np.float32)
    return LabelledPredictions(targets, logits, sources, embeddings)


def test_without_cells_kept_apart_nothing_is_calibrated(
    recipe: FinetuneRecipe, parts: Parts, tmp_path: Path
) -> None:
    without = replace(parts, calibration=None, test=None)
    finish(recipe, new_model(recipe), without, tmp_path, "cpu")
    checkpoint = load_checkpoint(tmp_path / "checkpoint")
    assert checkpoint.calibration is None
    assert checkpoint.policy.guarantee == ""
    assert checkpoint.familiarity() is None
    assert "no guarantee" in checkpoint.card


def test_six_cells_promise_nothing(finished: Path) -> None:
    checkpoint = load_checkpoint(finished / "checkpoint")
    assert checkpoint.calibration is not None
    assert checkpoint.calibration.strictest is None
    assert checkpoint.policy.min_confidence > 1
    assert "no guarantee for 99.5%" in checkpoint.card
    known = checkpoint.familiarity()
    assert known is not None
    assert len(known.references) == 24


def test_the_card_tells_backbone_loss_protocol_and_figures(
    recipe: FinetuneRecipe, parts: Parts, finished: Path
) -> None:
    card = load_checkpoint(finished / "checkpoint").card
    assert card.count("$") == 0
    for words in (
        "RANDOM weights",
        "SYNTHETIC cells",
        "Loss: published",
        "Learn-then-test",
    ):
        assert words in card
    assert "24 train, 6 calibration-a, 6 calibration-b, 6 test" in card
    assert "| test | synthetic | 6 |" in figures_of(card)
    without = replace(parts, calibration=None, test=None, split_sha256="5e")
    results = {VALIDATION: {"synthetic": figures_stub(finished, parts)}}
    told = card_of(recipe, DecisionPolicy(1.5), without, results, "All learn.")
    assert UNTUNED.format(1.5) in told
    assert "24 train, 6 validation. Split sha256 `5e`." in told
    assert figures_of(told) == figures_block(results)


def figures_stub(run: Path, parts: Parts) -> dict[str, object]:
    checkpoint = load_checkpoint(run / "checkpoint")
    logits = np.eye(3, dtype=np.float32)[parts.selection.targets]
    judged = figures_with(checkpoint, {"x": answered(parts, logits)})
    found: dict[str, object] = judged["x"]["synthetic"]
    return found


@pytest.mark.parametrize("kind", ["dinov3_vit", "dinov2"])
def test_a_pretrained_backbone_ends_in_a_checkpoint_too(
    recipe: FinetuneRecipe,
    parts: Parts,
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # on a processor that gains by bfloat16 thresholds are measured in it as well
    monkeypatch.setattr(finetune_results, "bfloat16_is_faster", lambda device: True)
    shape = {"image_size": 32, "patch_size": 16, "hidden_size": 24}
    inner = {"intermediate_size": 48} if kind == "dinov3_vit" else {"mlp_ratio": 2}
    config = AutoConfig.for_model(
        kind, **shape, **inner, num_hidden_layers=1, num_attention_heads=2
    )
    AutoModel.from_config(config).save_pretrained(tmp_path / "base")
    plan = BackbonePlan(source=str(tmp_path / "base"))
    based = replace(recipe, backbone=plan)
    model = new_model(based).eval()
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = model(pixel_values=pixels).logits.detach()
    finish(based, model, parts, tmp_path, "cpu")
    checkpoint = load_checkpoint(tmp_path / "checkpoint")
    assert str(tmp_path / "base") in checkpoint.card
    # stored in half precision
    answer = checkpoint.model()(pixel_values=pixels).logits
    assert torch.allclose(answer, expected, atol=2e-2)
    shared = load_checkpoint(tmp_path / "adapter")
    assert shared.base == describe_backbone(str(tmp_path / "base"))
    assert (shared.card, shared.policy) == (checkpoint.card, checkpoint.policy)
    assert shared.calibrated == checkpoint.calibrated == ("float32", "bfloat16")
    assert (
        shared.for_dtype("bfloat16").policy == checkpoint.for_dtype("bfloat16").policy
    )
    assert "computes in bfloat16" in checkpoint.card
    assert torch.allclose(shared.model()(pixels).logits, expected, atol=2e-2)


def test_random_backbones_leave_no_adapter_to_pass_on(finished: Path) -> None:
    assert not (finished / "adapter").exists()


def test_the_command_classifies_with_the_folder(
    finished: Path, parts: Parts, tmp_path: Path
) -> None:
    crops = tmp_path / "crops"
    crops.mkdir()
    for i in range(2):
        Image.fromarray(parts.selection.crop(i)).save(crops / f"{i}.png")
    chosen = ["--checkpoint", str(finished / "checkpoint"), "--device", "cpu"]
    done = CliRunner().invoke(
        app,
        ["classify", str(crops), "--crops", *chosen, "--out", str(tmp_path / "out")],
    )
    assert done.exit_code == 0, done.output
    table = (tmp_path / "out" / "cells.csv").read_text("utf-8")
    assert table.count("\n") == 3
    assert "p_BLA" in table
