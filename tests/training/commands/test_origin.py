"""From a checkpoint back to its recipe and its split."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.common.errors import InputError
from napari_cytodino.common.files import write_json
from napari_cytodino.training.commands.origin import (
    recipe_of,
    run_of,
    same_split,
    split_of,
)
from napari_cytodino.training.evaluation.answers import VIEWS
from napari_cytodino.training.recipes.distillation import load_recipe
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe

if TYPE_CHECKING:
    from pathlib import Path


def test_the_recipe_beside_a_checkpoint_comes_first(
    smoke_run: Path, tmp_path: Path
) -> None:
    content, where = recipe_of(load_checkpoint(smoke_run / "checkpoint"))
    assert content["fit"]["steps"] == load_recipe("smoke").fit.steps
    assert where == str(smoke_run / "recipe.json")
    shutil.copytree(smoke_run / "checkpoint", tmp_path / "alone")
    content, where = recipe_of(load_checkpoint(tmp_path / "alone"))
    assert content["name"] == "smoke"
    assert where != str(smoke_run / "recipe.json")


def test_a_checkpoint_without_a_run_names_its_recipe(tiny_checkpoint: Path) -> None:
    with pytest.raises(InputError, match="no recipe"):
        recipe_of(load_checkpoint(tiny_checkpoint))


def test_only_its_own_split_fits(smoke_run: Path, tmp_path: Path) -> None:
    starter = load_checkpoint("starter")
    own = load_recipe("starter").split_path
    same_split(starter, own)
    assert len(split_of(starter)) == 64
    assert split_of(load_checkpoint(smoke_run / "checkpoint")) == ""
    other = tmp_path / "split.csv"
    other.write_text(own.read_text("utf-8") + "x.png,test\n", encoding="utf-8")
    for path in (other, tmp_path / "none.csv"):
        with pytest.raises(InputError, match="--split FILE"):
            same_split(replace(starter, name="s"), path)


def test_either_engine_gives_a_run(smoke_run: Path, tmp_path: Path) -> None:
    student = run_of(load_checkpoint(smoke_run / "checkpoint"), None)
    assert (student.name, student.protocol, student.views) == ("smoke", "test", VIEWS)
    shutil.copytree(smoke_run / "checkpoint", tmp_path / "checkpoint")
    changes = ["data.protocol=published"]
    recipe = build(FinetuneRecipe, *read_recipe("finetune-smoke", changes))
    content = json.loads(json.dumps(asdict(recipe)))
    write_json(tmp_path / "recipe.json", content)
    tuned = run_of(load_checkpoint(tmp_path / "checkpoint"), None)
    assert (tuned.name, tuned.parts) == ("finetune-smoke", ("validation",))
    assert tuned.views == VIEWS[:1]
    assert tuned.batch == recipe.run.eval_batch
    content["data"]["synthetic"] = 0
    write_json(tmp_path / "recipe.json", content)
    with pytest.raises(InputError, match="add --data DIR"):
        run_of(load_checkpoint(tmp_path / "checkpoint"), None)
    with pytest.raises(InputError, match="another split"):
        run_of(load_checkpoint(tmp_path / "checkpoint"), tmp_path)
