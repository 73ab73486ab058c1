"""A small model and its folder; a field of classified cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_cytodino.core.cells import cells_from_labels
from napari_cytodino.core.decisions import DecisionPolicy
from napari_cytodino.core.predictions import PredictionBatch, Predictions
from napari_cytodino.core.table import build_table, file_table
from napari_cytodino.core.taxonomy import Taxonomy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from napari_cytodino.core.cells import Cells
    from napari_cytodino.core.model import CytoDinoForImageClassification


@pytest.fixture(scope="session")
def small_model() -> Callable[..., CytoDinoForImageClassification]:
    """Return what builds a model of 21 classes, width 24 and random weights."""
    import torch

    from napari_cytodino.core.model import (
        CytoDinoConfig,
        CytoDinoForImageClassification,
    )

    backbone = {
        "model_type": "dinov3_vit",
        "image_size": 32,
        "patch_size": 16,
        "hidden_size": 24,
        "intermediate_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    taxonomy = Taxonomy.load("mll21").to_dict()

    def make(seed: int = 0) -> CytoDinoForImageClassification:
        torch.manual_seed(seed)
        config = CytoDinoConfig(
            backbone_config=backbone, taxonomy=taxonomy, head_layers=1, head_heads=2
        )
        return CytoDinoForImageClassification(config).eval()

    return make


@pytest.fixture
def folder(
    tmp_path: Path, small_model: Callable[..., CytoDinoForImageClassification]
) -> Path:
    """Return the folder of a checkpoint with thresholds set by hand."""
    from napari_cytodino.core.checkpoint import Preprocessing
    from napari_cytodino.core.checkpoint_saving import save_checkpoint
    from napari_cytodino.core.decisions import DecisionPolicy

    return save_checkpoint(
        tmp_path / "mine",
        small_model(),
        Taxonomy.load("mll21"),
        Preprocessing(32, 192.0, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)),
        DecisionPolicy(temperature=1.2, min_confidence=0.7),
        "# Mine\n",
    )


@dataclass
class Field:
    """A label image, its cells and their table with the columns of files."""

    labels: np.ndarray
    cells: Cells
    predictions: Predictions
    table: pd.DataFrame


@pytest.fixture
def make_field() -> Callable[..., Field]:
    """Return what makes a field of cells of 10 x 12 pixels, with random answers."""

    def make(count: int = 6, *, reviews: dict | None = None, image: str = "a.png"):
        labels = np.zeros((20 * count, 40), np.int32)
        for number in range(count):
            # ids are not the rows: 7, 10, 13 ...
            labels[20 * number + 4 : 20 * number + 14, 9:21] = 7 + 3 * number
        taxonomy, cells = Taxonomy.load("mll21"), cells_from_labels(labels)
        logits = np.random.default_rng(3).normal(0, 6, (count, 21)).astype(np.float32)
        width = np.arange(3 * count, dtype=np.float16).reshape(count, 3) / 8
        every = np.ones(count, bool)
        batch = PredictionBatch(np.arange(count), logits, width, every)
        whole = Predictions.empty(count, 21, 3).with_batch(batch)
        policy = DecisionPolicy()
        table = build_table(cells, whole, taxonomy, policy, reviews)
        table = file_table(
            table, cells, whole, taxonomy, policy, image=image, checkpoint="demo@0"
        )
        return Field(labels, cells, whole, table)

    return make
