"""Store a calibration with the checkpoint that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cytodino.checkpoints import EXTRA_DTYPES, checkpoint_facts, save_calibrated
from napari_cytodino.common import InputError
from napari_cytodino.training.evaluation.cards import with_decisions
from napari_cytodino.uncertainty import fit_calibration

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.uncertainty import (
        Calibration,
        CalibrationTargets,
        LabelledPredictions,
    )


KEPT = ("recipe", "split_sha256", "n", "own_cells")
"""Facts of a calibration that are those of one for another type too."""


def check_types(*names: str) -> None:
    """Refuse names that are none of `EXTRA_DTYPES`.

    Raises
    ------
    InputError
        With the first of them.
    """
    for name in names:
        if name not in EXTRA_DTYPES:
            known = ", ".join(EXTRA_DTYPES)
            raise InputError(
                f"'{name}' is no other number type; choose one of {known}."
            )


def add_type(
    plain: Checkpoint,
    dtype: str,
    parts: tuple[LabelledPredictions, LabelledPredictions],
    aims: CalibrationTargets,
    folder: Path,
    note: str = "",
) -> Calibration:
    """Store a calibrated checkpoint with thresholds for another number type beside it.

    Parameters
    ----------
    plain
        With its thresholds in float32.
    dtype
        One of `EXTRA_DTYPES`.
    parts
        Its predictions in that type on calibration parts A and B.
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
    facts = checkpoint_facts(plain.folder)
    calibration, _ = fit_calibration(
        known,
        *parts,
        plain.taxonomy,
        aims,
        {k: v for k, v in facts.items() if k in KEPT},
        keep_limits=True,
    )
    promise = calibration.guarantee(calibration.risk)
    own = f"Where the plugin computes in {dtype}, thresholds are those for it: "
    text = "\n\n".join(part for part in (note, f"{own}{promise}.") if part)
    card = with_decisions(plain.card, plain.calibration, text)
    save_calibrated(folder, plain.for_dtype(dtype), calibration, None, card)
    return calibration
