"""The whole way from a recipe to a checkpoint, in seconds."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_cytodino.checkpoints.calibration_file import checkpoint_facts
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.common.errors import InputError
from napari_cytodino.training.data.splits import split_sha256
from napari_cytodino.training.distillation._student import new_model
from napari_cytodino.training.distillation.parts import read_part
from napari_cytodino.training.distillation.pipeline import run_facts, train_recipe
from napari_cytodino.training.recipes.distillation import load_recipe
from napari_cytodino.training.runs.states import FINGERPRINT, TrainingError

if TYPE_CHECKING:
    from napari_cytodino.training.recipes.distillation import Recipe


def copy_run(run: Path, to: Path) -> Path:
    return Path(shutil.copytree(run, to / "run"))


def test_a_run_leaves_recipe_logs_checkpoint_and_figures(
    smoke_run: Path, smoke_recipe: Recipe
) -> None:
    assert json.loads((smoke_run / "recipe.json").read_text("utf-8"))["name"] == "smoke"
    log = (smoke_run / "student" / "log.jsonl").read_text("utf-8")
    assert f'"finished": {smoke_recipe.fit.steps}' in log
    checkpoint = load_checkpoint(smoke_run / "checkpoint")
    assert checkpoint.synthetic
    assert checkpoint.taxonomy == smoke_recipe.classes_in_order
    facts = checkpoint_facts(checkpoint.folder)
    assert facts["recipe"] == "smoke"
    assert facts["n"] == {"calibration-a": 6, "calibration-b": 12, "test": 6}
    assert (smoke_run / "metrics.json").is_file()


def test_training_changed_the_weights(smoke_run: Path, smoke_recipe: Recipe) -> None:
    fresh = new_model(smoke_recipe).state_dict()
    trained = load_checkpoint(smoke_run / "checkpoint").model().state_dict()
    assert set(fresh) == set(trained)
    assert (trained["head.query"] - fresh["head.query"]).abs().max() > 1e-4


def test_another_recipe_does_not_take_up_a_run(
    smoke_run: Path, smoke_recipe: Recipe
) -> None:
    with pytest.raises(InputError, match="another recipe"):
        train_recipe(replace(smoke_recipe, seed=9), None, smoke_run)


def test_a_torn_recipe_is_one_sentence(smoke_run: Path, tmp_path: Path) -> None:
    out = copy_run(smoke_run, tmp_path)
    (out / "recipe.json").write_text('{"name": "smo', "utf-8")
    with pytest.raises(InputError, match=r"recipe\.json cannot be read .*: remove it"):
        train_recipe(load_recipe("smoke"), None, out)


@pytest.mark.parametrize("fact", ["cells_sha256", "start_sha256", "split_sha256"])
def test_other_cells_are_no_more_of_a_run_that_goes_on(
    smoke_run: Path, smoke_recipe: Recipe, tmp_path: Path, fact: str
) -> None:
    out = copy_run(smoke_run, tmp_path)
    stored = json.loads((out / FINGERPRINT).read_text("utf-8"))
    (out / FINGERPRINT).write_text(json.dumps(stored | {fact: "other"}), "utf-8")
    with pytest.raises(InputError, match=f"{fact} = 'other', not '"):
        train_recipe(smoke_recipe, None, out)


def test_a_run_is_bound_to_cells_split_and_start() -> None:
    small = load_recipe("smoke", ["synthetic=2"])
    drawn = [
        read_part(recipe, None, "train", packed=True)
        for recipe in (small, load_recipe("smoke", ["synthetic=3"]))
    ]
    same, other = (run_facts(small, train, drawn[0]) for train in drawn)
    assert same["recipe"] == other["recipe"]
    assert same["cells_sha256"] != other["cells_sha256"]
    assert same == run_facts(small, drawn[0], drawn[0])
    again = run_facts(replace(small, start="starter"), drawn[0], drawn[0])
    assert again["start_sha256"] == load_checkpoint("starter").sha256
    starter = load_recipe("starter")
    facts = run_facts(replace(starter, start=""), drawn[0], drawn[0])
    assert facts["split_sha256"] == split_sha256(starter.split_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_and_a_wrong_folder_are_one_sentence(
    smoke_recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(
        TrainingError, match=r"written \(No space left.*states are kept"
    ):
        train_recipe(smoke_recipe, None, tmp_path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(TrainingError, match=r"file cannot be read or written \("):
        train_recipe(smoke_recipe, None, file)
