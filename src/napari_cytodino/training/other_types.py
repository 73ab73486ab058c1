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
from napari_cytodino.training.evaluation import answers_to
from napari_cytodino.training.experiment import read_part
from napari_cytodino.training.finetune_config import FinetuneRecipe
from napari_cytodino.training.finetune_parts import load_parts
from napari_cytodino.training.finetune_results import answers_of
from napari_cytodino.training.runs import recipe_of, same_split

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.core.checkpoint import Checkpoint
    from napari_cytodino.training.calibration import Aims


def calibrate_for(
    dtype: str, source: str, data: Path | None, out: Path, aims: Aims | None = None
) -> str:
    """Add to a calibrated checkpoint the thresholds for another number type.

    Measured on the same cells as those it has, which stay as they are. The training
    cells that others are compared with, and how far is far, stay those of float32.

    Parameters
    ----------
    dtype : str
        One of `OTHERS`.
    source, data, out, aims
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
    if dtype not in OTHERS:
        raise InputError(
            f"'{dtype}' is no other number type; choose one of {', '.join(OTHERS)}."
        )
    plain = load_checkpoint(source)
    known = plain.familiarity()
    if plain.calibration is None or known is None:
        raise InputError(
            f"'{plain.name}' is not calibrated in {plain.dtype}: do that first."
        )
    checkpoint = plain.at(dtype)
    part_a, part_b, own = _parts(checkpoint, data)
    facts = facts_of(plain.folder)
    calibration, _ = measure(
        known,
        part_a,
        part_b,
        checkpoint.taxonomy,
        aims or own,
        {k: v for k, v in facts.items() if k in ("recipe", "split_sha256", "n")},
        keep_limits=True,
    )
    promise = calibration.promise(calibration.risk)
    note = f"Where the plugin computes in {dtype}, thresholds are those for it: "
    card = with_decisions(plain.card, plain.calibration, f"{note}{promise}.")
    out.mkdir(parents=True, exist_ok=True)
    save_calibrated(out / "checkpoint", checkpoint, calibration, None, card)
    return decisions_block(calibration)


def _parts(checkpoint: Checkpoint, data: Path | None) -> tuple[Answers, Answers, Aims]:
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
        first = answers_of(checkpoint, parts.watched)
        return first, answers_of(checkpoint, parts.thresholds), plan.calibration
    recipe = build(Recipe, content, name)
    if recipe.split:
        same_split(checkpoint, recipe.split_path)
    first, second = (
        answers_to(checkpoint, read_part(recipe, data, (part,), packed=False))
        for part in ("calibration-a", "calibration-b")
    )
    return first, second, recipe.calibration
