"""Calibrating a checkpoint once more, for another number type to compute in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cytodino.core.calibration_file import OTHERS, facts_of
from napari_cytodino.core.checkpoint import load_checkpoint
from napari_cytodino.core.checkpoint_saving import save_calibrated
from napari_cytodino.core.errors import InputError
from napari_cytodino.training.calibration import Answers, measure
from napari_cytodino.training.card import decisions_block, with_decisions
from napari_cytodino.training.config import Recipe, build
from napari_cytodino.training.evaluation import answers_to, device_of
from napari_cytodino.training.experiment import read_part
from napari_cytodino.training.finetune_config import FinetuneRecipe
from napari_cytodino.training.finetune_parts import load_parts
from napari_cytodino.training.finetune_results import answers_of
from napari_cytodino.training.runs import recipe_of, same_split

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.core.calibration import Calibration
    from napari_cytodino.core.checkpoint import Checkpoint
    from napari_cytodino.training.calibration import Aims

KEPT = ("recipe", "split_sha256", "n", "own_cells")
"""Facts of a calibration that are those of one for another type too."""


def check_types(*names: str) -> None:
    """Refuse names that are none of `OTHERS`.

    Raises
    ------
    InputError
        With the first of them.
    """
    for name in names:
        if name not in OTHERS:
            raise InputError(
                f"'{name}' is no other number type; choose one of {', '.join(OTHERS)}."
            )


def calibrate_for(
    dtype: str,
    source: str,
    data: Path | None,
    out: Path,
    aims: Aims | None = None,
    *,
    device: str = "cpu",
) -> str:
    """Add to a calibrated checkpoint the thresholds for another number type.

    Measured on the same cells as those it has, which stay as they are. The training
    cells that others are compared with, and how far is far, stay those of float32.

    Parameters
    ----------
    dtype : str
        One of `OTHERS`.
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
    if "own_cells" in facts_of(plain.folder):
        raise InputError(
            f"'{plain.name}' was calibrated on a laboratory's own cells: give these "
            "with --own-cells --data DIR, for both number types at once."
        )
    part_a, part_b, own = parts_of(plain.at(dtype), data, kind)
    out.mkdir(parents=True, exist_ok=True)
    calibration = add_type(
        plain, dtype, (part_a, part_b), aims or own, out / "checkpoint"
    )
    return decisions_block(calibration)


def add_type(
    plain: Checkpoint,
    dtype: str,
    parts: tuple[Answers, Answers],
    aims: Aims,
    folder: Path,
    note: str = "",
) -> Calibration:
    """Store a calibrated checkpoint with thresholds for another number type beside it.

    Parameters
    ----------
    plain
        With its thresholds in float32.
    dtype
        One of `OTHERS`.
    parts
        What it says in that type of the calibration parts A and B.
    aims
        What to promise.
    folder
        Where to write, its own folder not excluded.
    note
        What else to say in the card of its decisions.

    Raises
    ------
    CytoDinoError
        When it is not calibrated in float32, or cannot be stored.
    """
    known = plain.familiarity()
    if plain.calibration is None or known is None:
        raise InputError(
            f"'{plain.name}' is not calibrated in {plain.dtype}: do that first."
        )
    facts = facts_of(plain.folder)
    calibration, _ = measure(
        known,
        *parts,
        plain.taxonomy,
        aims,
        {k: v for k, v in facts.items() if k in KEPT},
        keep_limits=True,
    )
    promise = calibration.promise(calibration.risk)
    own = f"Where the plugin computes in {dtype}, thresholds are those for it: "
    text = "\n\n".join(part for part in (note, f"{own}{promise}.") if part)
    card = with_decisions(plain.card, plain.calibration, text)
    save_calibrated(folder, plain.at(dtype), calibration, None, card)
    return calibration


def parts_of(
    checkpoint: Checkpoint, data: Path | None, device: str
) -> tuple[Answers, Answers, Aims]:
    """Return what it says of both calibration parts of its run, and the run's aims."""
    content, name = recipe_of(checkpoint)
    if "backbone" in content:
        plan = build(FinetuneRecipe, content, name)
        run = checkpoint.folder.parent
        if not plan.data.synthetic:
            same_split(checkpoint, run / "split.csv")
        parts = load_parts(plan, data, run)
        if parts.thresholds is None:
            raise InputError(
                f"The protocol '{plan.data.protocol}' of '{plan.name}' kept no cells "
                "apart to calibrate on."
            )
        first = answers_of(checkpoint, parts.watched, device)
        return first, answers_of(checkpoint, parts.thresholds, device), plan.calibration
    recipe = build(Recipe, content, name)
    if recipe.split:
        same_split(checkpoint, recipe.split_path)
    first, second = (
        answers_to(checkpoint, read_part(recipe, data, (part,), packed=False), device)
        for part in ("calibration-a", "calibration-b")
    )
    return first, second, recipe.calibration
