"""Calibrate a stored checkpoint, on its run's own cells or on a laboratory's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.checkpoints import (
    EXTRA_DTYPES,
    checkpoint_facts,
    load_checkpoint,
    save_calibrated,
)
from napari_cytodino.common import InputError
from napari_cytodino.training.commands.origin import recipe_of, same_split
from napari_cytodino.training.data import (
    cell_set,
    data_root,
    read_cells,
    stratified_group_split,
)
from napari_cytodino.training.distillation import calibrate as calibrate_parts
from napari_cytodino.training.distillation import read_kept_apart, read_part
from napari_cytodino.training.evaluation import (
    TEST,
    add_type,
    check_types,
    decisions_block,
    device_of,
    evaluate_crops,
    figures_block,
    predictions_of,
    with_decisions,
    with_figures,
)
from napari_cytodino.training.finetuning import calibrate as calibrate_run
from napari_cytodino.training.finetuning import evaluate_predictions, load_parts
from napari_cytodino.training.recipes import FinetuneRecipe, Recipe, build
from napari_cytodino.uncertainty import (
    CalibrationTargets,
    LabelledPredictions,
    fit_calibration,
)

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.training.data import CellFile, CellSet
    from napari_cytodino.uncertainty import Calibration, NoveltyDetector


if TYPE_CHECKING:
    Measured = tuple[Calibration, NoveltyDetector]

SHARE_A = 0.4
"""Of a laboratory's own cells; the others test the thresholds."""

OWN = (
    "Calibrated on a laboratory's own cells. The figures above were measured on "
    "others, and what they say of accepted cells with other thresholds."
)
"""Said in the card of a checkpoint that a laboratory calibrated on its own cells."""


def calibrate(
    source: str,
    data: Path | None,
    out: Path,
    *,
    aims: CalibrationTargets | None = None,
    own_cells: bool = False,
    taxonomy: str = "mll21",
    seed: int = 0,
    also: tuple[str, ...] = (),
    device: str = "cpu",
) -> str:
    """Write a calibrated copy of a checkpoint, whose weights stay as they are.

    In float32, and in each other number type that it was calibrated in before: what
    was measured on other cells must not stay, and without it the plugin is slower.

    Parameters
    ----------
    source : str
        Bundled name, folder or Hub id.
    data : Path, optional
        The cells; needed unless the checkpoint was trained on drawn ones.
    out : Path
        Gets ``checkpoint``.
    aims : Aims, optional
        What to promise; those of its recipe by default.
    own_cells : bool
        The cells are another laboratory's, in any layout that training reads, and no
        part of them was trained on; otherwise those the checkpoint's run kept apart.
    taxonomy : str
        With ``own_cells``: that of the cells; classes the checkpoint does not know are
        left out.
    seed : int
        With ``own_cells``: of the deal to both parts.
    also : tuple of str
        Number types to calibrate in for the first time; of `EXTRA_DTYPES`.
    device : str
        Where to compute; one of `evaluation.DEVICES`.

    Returns
    -------
    str
        What is promised now, in Markdown.

    Raises
    ------
    CytoDinoError
        When checkpoint, cells or aims do not belong together.
    """
    check_types(*also)
    kind = device_of(device)
    checkpoint = load_checkpoint(source)
    types = [t for t in EXTRA_DTYPES if t in also or t in checkpoint.calibrated]
    out.mkdir(parents=True, exist_ok=True)
    folder = out / "checkpoint"
    if own_cells:
        parts = _own_parts(checkpoint, data, taxonomy, seed)
        texts = [
            _on_own(checkpoint, parts, data, folder, aims or CalibrationTargets(), kind)
        ]
    else:
        texts = [_on_its_run(checkpoint, data, folder, aims, kind)]
    for dtype in types:
        near = checkpoint.for_dtype(dtype)
        if own_cells:
            part_a, part_b = (predictions_of(near, cells, kind) for cells in parts)
            aimed, note = aims or CalibrationTargets(), OWN
        else:
            part_a, part_b, its = parts_of(near, data, kind)
            aimed, note = aims or its, ""
        made = add_type(
            load_checkpoint(folder), dtype, (part_a, part_b), aimed, folder, note
        )
        texts.append(f"In {dtype}:\n\n{decisions_block(made)}")
    return "\n\n".join(texts)


def _on_its_run(
    checkpoint: Checkpoint,
    data: Path | None,
    folder: Path,
    aims: CalibrationTargets | None,
    kind: str,
) -> str:
    content, name = recipe_of(checkpoint)
    if "backbone" in content:
        plan = build(FinetuneRecipe, content, name)
        return _fine_tuned(checkpoint, plan, data, folder, aims, kind)
    recipe = build(Recipe, content, name)
    return _distilled(checkpoint, recipe, data, folder, aims, kind)


def _distilled(
    checkpoint: Checkpoint,
    recipe: Recipe,
    data: Path | None,
    folder: Path,
    aims: CalibrationTargets | None,
    kind: str,
) -> str:
    if recipe.split:
        same_split(checkpoint, recipe.split_path)
    sets = read_kept_apart(recipe, data)
    measured = calibrate_parts(recipe, checkpoint, data, sets, aims, kind)
    calibrated = _stored(checkpoint, measured, folder, checkpoint.card)
    results = evaluate_crops(calibrated, sets["test"], device=kind)
    return _stored_with(calibrated, measured, folder, results)


def _fine_tuned(
    checkpoint: Checkpoint,
    recipe: FinetuneRecipe,
    data: Path | None,
    folder: Path,
    aims: CalibrationTargets | None,
    kind: str,
) -> str:
    run = checkpoint.folder.parent
    if not recipe.data.synthetic:
        same_split(checkpoint, run / "split.csv")
    parts = load_parts(recipe, data, run)
    measured = calibrate_run(
        recipe, parts, lambda cells: predictions_of(checkpoint, cells, kind), aims
    )
    if measured is None or parts.test is None:
        raise InputError(
            f"The protocol '{recipe.data.protocol}' of '{recipe.name}' kept no cells "
            "apart to calibrate on: give others with --own-cells."
        )
    calibrated = _stored(checkpoint, measured, folder, checkpoint.card)
    results = evaluate_predictions(
        calibrated, predictions_of(calibrated, parts.test, kind), TEST
    )
    return _stored_with(calibrated, measured, folder, results)


def _stored(
    checkpoint: Checkpoint, measured: Measured, folder: Path, card: str
) -> Checkpoint:
    save_calibrated(folder, checkpoint, *measured, card)
    return load_checkpoint(folder)


def _stored_with(
    calibrated: Checkpoint, measured: Measured, folder: Path, results: dict[str, Any]
) -> str:
    """Write figures and statements into the card; return both."""
    figures = figures_block(results)
    card = with_decisions(with_figures(calibrated.card, figures), measured[0])
    _stored(calibrated, measured, folder, card)
    return f"{figures}\n\n{decisions_block(measured[0])}"


def _own_parts(
    checkpoint: Checkpoint, data: Path | None, taxonomy: str, seed: int
) -> tuple[CellSet, CellSet]:
    """Return the parts A and B that a laboratory's own cells are dealt to."""
    if data is None:
        raise InputError("Own cells lie in a folder: add --data DIR.")
    files = _known_cells(checkpoint, data, taxonomy)
    field = round(checkpoint.preprocessing.field_of_view)
    first, second = (
        cell_set(own, checkpoint.taxonomy, field, folder=data_root(data))
        for own in _dealt(files, checkpoint, seed)
    )
    return first, second


def _on_own(
    checkpoint: Checkpoint,
    parts: tuple[CellSet, CellSet],
    data: Path | None,
    folder: Path,
    aims: CalibrationTargets,
    kind: str,
) -> str:
    known = checkpoint.familiarity()
    if known is None:
        raise InputError(
            f"'{checkpoint.name}' keeps no training cells to compare with: calibrate "
            "it on its run's own cells first."
        )
    part_a, part_b = (predictions_of(checkpoint, cells, kind) for cells in parts)
    facts = {
        **{
            k: v
            for k, v in checkpoint_facts(checkpoint.folder).items()
            if k == "recipe"
        },
        "own_cells": str(data),
        "n": {"calibration-a": len(parts[0]), "calibration-b": len(parts[1])},
    }
    measured = fit_calibration(known, part_a, part_b, checkpoint.taxonomy, aims, facts)
    save_calibrated(
        folder,
        checkpoint,
        *measured,
        with_decisions(checkpoint.card, measured[0], OWN),
    )
    return decisions_block(measured[0])


def _known_cells(checkpoint: Checkpoint, data: Path, taxonomy: str) -> list[CellFile]:
    from napari_cytodino.taxonomy import Taxonomy

    whole = Taxonomy.load(taxonomy)
    shared = [c for c in whole.codes if c in checkpoint.taxonomy]
    if not shared:
        raise InputError(
            f"'{checkpoint.name}' knows none of the classes of '{taxonomy}': give "
            "--taxonomy of the cells."
        )
    others = [c for c in whole.codes if c not in checkpoint.taxonomy]
    return read_cells(data, whole.subset(shared), complete=False, left_out=others)


def _dealt(
    files: list[CellFile], checkpoint: Checkpoint, seed: int
) -> tuple[list[CellFile], list[CellFile]]:
    """Deal whole patients, or single cells, to part A and part B."""
    names = sorted({file.group or file.key for file in files})
    place = {name: i for i, name in enumerate(names)}
    level = np.zeros((len(names), len(checkpoint.taxonomy)), np.int64)
    for file in files:
        level[place[file.group or file.key], checkpoint.taxonomy.index(file.code)] += 1
    shares = np.array([SHARE_A, 1 - SHARE_A])
    part = stratified_group_split([level], names, shares, seed)
    first = [f for f in files if part[place[f.group or f.key]] == 0]
    return first, [f for f in files if part[place[f.group or f.key]] == 1]


def calibrate_for(
    dtype: str,
    source: str,
    data: Path | None,
    out: Path,
    aims: CalibrationTargets | None = None,
    *,
    device: str = "cpu",
) -> str:
    """Add to a calibrated checkpoint the thresholds for another number type.

    Measured on the same cells as those it has, which stay as they are. The training
    cells that others are compared with, and how far is far, stay those of float32.

    Parameters
    ----------
    dtype : str
        One of `EXTRA_DTYPES`.
    source, data, out, aims, device
        As for `calibrating.calibrate`, without own cells.

    Returns
    -------
    str
        What is promised in this type, in Markdown.

    Raises
    ------
    CytoDinoError
        When checkpoint and cells do not belong together, or it is not calibrated yet.
    """
    check_types(dtype)
    kind = device_of(device)
    plain = load_checkpoint(source)
    if "own_cells" in checkpoint_facts(plain.folder):
        raise InputError(
            f"'{plain.name}' was calibrated on a laboratory's own cells: give these "
            "with --own-cells --data DIR, for both number types at once."
        )
    part_a, part_b, own = parts_of(plain.for_dtype(dtype), data, kind)
    out.mkdir(parents=True, exist_ok=True)
    calibration = add_type(
        plain, dtype, (part_a, part_b), aims or own, out / "checkpoint"
    )
    return decisions_block(calibration)


def parts_of(
    checkpoint: Checkpoint, data: Path | None, device: str
) -> tuple[LabelledPredictions, LabelledPredictions, CalibrationTargets]:
    """Return what it says of both calibration parts of its run, and the run's aims."""
    content, name = recipe_of(checkpoint)
    if "backbone" in content:
        plan = build(FinetuneRecipe, content, name)
        run = checkpoint.folder.parent
        if not plan.data.synthetic:
            same_split(checkpoint, run / "split.csv")
        parts = load_parts(plan, data, run)
        if parts.calibration is None:
            raise InputError(
                f"The protocol '{plan.data.protocol}' of '{plan.name}' kept no cells "
                "apart to calibrate on."
            )
        first = predictions_of(checkpoint, parts.selection, device)
        return (
            first,
            predictions_of(checkpoint, parts.calibration, device),
            plan.calibration,
        )
    recipe = build(Recipe, content, name)
    if recipe.split:
        same_split(checkpoint, recipe.split_path)
    first, second = (
        predictions_of(
            checkpoint, read_part(recipe, data, (part,), packed=False), device
        )
        for part in ("calibration-a", "calibration-b")
    )
    return first, second, recipe.calibration
