"""The frozen backbone: what fine-tuning starts from, read as inference reads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from napari_cytodino.checkpoints.checkpoint import Checkpoint
from napari_cytodino.checkpoints.folder import Preprocessing
from napari_cytodino.inference.classifier import preprocess
from napari_cytodino.training.comparison.methods import read_comparison
from napari_cytodino.training.comparison.probes import embed_cells, frozen_backbone
from napari_cytodino.training.finetuning.model import new_model
from napari_cytodino.training.finetuning.parts import load_parts
from napari_cytodino.training.recipes.finetuning import BackbonePlan
from napari_cytodino.uncertainty.decisions import DecisionPolicy

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.training.data.crops import CellSet

RECIPE = read_comparison("finetune-smoke", ("run.eval_batch=4",))[0]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> CellSet:
    return load_parts(RECIPE, None, tmp_path_factory.mktemp("none")).selection


def as_input(cells: CellSet) -> torch.Tensor:
    """Return the cells as inference gives them to a model."""
    shape = Preprocessing(RECIPE.size, 64.0, RECIPE.mean, RECIPE.std)
    checkpoint = Checkpoint("x", None, shape, DecisionPolicy(), "", "", None)  # type: ignore[arg-type]
    pixels = np.stack([cells.crop(i) for i in range(len(cells))])
    return preprocess(pixels, checkpoint)


def test_embeddings_are_the_class_token_that_fine_tuning_starts_from(
    cells: CellSet,
) -> None:
    found = embed_cells(frozen_backbone(RECIPE), cells, RECIPE)
    # before the first step an adapter adds nothing
    model = new_model(RECIPE).base_model.model.eval()
    with torch.inference_mode():
        expected = model.tokens(as_input(cells))[:, 0].numpy()
    assert found.embeddings.shape == (6, 24)
    assert np.allclose(found.embeddings, expected, atol=1e-5)
    assert np.array_equal(found.targets, cells.targets)
    # and tell the cells apart
    assert len(np.unique(found.embeddings.round(4), axis=0)) == 6


def test_batches_do_not_matter(cells: CellSet) -> None:
    backbone = frozen_backbone(RECIPE)
    whole = replace(RECIPE, run=replace(RECIPE.run, eval_batch=6))
    one, two = (embed_cells(backbone, cells, r).embeddings for r in (RECIPE, whole))
    assert np.allclose(one, two, atol=1e-5)
    assert not any(p.requires_grad for p in backbone.parameters())


def test_pretrained_weights_are_read_whatever_the_seed(
    cells: CellSet, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    config = Dinov2Config(
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
    )
    stored = Dinov2Model(config).eval()
    stored.save_pretrained(tmp_path / "base")
    plan = BackbonePlan(source=str(tmp_path / "base"))
    with torch.inference_mode():
        expected = stored(as_input(cells)).last_hidden_state[:, 0].numpy()
    for seed in (0, 1):
        recipe = replace(RECIPE, backbone=plan, seed=seed)
        found = embed_cells(frozen_backbone(recipe), cells, recipe).embeddings
        assert np.allclose(found, expected, atol=1e-5)
