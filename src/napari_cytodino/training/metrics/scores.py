"""All figures of a classifier's predictions on test cells, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import InputError
from napari_cytodino.stats import counted_share, kappa, named_interval, wilson
from napari_cytodino.taxonomy import neighbours
from napari_cytodino.training.metrics._guarantees import (
    guarantee_figures,
    guaranteed_row,
)
from napari_cytodino.training.metrics._novelty import unfamiliar_figures
from napari_cytodino.training.metrics._prediction_sets import (
    possible_classes,
    set_figures,
)
from napari_cytodino.training.metrics.acceptance import doubt_rows, review_reasons
from napari_cytodino.training.metrics.confidence import (
    calibration_figures,
    classwise_errors,
    probabilities,
    risk_coverage,
    selective_figures,
)
from napari_cytodino.training.metrics.confusion_table import (
    LEAST_SUPPORT,
    balanced_accuracy,
    class_rows,
    confusion,
    f1_scores,
    intervals,
    macro_f1,
    macro_f1_of,
    row_shares,
    weighted_f1,
)
from napari_cytodino.training.metrics.lineages import rates, stage_kappas
from napari_cytodino.uncertainty import (
    LabelledPredictions,
    as_predictions,
    class_probabilities,
    decisions_of,
    sources_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty import Calibration, DecisionPolicy, OodCells


TABLE_SCORES: dict[str, tuple[str, str, Callable[[NDArray[np.int64]], float]]] = {
    "weighted_f1": ("Weighted F1", "F1 of each class by its test images", weighted_f1),
    "macro_f1": (
        "Macro F1, all classes",
        "mean F1 of every class of the taxonomy; a class without test images counts 0",
        macro_f1_of,
    ),
    "macro_f1_present": (
        "Macro F1, classes present",
        "mean F1 of the classes with a test image",
        macro_f1,
    ),
    "macro_f1_supported": (
        f"Macro F1, classes with at least {LEAST_SUPPORT}",
        f"mean F1 of the classes with at least {LEAST_SUPPORT} test images",
        lambda table: macro_f1_of(table, LEAST_SUPPORT),
    ),
    "balanced_accuracy": (
        "Balanced accuracy",
        "mean recall of the classes with a test image",
        balanced_accuracy,
    ),
    "kappa": (
        "Cohen's kappa",
        "agreement with the expert beyond chance",
        lambda table: kappa(table).number,
    ),
}
"""Title, meaning and function of each score of a confusion table."""


def _plain(value: float) -> float | None:
    """Return six digits; None for what is not defined, which JSON has no number for."""
    return round(float(value), 6) if np.isfinite(value) else None


def summary(
    cells: LabelledPredictions, taxonomy: Taxonomy, *, seed: int = 0
) -> list[dict[str, Any]]:
    """Return the scores with 95 % intervals, one row each.

    Shares of cells have Wilson's interval, and with groups the wider of it and the
    cluster bootstrap's; the others that of the bootstrap.
    """
    size, shares = len(taxonomy), rates(taxonomy)

    def scores(table: NDArray[np.int64]) -> NDArray[np.float64]:
        values = [function(table) for _, _, function in TABLE_SCORES.values()]
        return np.array([*values, *(rate.share(table) for rate in shares)])

    groups = cells.units
    found = intervals(
        scores, cells.targets, cells.guesses, size, groups=groups, seed=seed
    )
    rows = [
        {
            "key": key,
            "title": title,
            "value": _plain(value),
            "low": _plain(low),
            "high": _plain(high),
            "n": len(cells),
            "definition": definition,
        }
        for (key, (title, definition, _)), (value, low, high) in zip(
            TABLE_SCORES.items(), found, strict=False
        )
    ]
    table = confusion(cells.targets, cells.guesses, size)
    for rate, (_, *drawn) in zip(shares, found[len(rows) :], strict=True):
        part, whole = rate.count(table)
        share = counted_share(part, whole, wilson)
        if whole and groups is not None and np.isfinite(drawn).all():
            share["low"] = min(share["low"], _plain(drawn[0]))
            share["high"] = max(share["high"], _plain(drawn[1]))
        rows.append(
            {
                "key": rate.key,
                "title": rate.title,
                **share,
                "definition": rate.definition,
            }
        )
    return rows


def by_class(
    cells: LabelledPredictions, taxonomy: Taxonomy, *, seed: int = 0
) -> list[dict[str, Any]]:
    """Return precision, recall, F1 and dangerous errors of every class.

    Intervals of precision and recall are Wilson's, of F1 the bootstrap's.
    """
    size = len(taxonomy)
    table = confusion(cells.targets, cells.guesses, size)
    groups = cells.units
    f1 = intervals(
        f1_scores, cells.targets, cells.guesses, size, groups=groups, seed=seed
    )
    near = neighbours(taxonomy) | np.eye(size, dtype=np.bool_)
    dangers = [r for r in rates(taxonomy) if r.key.endswith("_rate")]
    rows: list[dict[str, Any]] = []
    classes = zip(taxonomy.classes, class_rows(table, taxonomy.codes), strict=True)
    for i, (cell, own) in enumerate(classes):
        kind = {"name": cell.name, "lineage": cell.lineage, "risk": cell.risk}
        row = {"code": cell.code, **kind, **own}
        row["f1_low"], row["f1_high"] = _plain(f1[i, 1]), _plain(f1[i, 2])
        row |= _wilson("tolerant_recall", int(table[i, near[i]].sum()), row["n"])
        for danger in dangers:
            if danger.rows[i]:
                wrong = int(table[i, danger.entries[i]].sum())
                row |= _wilson(danger.key, wrong, row["n"])
        rows.append(row)
    return rows


def _wilson(key: str, part: int, whole: int) -> dict[str, Any]:
    return named_interval(key, counted_share(part, whole, wilson))


def all_scores(
    cells: LabelledPredictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    *,
    calibration: Calibration | None = None,
    ood_cells: Mapping[str, OodCells] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return every figure of a test as plain values, ready for JSON.

    Parameters
    ----------
    cells : LabelledPredictions
        The predictions.
    taxonomy : Taxonomy
        In the order of the logits.
    policy : DecisionPolicy
        Its temperature makes the probabilities, its thresholds accept or not.
    calibration : Calibration, optional
        The checkpoint's; without one nothing is guaranteed.
    ood_cells : mapping, optional
        Predictions on cells out of distribution, by name.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        When the logits are not finite, or not those of this taxonomy.
    """
    if cells.logits.shape[1] != len(taxonomy):
        raise InputError(
            f"{cells.logits.shape[1]} logits do not fit the {len(taxonomy)} classes of "
            f"taxonomy '{taxonomy.name}'; use the checkpoint's own."
        )
    chance = probabilities(cells.logits, policy.temperature)
    table = confusion(cells.targets, cells.guesses, len(taxonomy))
    by_source = {
        str(source): summary(cells.take(cells.sources == source), taxonomy, seed=seed)
        for source in np.unique(cells.sources)
    }
    support = table.sum(axis=1)
    per_class = by_class(cells, taxonomy, seed=seed)
    errors = classwise_errors(chance, cells.targets)
    for row, error in zip(per_class, errors, strict=True):
        row["calibration_error"] = _plain(error)
    return {
        "n": len(cells),
        "classes": len(taxonomy),
        "classes_present": int((support > 0).sum()),
        "classes_supported": int((support >= LEAST_SUPPORT).sum()),
        "groups": None if cells.groups is None else len(np.unique(cells.groups)),
        "summary": summary(cells, taxonomy, seed=seed),
        "by_source": by_source,
        "per_class": per_class,
        "stage_kappas": {
            name: {"kappa": _plain(value), "n": n}
            for name, (value, n) in stage_kappas(table, taxonomy).items()
        },
        "confusion": {
            "codes": list(taxonomy.codes),
            "counts": table.tolist(),
            "rows": row_shares(table).round(6).tolist(),
        },
        **_trust(cells, taxonomy, policy, calibration, chance),
        "unfamiliar": unfamiliar_figures(
            cells.unfamiliarity, ood_cells or {}, taxonomy, policy
        ),
    }


def _trust(
    cells: LabelledPredictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    calibration: Calibration | None,
    chance: NDArray[np.float64],
) -> dict[str, Any]:
    """Return the figures of confidence, of acceptance, and of promises."""
    right = cells.guesses == cells.targets
    status = decisions_of(cells, taxonomy, policy).status
    taken = status == "auto"
    accepted, wrong = int(taken.sum()), int((taken & ~right).sum())
    guarantee = guarantee_figures(cells, taxonomy, calibration) if calibration else None
    why = policy.uncalibrated or "no threshold of this checkpoint is calibrated"
    doubt = {}
    for source, own in sources_of(cells):
        rows = doubt_rows(cells.take(own), taxonomy, policy, status[own])
        rows.append(guaranteed_row(guarantee, int(own.sum()), why, source))
        doubt[source] = rows
    sets = None
    if policy.set_limits:
        # as the plugin has them: in single precision
        p = class_probabilities(
            as_predictions(cells.logits), taxonomy, policy.temperature
        ).p
        possible = possible_classes(p, taxonomy, policy.set_limits)
        level = calibration.set_level if calibration else None
        sets = set_figures(cells, taxonomy, possible, level)
    return {
        "calibration": {
            "temperature": policy.temperature,
            **calibration_figures(chance, cells.targets),
        },
        "selective": selective_figures(risk_coverage(chance.max(axis=1), right)),
        "policy": {
            "accepted": accepted,
            **named_interval("coverage", counted_share(accepted, len(cells))),
            "wrong": wrong,
            **named_interval("risk", counted_share(wrong, accepted)),
            "says": policy.uncalibrated or policy.guarantee,
        },
        "doubt": doubt,
        "guarantee": guarantee,
        "sets": sets,
        "reasons": review_reasons(cells, taxonomy, policy),
    }
