"""Predictions of cells whose class is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.metrics.scores import all_scores
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.labelled import LabelledPredictions
from napari_cytodino.uncertainty.novelty import fit_novelty_detector

if TYPE_CHECKING:
    from numpy.typing import NDArray

MLL = Taxonomy.load("mll21")
POLICY = DecisionPolicy(temperature=1.5, min_confidence=0.6)


def test_cells_that_do_not_fit_are_refused() -> None:
    logits: NDArray[np.float32] = np.zeros((2, 21), np.float32)
    sources = np.array(["a", "a"])
    with pytest.raises(InputError, match="1 sources for 2 cells"):
        LabelledPredictions(np.zeros(2, int), logits, sources[:1])
    with pytest.raises(InputError, match="0 labelled cells"):
        LabelledPredictions(np.zeros(0, int), logits[:0], sources[:0])
    few = LabelledPredictions(np.zeros(2, int), logits[:, :5], sources)
    with pytest.raises(InputError, match="5 logits do not fit the 21 classes"):
        all_scores(few, MLL, POLICY)


def test_what_is_taken_or_compared_keeps_the_rest() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(3, 8) * 4
    embeddings = (np.tile(centres, (20, 1)) + rng.normal(size=(60, 8))).astype("f4")
    known = fit_novelty_detector(
        embeddings, np.arange(60) % 3, embeddings, quantile=0.99
    )
    cells = LabelledPredictions(
        np.arange(60) % 3,
        rng.normal(size=(60, 3)).astype(np.float32),
        np.full(60, "lab"),
        embeddings,
        paths=tuple(map(str, range(60))),
    )
    compared = cells.compared_with(known)
    wanted = known.novelty_score(embeddings.astype(np.float16))
    assert np.array_equal(compared.unfamiliarity, wanted)
    few = compared.take(np.array([7, 2]))
    assert few.paths == ("7", "2")
    assert few.groups is None
    assert np.array_equal(few.unfamiliarity, wanted[[7, 2]])
    assert few.compared_with(None).unfamiliarity is None
    with pytest.raises(InputError, match="no embeddings"):
        replace(cells, embeddings=None).compared_with(known)
