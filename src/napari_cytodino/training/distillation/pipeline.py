"""From a recipe to a checkpoint: data, teacher, student, calibration, card."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError

from napari_cytodino.checkpoints import (
    Preprocessing,
    load_checkpoint,
    save_calibrated,
    save_checkpoint,
)
from napari_cytodino.common import InputError, write_json
from napari_cytodino.synthetic import synthetic_crops
from napari_cytodino.training.data import (
    CellFile,
    cell_set,
    pack,
    read_index,
    read_split,
    some_of_each,
    split_sha256,
)
from napari_cytodino.training.distillation._stages import fit_student, get_teacher
from napari_cytodino.training.distillation._student import interpolate_with_start
from napari_cytodino.training.evaluation import (
    evaluate_crops,
    predictions_of,
    write_card,
)
from napari_cytodino.training.recipes import PARTS
from napari_cytodino.training.runs import TrainingError, bind_run, digest
from napari_cytodino.uncertainty import DecisionPolicy, fit_calibration

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.models import CytoDinoForImageClassification
    from napari_cytodino.training.data import CellSet
    from napari_cytodino.training.recipes import Recipe
    from napari_cytodino.uncertainty import (
        Calibration,
        CalibrationTargets,
        NoveltyDetector,
    )


DRAWN = {"calibration-a": 2, "calibration-b": 5}
"""Of cells drawn in code there may be more of these parts than a split would leave: of
120 a class, part A would else have 15, too few for any class to be calibrated."""


def read_part(
    recipe: Recipe,
    data: Path | None,
    parts: tuple[str, ...],
    *,
    packed: bool,
    cache: Path | None = None,
) -> CellSet:
    """Read or draw the cells of some parts.

    Parameters
    ----------
    recipe : Recipe
        Names classes, split and sizes.
    data : Path, optional
        Folder of the real cells; needed unless the recipe is synthetic.
    parts : tuple of str
        Of `PARTS`.
    packed : bool
        True for training crops with a margin at the input's scale, False for the
        field of view as it is.
    cache : Path, optional
        Where packed crops are kept.
    """
    if recipe.synthetic:
        return _drawn(recipe, parts, packed=packed)
    if data is None:
        raise InputError(f"Recipe '{recipe.name}' reads real cells: add --data DIR.")
    files = _files(recipe, data, parts)
    if not files:
        raise InputError(
            f"None of the split's cells is in {data}: give the folder the split was "
            "made from."
        )
    taxonomy, field = recipe.classes_in_order, recipe.field_of_view
    if not packed:
        return cell_set(files, taxonomy, field, folder=data)
    side = recipe.packed_side
    return pack(
        data, files, taxonomy, field=field + recipe.margin, side=side, cache=cache
    )


def _files(recipe: Recipe, data: Path, parts: tuple[str, ...]) -> list[CellFile]:
    """Return the files of some parts, classes that the recipe leaves out excepted."""
    part_of, taxonomy = read_split(recipe.split_path), recipe.classes_in_order
    return [
        file
        for file in read_index(data)
        if part_of.get(file.path) in parts and file.code in taxonomy
    ]


def _drawn(recipe: Recipe, parts: tuple[str, ...], *, packed: bool) -> CellSet:
    """Draw synthetic crops; every part has its own seed."""
    taxonomy = recipe.classes_in_order
    field = recipe.field_of_view + (recipe.margin if packed else 0)
    images, codes = [], []
    for part in parts:
        share = PARTS[part] / PARTS["train"] * DRAWN.get(part, 1)
        seed = 1000 * recipe.seed + list(PARTS).index(part)
        drawn, of_part = synthetic_crops(
            taxonomy.codes,
            max(2, round(recipe.synthetic * share)),
            size=field,
            seed=seed,
        )
        images.append(drawn)
        codes += of_part
    pixels = np.concatenate(images)
    if packed:
        pixels = _shrink(pixels, recipe.packed_side)
    place = f"synthetic/{'+'.join(parts)}"
    files = [CellFile(f"{place}/{i}", code) for i, code in enumerate(codes)]
    return cell_set(files, taxonomy, field, pixels=pixels)


def _shrink(pixels: np.ndarray[Any, Any], side: int) -> np.ndarray[Any, Any]:
    small = []
    for start in range(0, len(pixels), 64):
        values = torch.from_numpy(pixels[start : start + 64]).permute(0, 3, 1, 2)
        resized = torch.nn.functional.interpolate(
            values.float(), (side, side), mode="bilinear", antialias=True
        )
        small.append(resized.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())
    return np.concatenate(small)


def read_references(recipe: Recipe, data: Path | None) -> CellSet:
    """Read or draw some training cells of each class and source, as they are."""
    whole = read_part(recipe, data, ("train",), packed=False)
    return whole.take(some_of_each(whole.targets, whole.sources, recipe.seed))


def calibrate(
    recipe: Recipe,
    checkpoint: Checkpoint,
    data: Path | None,
    sets: dict[str, CellSet],
    aims: CalibrationTargets | None = None,
    device: str = "cpu",
) -> tuple[Calibration, NoveltyDetector]:
    """Measure what a stored checkpoint may promise, on the parts its run kept apart.

    Parameters
    ----------
    sets
        The crops of both calibration parts and of the test part, by name.
    aims
        What to promise; the recipe's own when None.
    device
        As `evaluation.device_of` gives it.
    """
    digest = split_sha256(recipe.split_path) if recipe.split else ""
    return fit_calibration(
        predictions_of(checkpoint, read_references(recipe, data), device),
        predictions_of(checkpoint, sets["calibration-a"], device),
        predictions_of(checkpoint, sets["calibration-b"], device),
        checkpoint.taxonomy,
        aims or recipe.calibration,
        {
            "recipe": recipe.name,
            "split_sha256": digest,
            "n": {p: len(s) for p, s in sets.items()},
        },
    )


def read_kept_apart(recipe: Recipe, data: Path | None) -> dict[str, CellSet]:
    """Return the crops of every part but training, by name."""
    return {p: read_part(recipe, data, (p,), packed=False) for p in list(PARTS)[1:]}


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
    taxonomy = recipe.classes_in_order
    preprocessing = Preprocessing(
        recipe.size, float(recipe.field_of_view), recipe.mean, recipe.std
    )
    digest = split_sha256(recipe.split_path) if recipe.split else ""
    sets = read_kept_apart(recipe, data)
    counts = count_cells(recipe, data, sets)
    folder, title = out / "checkpoint", f"# {recipe.title}\n"
    save_checkpoint(folder, model, taxonomy, preprocessing, DecisionPolicy(), title)
    draft = load_checkpoint(folder)
    calibration, familiarity = calibrate(recipe, draft, data, sets)
    save_calibrated(folder, draft, calibration, familiarity, title)
    calibrated = load_checkpoint(folder)
    results = evaluate_crops(calibrated, sets["test"])
    card = write_card(recipe, calibration, counts, results, digest)
    save_calibrated(folder, calibrated, calibration, familiarity, card)
    write_json(out / "metrics.json", results)
    return results


def count_cells(
    recipe: Recipe, data: Path | None, sets: dict[str, CellSet]
) -> dict[str, dict[str, int]]:
    """Return the number of cells by source and part, training included."""
    learnt: Counter[str] = Counter()
    if not recipe.synthetic and data is not None:
        learnt = Counter(file.source for file in _files(recipe, data, ("train",)))
    drawn = recipe.synthetic * len(recipe.classes_in_order)
    return {
        str(source): {
            "train": learnt[str(source)] if learnt else drawn,
            **{p: int((s.sources == source).sum()) for p, s in sets.items()},
        }
        for source in np.unique(sets["test"].sources)
    }


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
    train = read_part(recipe, data, ("train",), packed=True, cache=cache)
    watched = read_part(recipe, data, ("calibration-a",), packed=True, cache=cache)
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
