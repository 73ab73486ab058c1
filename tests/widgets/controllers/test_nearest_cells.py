"""The nearest training cells, looked up once a cell and read once a checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cytodino.checkpoints.checkpoint import Checkpoint
from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.uncertainty.novelty import NoveltyDetector


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let every checkpoint have three training cells, and note who reads them."""
    made: list[str] = []
    references = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [-1, 0, 0, 0]], np.float16)
    known = NoveltyDetector(
        references,
        np.array([2, 3, 4]),
        np.zeros((21, 4), np.float32),
        np.eye(4, dtype=np.float32),
        np.ones(2),
    )

    def familiarity(self: Checkpoint) -> NoveltyDetector:
        made.append(self.name)
        return known

    monkeypatch.setattr(Checkpoint, "familiarity", familiarity)
    return made


def test_classes_of_the_nearest_first(judged: Any, read: list[str]) -> None:
    nearest, codes = judged.controller.nearest, judged.session.taxonomy.codes
    judged.session.select(0)
    judged.qtbot.waitUntil(lambda: len(nearest.codes) == 3, timeout=20_000)
    assert nearest.codes == (codes[2], codes[3], codes[4])
    judged.session.predictions.embeddings[1] = (-1, 0, 0, 0)
    judged.session.select(1)
    judged.qtbot.waitUntil(lambda: nearest.codes[:1] == (codes[4],), timeout=20_000)
    assert len(read) == 1, "training cells are read once a checkpoint"


@pytest.mark.usefixtures("read")
def test_nothing_without_a_cell_or_with_other_embeddings(judged: Any) -> None:
    nearest = judged.controller.nearest
    judged.session.select(None)
    assert nearest.codes == ()
    wide = np.ones(7, np.float16)
    assert nearest._codes(judged.session.opened, wide) == ()


def test_a_broken_file_is_told_once(
    judged: Any, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Checkpoint) -> None:
        raise CheckpointError("familiarity.safetensors changed")

    monkeypatch.setattr(Checkpoint, "familiarity", broken)
    judged.session.select(0)
    judged.qtbot.waitUntil(lambda: len(told) == 1, timeout=20_000)
    judged.session.predictions.embeddings[1] = 2
    judged.session.select(1)
    judged.qtbot.waitUntil(
        lambda: not judged.controller.nearest._runner.busy, timeout=20_000
    )
    assert told == ["familiarity.safetensors changed"]
