"""Judging a checkpoint on the cells its run kept apart: figures, card and report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.checkpoints import load_checkpoint
from napari_cytodino.common import write_json
from napari_cytodino.training.commands.origin import SPLIT, run_of
from napari_cytodino.training.evaluation import (
    WHAT,
    About,
    device_of,
    figures_block,
    figures_of,
    figures_with,
    made_ood_crops,
    ood_fields,
    pixel_answers,
    unfamiliarity_of,
    write_report,
)
from napari_cytodino.uncertainty import OodCells

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.training.data import CellSet


BATCH = 64
"""Crops at once."""


def evaluate_checkpoint(
    source: str,
    data: Path | None,
    out: Path,
    split: Path | None = None,
    *,
    device: str = "cpu",
) -> str:
    """Judge the stored weights of a checkpoint, and write what was found.

    Parameters
    ----------
    source : str
        Bundled name, folder or Hub id.
    data : Path, optional
        The cells; needed unless the checkpoint was trained on drawn ones.
    out : Path
        Gets ``report.html`` and its parts, ``metrics.json`` and ``figures.md``.
    split : Path, optional
        The saved split of a fine-tuned checkpoint; found beside its folder if absent.
    device : str
        One of `evaluation.DEVICES`.

    Returns
    -------
    str
        The figures, and whether the model card says the same.

    Raises
    ------
    CytoDinoError
        When checkpoint, cells or split do not belong together.
    """
    kind = device_of(device)
    checkpoint = load_checkpoint(source)
    out.mkdir(parents=True, exist_ok=True)
    run = run_of(checkpoint, data, split or checkpoint.folder.parent / SPLIT)
    judged = run.judge(checkpoint, kind)
    results = figures_with(checkpoint, judged)
    cells = run.read(run.parts[-1])
    groups = _groups(cells)
    about = About(
        f"{checkpoint.name} on its {run.protocol} part",
        checkpoint.name,
        checkpoint.sha256,
        f"{run.protocol} part, split by {_level(groups)}",
        run.split_sha256,
        str(data or "drawn in code"),
        ("SYNTHETIC cells",) if checkpoint.synthetic else (),
    )
    write_report(
        out,
        replace(next(iter(judged.values())), groups=groups),
        checkpoint.taxonomy,
        checkpoint.policy,
        about,
        views=run.sheet and run.sheet(cells.files[0]),
        calibration=checkpoint.calibration,
        ood_cells=_ood_cells(checkpoint, cells, data, kind),
    )
    block = figures_block(results)
    write_json(out / "metrics.json", results)
    (out / "figures.md").write_text(block + "\n", encoding="utf-8")
    same = "the same" if block == figures_of(checkpoint.card) else "something else"
    return f"{block}\n\nThe model card says {same}."


def _ood_cells(
    checkpoint: Checkpoint, crops: CellSet, data: Path | None, device: str
) -> dict[str, OodCells]:
    """Return predictions on cells out of distribution, none without training cells."""
    if checkpoint.familiarity() is None:
        return {}
    field = checkpoint.preprocessing.field_of_view
    kinds = made_ood_crops(crops)
    if data is not None:
        kinds |= ood_fields(data, field)
    found = {}
    for name, pixels in kinds.items():
        starts = range(0, len(pixels), BATCH)
        batches = (pixels[i : i + BATCH] for i in starts)
        logits, embeddings = pixel_answers(checkpoint, batches, device)
        unlike = unfamiliarity_of(checkpoint, embeddings)
        if unlike is not None:
            found[name] = OodCells(unlike, logits, what=WHAT[name])
    return found


def _groups(cells: CellSet) -> NDArray[np.str_] | None:
    """Return slide or patient of each cell, itself where unknown; None if drawn."""
    if cells.folder is None:
        return None
    return np.array([file.group or file.key for file in cells.files], np.str_)


def _level(groups: NDArray[np.str_] | None) -> str:
    known = groups is not None and len(set(groups)) < len(groups)
    return "groups of slides" if known else "single images"
