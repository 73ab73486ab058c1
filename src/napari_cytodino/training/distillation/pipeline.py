"""From a recipe to a checkpoint: data, teacher, student, calibration, card."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from napari_cytodino.checkpoints import (
    Preprocessing,
    load_checkpoint,
    save_calibrated,
    save_checkpoint,
)
from napari_cytodino.common import InputError, write_json
from napari_cytodino.training.data import split_sha256
from napari_cytodino.training.distillation._stages import fit_student, get_teacher
from napari_cytodino.training.distillation._student import interpolate_with_start
from napari_cytodino.training.distillation.parts import (
    count_cells,
    read_part,
    run_of,
)
from napari_cytodino.training.evaluation import figures_with, write_card
from napari_cytodino.training.runs import (
    TrainingError,
    bind_run,
    digest,
)
from napari_cytodino.uncertainty import DecisionPolicy

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.models import CytoDinoForImageClassification
    from napari_cytodino.training.data import CellSet
    from napari_cytodino.training.recipes import Recipe


def finish(
    recipe: Recipe,
    model: CytoDinoForImageClassification,
    data: Path | None,
    out: Path,
) -> dict[str, Any]:
    """Store, calibrate, evaluate and describe a trained model.

    Returns
    -------
    dict
        The figures, which are those of the card.
    """
    run, folder = run_of(recipe, data), out / "checkpoint"
    preprocessing = Preprocessing(
        recipe.size, float(recipe.field_of_view), recipe.mean, recipe.std
    )
    policy, title = DecisionPolicy(), f"# {recipe.title}\n"
    save_checkpoint(folder, model, run.taxonomy, preprocessing, policy, title)
    draft = load_checkpoint(folder)
    calibration, familiarity = run.calibrate(draft)
    results = figures_with(draft, run.judge(draft), calibration, familiarity)
    counts = count_cells(recipe, data, run)
    card = write_card(recipe, calibration, counts, results, run.split_sha256)
    save_calibrated(folder, draft, calibration, familiarity, card)
    write_json(out / "metrics.json", results)
    return results


def train_recipe(recipe: Recipe, data: Path | None, out: Path) -> dict[str, Any]:
    """Run a recipe from data to checkpoint, taking up what ``out`` holds already.

    Raises
    ------
    CytoDinoError
        One sentence: what does not fit, or why the run had to stop. The newest state
        is kept, and the same call takes it up.
    SystemExit
        As `loop.fit`.
    """
    try:
        return _train(recipe, data, out)
    except (OSError, SafetensorError) as error:
        place = getattr(error, "filename", None) or out
        why = getattr(error, "strerror", None) or error
        raise TrainingError(
            f"{place} cannot be read or written ({why}): mend that, or free space on "
            "the disk, and run the same again; states are kept."
        ) from error


def _train(recipe: Recipe, data: Path | None, out: Path) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    resolved = json.loads(json.dumps(asdict(recipe)))
    _same_recipe(out / "recipe.json", resolved)
    cache = out / "cache"
    train = read_part(recipe, data, "train", packed=True, cache=cache)
    watched = read_part(recipe, data, "calibration-a", packed=True, cache=cache)
    bind_run(out, run_facts(recipe, train, watched))
    write_json(out / "recipe.json", resolved)
    teacher = get_teacher(recipe, train, watched, out / "teacher")
    model = fit_student(recipe, train, watched, teacher, out / "student")
    if recipe.start_share:
        interpolate_with_start(model, load_checkpoint(recipe.start), recipe.start_share)
    return finish(recipe, model, data, out)


def _same_recipe(stored: Path, resolved: dict[str, Any]) -> None:
    """Refuse a folder of another recipe."""
    try:
        same = not stored.is_file() or json.loads(stored.read_text("utf-8")) == resolved
    except ValueError as error:
        raise InputError(
            f"{stored} cannot be read ({error}): remove it if the run is of this "
            "recipe, else choose an empty folder."
        ) from error
    if not same:
        raise InputError(
            f"{stored.parent} holds a run of another recipe: choose an empty folder, "
            f"or give the settings in {stored}."
        )


def run_facts(recipe: Recipe, train: CellSet, watched: CellSet) -> dict[str, Any]:
    """Return what a run's states are bound to: recipe, split, cells and start."""
    start = load_checkpoint(recipe.start).sha256 if recipe.start else ""
    cells = {
        name: [part.paths, part.targets.tolist()]
        for name, part in (("train", train), ("watched", watched))
    }
    return {
        "recipe": asdict(recipe),
        "split_sha256": split_sha256(recipe.split_path) if recipe.split else "",
        "cells_sha256": digest(cells),
        "start_sha256": start,
    }
