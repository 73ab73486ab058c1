"""A small model, and the folder it is saved in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_cytodino.core.taxonomy import Taxonomy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
