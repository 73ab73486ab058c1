"""A run is asked, calibrated and judged without a word of its engine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.common.errors import InputError
from napari_cytodino.training.data.crops import CellFile, CellSet
from napari_cytodino.training.distillation.parts import run_of
from napari_cytodino.training.evaluation.answers import VIEWS, by_source
from napari_cytodino.training.evaluation.run import (
    TEST,
    VALIDATION,
    Run,
    figures_with,
    sheet_of,
)
from napari_cytodino.uncertainty.calibration import CalibrationTargets
from napari_cytodino.uncertainty.decisions import DecisionPolicy

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.training.recipes.distillation import Recipe


@pytest.fixture(scope="module")
def run(smoke_recipe: Recipe) -> Run:
    return run_of(smoke_recipe, None)


def two_labs(_part: str) -> CellSet:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 192, 192, 3), np.uint8)
    files = tuple(CellFile(f"{'dark' if i < 3 else 'light'}/{i}", "") for i in range(6))
    return CellSet(files, np.arange(6) % 3, 192, pixels=pixels)


def test_facts_tell_recipe_split_and_cells(run: Run) -> None:
    counts = {"calibration-a": 6, "calibration-b": 12, "test": 6}
    assert run.facts() == {"recipe": "smoke", "split_sha256": "", "n": counts}
    own = replace(run, name="", origin={"own_cells": "lab"}, parts=("test",))
    assert own.facts() == {"own_cells": "lab", "n": {"test": 6}}
    assert own.split_sha256 == ""
    assert run.read("test") is run.read("test")


def test_every_view_and_source_has_figures(run: Run, smoke_run: Path) -> None:
    checkpoint = load_checkpoint(smoke_run / "checkpoint")
    judged = replace(run, read=two_labs).judge(checkpoint)
    found = figures_with(checkpoint, judged)
    assert list(found) == list(VIEWS)
    for by_lab in found.values():
        assert set(by_lab) == {"dark", "light"}
        assert all(r["n"] == 3 for r in by_lab.values())
    assert found[VIEWS[0]] == by_source(checkpoint, judged[VIEWS[0]])


def test_one_view_has_its_name_from_what_was_judged(run: Run, smoke_run: Path) -> None:
    checkpoint = load_checkpoint(smoke_run / "checkpoint")
    plain = replace(run, views=VIEWS[:1])
    assert list(plain.judge(checkpoint)) == [TEST] == [plain.protocol]
    other = replace(plain, parts=("validation",), read=two_labs)
    assert list(other.judge(checkpoint)) == [VALIDATION]


def test_figures_are_those_of_what_will_be_stored(run: Run, smoke_run: Path) -> None:
    checkpoint = load_checkpoint(smoke_run / "checkpoint")
    stored, judged = checkpoint.familiarity(), run.judge(checkpoint)
    blind = {name: found.compared_with(None) for name, found in judged.items()}
    never = replace(checkpoint, policy=DecisionPolicy(min_confidence=2.0))
    assert checkpoint.calibration is not None
    found = figures_with(never, blind, checkpoint.calibration, stored)
    assert found == figures_with(checkpoint, judged)
    every = DecisionPolicy(min_confidence=0.0, min_margin=0.0, max_critical=1.0)
    accepted = figures_with(never, blind, every)[VIEWS[0]]["synthetic"]["accepted"]
    assert accepted == 1


def test_a_run_without_cells_apart_is_not_calibrated(run: Run, smoke_run: Path) -> None:
    checkpoint = load_checkpoint(smoke_run / "checkpoint")
    without = replace(run, parts=("validation",))
    assert run.calibrates
    assert not without.calibrates
    with pytest.raises(InputError, match=r"'smoke' kept no cells apart .* --own-cells"):
        without.calibration_parts(checkpoint)


def test_a_run_is_calibrated_as_it_was_or_with_other_aims(
    run: Run, smoke_run: Path
) -> None:
    checkpoint = load_checkpoint(smoke_run / "checkpoint")
    made, _ = run.calibrate(checkpoint)
    assert checkpoint.calibration is not None
    assert made.policy() == checkpoint.policy
    aimed, known = replace(run, references=None).calibrate(
        checkpoint, aims=CalibrationTargets(risk=0.1)
    )
    assert aimed.risk == 0.1
    before = checkpoint.familiarity()
    assert before is not None
    assert np.array_equal(known.references, before.references)


def test_a_sheet_shows_one_cell_and_its_views() -> None:
    clean, views = torch.full((1, 3, 4, 4), 0.5), torch.full((5, 3, 4, 4), 2.0)
    sheet = sheet_of(clean, views, CellFile("lab/1.png", ""))
    assert sheet.original.shape == (4, 4, 3)
    assert np.unique(sheet.original).tolist() == [128]
    assert sheet.views.shape == (5, 4, 4, 3)
    assert sheet.views.min() == 255
    assert "lab/1.png" in sheet.note
