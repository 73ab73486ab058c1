"""Predictions of cells whose class is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.metrics.scores import all_scores
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.labelled import TestCells

if TYPE_CHECKING:
    from numpy.typing import NDArray

MLL = Taxonomy.load("mll21")
POLICY = DecisionPolicy(temperature=1.5, min_confidence=0.6)


def test_cells_that_do_not_fit_are_refused() -> None:
    logits: NDArray[np.float32] = np.zeros((2, 21), np.float32)
    sources = np.array(["a", "a"])
    with pytest.raises(InputError, match="1 paths for 2 test cells"):
        TestCells(np.zeros(2, int), logits, ("x",), sources)
    with pytest.raises(InputError, match="0 test cells"):
        TestCells(np.zeros(0, int), logits[:0], (), sources[:0])
    few = TestCells(np.zeros(2, int), logits[:, :5], ("x", "y"), sources)
    with pytest.raises(InputError, match="5 logits do not fit the 21 classes"):
        all_scores(few, MLL, POLICY)
