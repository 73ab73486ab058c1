"""A field of classified cells to export, and what compares folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.images.source import ImageSource
from napari_cytodino.results.cell_table import build_table, with_file_columns
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.predictions import PredictionBatch, Predictions

if TYPE_CHECKING:
    import pandas as pd

    from napari_cytodino.cells.cells import Cells


@dataclass(frozen=True)
class ClassifiedField:
    """A picture, its cells and their table with the columns of files."""

    source: ImageSource
    cells: Cells
    table: pd.DataFrame


@pytest.fixture(scope="session")
def many_cells() -> ClassifiedField:
    """Return 400 cells, a third of them reviewed: no file of them fits 8 kB."""
    grid = np.arange(1, 401, dtype=np.int64).reshape(20, 20)
    labels = np.kron(grid, np.ones((40, 40), np.int64))
    labels[30::40], labels[:, 30::40] = 0, 0
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*labels.shape, 3)).astype(np.uint8)
    taxonomy, policy = Taxonomy.load("mll21"), DecisionPolicy()
    cells = cells_from_labels(labels)
    logits = rng.normal(0, 6, (400, 21)).astype(np.float32)
    batch = PredictionBatch(
        np.arange(400),
        logits,
        rng.random((400, 3)).astype(np.float16),
        np.ones(400, bool),
    )
    whole = Predictions.empty(400, 21, 3).with_batches([batch])
    reviews = {i: (taxonomy.codes[(i + 1) % 5], "Ann", "t") for i in range(0, 399, 3)}
    table = build_table(cells, whole, taxonomy, policy, reviews)
    table = with_file_columns(
        table, cells, whole, taxonomy, policy, image="Ä.png", checkpoint="demo@0"
    )
    return ClassifiedField(ImageSource(pixels), cells, table)
