"""What a calibration promises, and what came of it on test cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.stats import named_interval, share_of
from napari_cytodino.training.metrics.acceptance import USUAL_ERROR
from napari_cytodino.uncertainty import (
    ERROR_RATES,
    UNREACHABLE,
    as_predictions,
    class_probabilities,
    decisions_of,
    sources_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty import (
        Calibration,
        ClassProbabilities,
        LabelledPredictions,
    )


GUARANTEED = (
    "the threshold that the calibration cells gave for this accuracy, applied to the "
    "test cells: how many it accepts, and how many of these are not called by their "
    "class, with the exact interval (Clopper & Pearson 1934, 95 %); a promise is of "
    "all accepted cells together, not of each data set"
)
"""What the rows of `guarantee_figures` are, in words."""


def guarantee_figures(
    cells: LabelledPredictions, taxonomy: Taxonomy, calibration: Calibration
) -> dict[str, Any]:
    """Apply the threshold of every risk to the test cells.

    Returns
    -------
    dict
        ``rows``, one for each of `RISKS` and each of "all" and the data sets:
        ``promised`` and in which words (``statement``), ``threshold`` (None where
        nothing is accepted), ``n`` cells, ``accepted`` and ``wrong`` with shares and
        intervals (``coverage``, ``error``), the same of lineages, and ``contradicted``
        where the error is above the promise beyond chance. Then what the calibration
        says of itself, and of critical cells called safe.
    """
    evidence = class_probabilities(
        as_predictions(cells.logits, cells.unfamiliarity),
        taxonomy,
        calibration.temperature,
    )
    rows = [
        row
        for risk in ERROR_RATES
        for row in _rows_of(risk, cells, taxonomy, calibration, evidence)
    ]
    missed = calibration.missed
    return {
        "definition": GUARANTEED,
        "says": calibration.guarantee(calibration.risk),
        "risk": calibration.risk,
        "delta": calibration.delta,
        "strictest": calibration.strictest,
        "calibration_cells": calibration.curve.cells,
        "patients": calibration.patients,
        "data": calibration.data,
        "date": calibration.date,
        "critical": None
        if missed is None
        else {
            "promised": missed.bound <= missed.risk,
            "risk": missed.risk,
            "bound": round(missed.bound, 6),
            "k": missed.missed,
            "n": missed.cells,
        },
        "rows": rows,
    }


def _rows_of(
    risk: float,
    cells: LabelledPredictions,
    taxonomy: Taxonomy,
    calibration: Calibration,
    evidence: ClassProbabilities,
) -> Iterator[dict[str, Any]]:
    policy = calibration.policy(risk)
    promised = calibration.row_by_risk[risk] is not None
    status = decisions_of(cells, taxonomy, policy, evidence).status
    taken = status == "auto"
    sure = np.isin(status, ("auto", "lineage_only"))
    sure &= evidence.lineage_share >= policy.min_lineage
    wrong = cells.guesses != cells.targets
    astray = evidence.lineage != taxonomy.lineage_index[cells.targets]
    for source, own in sources_of(cells):
        coverage, error = (
            share_of(part, whole & own, cells.units)
            for part, whole in ((taken, np.ones_like(own)), (wrong, taken))
        )
        by_lineage, lineage_error = (
            share_of(part, whole & own, cells.units)
            for part, whole in ((sure, np.ones_like(own)), (astray, sure))
        )
        beyond = error["low"] is not None and error["low"] > risk
        yield {
            "source": source,
            "risk": risk,
            "accuracy": round(1 - risk, 6),
            "promised": promised,
            "statement": calibration.guarantee(risk),
            "threshold": policy.min_confidence if promised else None,
            "n": coverage["n"],
            "accepted": coverage["k"],
            **named_interval("coverage", coverage),
            "wrong": error["k"],
            **named_interval("error", error),
            "contradicted": promised and source == "all" and beyond,
            "lineage_threshold": _reachable(policy.min_lineage),
            "lineage_accepted": by_lineage["k"],
            **named_interval("lineage_coverage", by_lineage),
            "lineage_wrong": lineage_error["k"],
            **named_interval("lineage_error", lineage_error),
        }


def _reachable(threshold: float) -> float | None:
    return threshold if threshold < UNREACHABLE else None


def guaranteed_row(
    guarantee: Mapping[str, Any] | None, n: int, why: str, source: str = "all"
) -> dict[str, Any]:
    """Return the coverage at 99.5 % that is guaranteed, as a row beside the naive one.

    Parameters
    ----------
    guarantee
        From `guarantee_figures`; None where there is no calibration.
    n
        Cells of the source.
    why
        The reason where there is none.
    source
        "all", or a data set.
    """
    rows = guarantee["rows"] if guarantee else []
    row = {
        "key": "guaranteed_coverage",
        "title": f"Coverage at {1 - USUAL_ERROR:.1%}, guaranteed",
        "value": None,
        "low": None,
        "high": None,
        "n": n,
        "definition": why,
    }
    for one in rows:
        if one["risk"] == USUAL_ERROR and one["source"] == source:
            row["definition"] = one["statement"]
            if one["promised"]:
                row["value"], row["k"] = one["coverage"], one["accepted"]
                row["low"], row["high"] = one["coverage_low"], one["coverage_high"]
    return row
