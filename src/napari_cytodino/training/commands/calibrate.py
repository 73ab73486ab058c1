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
from napari_cytodino.taxonomy import Taxonomy
from napari_cytodino.training.commands.origin import run_of
from napari_cytodino.training.data import (
    cell_set,
    data_root,
    read_cells,
    stratified_group_split,
)
from napari_cytodino.training.evaluation import (
    Run,
    add_type,
    check_types,
    decisions_block,
    device_of,
    figures_block,
    figures_with,
    with_decisions,
    with_figures,
)
from napari_cytodino.uncertainty import CalibrationTargets

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.training.data import CellFile


SHARE_A = 0.4
"""Of a laboratory's own cells; the others test the thresholds."""

BATCH = 32
"""Of a laboratory's own cells at once; another number changes last bits."""

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
    aims : CalibrationTargets, optional
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
        run, note = _own_run(checkpoint, data, taxonomy, seed), OWN
    else:
        run, note = run_of(checkpoint, data), ""
    calibration, familiarity = run.calibrate(checkpoint, kind, aims)
    card, texts = checkpoint.card, []
    if not own_cells:
        judged = run.judge(checkpoint, kind)
        results = figures_with(checkpoint, judged, calibration, familiarity)
        texts.append(figures_block(results))
        card = with_figures(card, texts[0])
    card = with_decisions(card, calibration, note)
    save_calibrated(folder, checkpoint, calibration, familiarity, card)
    texts.append(decisions_block(calibration))
    for dtype in types:
        parts = run.calibration_parts(checkpoint.for_dtype(dtype), kind)
        made = add_type(
            load_checkpoint(folder), dtype, parts, aims or run.aims, folder, note
        )
        texts.append(f"In {dtype}:\n\n{decisions_block(made)}")
    return "\n\n".join(texts)


def _own_run(
    checkpoint: Checkpoint, data: Path | None, taxonomy: str, seed: int
) -> Run:
    """Return a laboratory's own cells, dealt to parts A and B, as if they were a run's.

    They are compared with the training cells that the checkpoint keeps.
    """
    if data is None:
        raise InputError("Own cells lie in a folder: add --data DIR.")
    field, root = round(checkpoint.preprocessing.field_of_view), data_root(data)
    names = ("calibration-a", "calibration-b")
    dealt = _dealt(_known_cells(checkpoint, data, taxonomy), checkpoint, seed)
    cells = {
        name: cell_set(own, checkpoint.taxonomy, field, folder=root)
        for name, own in zip(names, dealt, strict=True)
    }
    return Run(
        str(checkpoint_facts(checkpoint.folder).get("recipe", "")),
        checkpoint.taxonomy,
        CalibrationTargets(),
        {"own_cells": str(data)},
        names,
        cells.__getitem__,
        batch=BATCH,
    )


def _known_cells(checkpoint: Checkpoint, data: Path, taxonomy: str) -> list[CellFile]:
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
        As for `calibrate`, without own cells.

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
    run = run_of(plain, data)
    parts = run.calibration_parts(plain.for_dtype(dtype), kind)
    out.mkdir(parents=True, exist_ok=True)
    made = add_type(plain, dtype, parts, aims or run.aims, out / "checkpoint")
    return decisions_block(made)
