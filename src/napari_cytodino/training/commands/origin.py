"""From a checkpoint back to the run that made it, whichever engine that was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cytodino.checkpoints import checkpoint_facts, read_json
from napari_cytodino.common import InputError
from napari_cytodino.training.data import split_sha256
from napari_cytodino.training.recipes import (
    FinderRecipe,
    FinetuneRecipe,
    Recipe,
    build,
    read_recipe,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.training.evaluation import Run


SPLIT = "split.csv"
"""What a run's folder keeps its split as."""


def recipe_of(checkpoint: Checkpoint) -> tuple[dict[str, Any], str]:
    """Return the content of a checkpoint's recipe, and where it was read.

    That of the run whose folder holds the checkpoint, else the one that ships with the
    package under the name the checkpoint gives.
    """
    stored = checkpoint.folder.parent / "recipe.json"
    if stored.is_file():
        return read_json(stored), str(stored)
    return read_recipe(str(checkpoint_facts(checkpoint.folder).get("recipe", "")))


def split_of(checkpoint: Checkpoint) -> str:
    """Return the sha256 of the split a checkpoint was trained on; empty for none."""
    return str(checkpoint_facts(checkpoint.folder).get("split_sha256", ""))


def same_split(checkpoint: Checkpoint, path: Path) -> None:
    """Refuse a split that is not the checkpoint's own.

    Raises
    ------
    InputError
        When the file is missing or another one.
    """
    if not path.is_file() or split_sha256(path) != split_of(checkpoint):
        raise InputError(
            f"'{checkpoint.name}' was trained on another split than {path}: use it "
            "with the split of its run (--split FILE)."
        )


def run_of(checkpoint: Checkpoint, data: Path | None, split: Path | None = None) -> Run:
    """Return the run that made a checkpoint, with its cells as far as they are needed.

    Parameters
    ----------
    checkpoint
        In the folder of its run, or one whose recipe ships with the package.
    data
        The cells; needed unless they are drawn in code.
    split
        The saved split of a fine-tuned checkpoint, whose cells need not all be there;
        without it, that of the run's folder, and all of them have to be.

    Raises
    ------
    CytoDinoError
        When checkpoint, cells and split do not belong together.
    """
    content, name = recipe_of(checkpoint)
    if "backbone" not in content:
        from napari_cytodino.training.distillation import run_of as distilled_run

        recipe = build(Recipe, content, name)
        if recipe.split:
            same_split(checkpoint, recipe.split_path)
        return distilled_run(recipe, data)
    from napari_cytodino.training.finetuning import load_parts
    from napari_cytodino.training.finetuning import run_of as finetuned_run

    plan, folder = build(FinetuneRecipe, content, name), checkpoint.folder.parent
    if data is not None and not plan.data.synthetic:
        same_split(checkpoint, split or folder / SPLIT)
    return finetuned_run(plan, load_parts(plan, data, folder, saved=split))


def train(
    source: str,
    changes: Sequence[str],
    data: Path | None,
    out: Path,
    *,
    allow_inexact: bool = False,
) -> dict[str, Any]:
    """Run a recipe by its engine, or take up what ``out`` holds; return its figures.

    Parameters
    ----------
    source, changes
        As for `read_recipe`.
    data, out, allow_inexact
        As for `finetune`; the student's engine knows no inexact resume.
    """
    content, name = read_recipe(source, changes)
    if "finder" in content:
        from napari_cytodino.training.finding import train_finder

        train_finder(build(FinderRecipe, content, name), data, out)
        return {}
    if "backbone" not in content:
        from napari_cytodino.training.distillation import train_recipe

        return train_recipe(build(Recipe, content, name), data, out)
    from napari_cytodino.training.finetuning import finetune

    plan = build(FinetuneRecipe, content, name)
    return finetune(plan, data, out, allow_inexact=allow_inexact)
