"""Temperature and thresholds from calibration cells: tuned, without a guarantee."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from napari_cytodino.core.decisions import DecisionPolicy, decide
from napari_cytodino.core.predictions import Predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.core.taxonomy import Taxonomy

GRID = np.round(np.arange(0.5, 0.996, 0.005), 3)
"""The confidences that are tried as thresholds."""


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Return the temperature with the least cross-entropy on calibration part A."""

    def loss(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        chosen = log_softmax(scaled, axis=1)[np.arange(len(targets)), targets]
        return float(-chosen.mean())

    found = minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
    return round(float(np.exp(found.x)), 4)


def as_predictions(logits: NDArray[np.float32]) -> Predictions:
    """Wrap logits as predictions of readable, finished cells."""
    n = len(logits)
    yes = np.ones(n, np.bool_)
    return Predictions(logits, np.zeros((n, 1), np.float16), yes, yes)


def accepted_cells(
    logits: NDArray[np.float32], taxonomy: Taxonomy, policy: DecisionPolicy
) -> NDArray[np.bool_]:
    """Return True where the policy accepts the class without review."""
    inside = np.zeros(len(logits), np.bool_)
    decisions = decide(as_predictions(logits), taxonomy, policy, inside)
    return np.asarray(decisions.status == "auto", np.bool_)


def _first_good(
    chance: NDArray[np.float64], wrong: NDArray[np.bool_], most: float
) -> float:
    """Return the lowest threshold from which on the error share stays small."""
    best = float(GRID[-1])
    for threshold in GRID[::-1]:
        taken = chance >= threshold
        if taken.any() and wrong[taken].mean() > most:
            break
        best = float(threshold)
    return best


def choose_policy(
    logits: NDArray[np.float32],
    targets: NDArray[np.int64],
    sources: NDArray[np.str_],
    taxonomy: Taxonomy,
    *,
    temperature: float,
    accepted_error: float,
) -> DecisionPolicy:
    """Choose thresholds on calibration part B.

    The thresholds of class and lineage are the strictest that any one source needs,
    so that an easy source does not hide a hard one.

    Parameters
    ----------
    logits, targets, sources
        Of the cells of part B.
    taxonomy : Taxonomy
        Gives lineages and critical classes.
    temperature : float
        From part A.
    accepted_error : float
        Largest share of errors among accepted cells.
    """
    chance = softmax(logits.astype(np.float64) / temperature, axis=1)
    members = taxonomy.lineage_index[:, None] == np.arange(len(taxonomy.lineages))
    by_lineage = chance @ members
    wrong = chance.argmax(axis=1) != targets
    wrong_lineage = by_lineage.argmax(axis=1) != taxonomy.lineage_index[targets]
    confidence, lineage = GRID[0], GRID[0]
    for source in np.unique(sources):
        own = sources == source
        needed = _first_good(chance.max(axis=1)[own], wrong[own], accepted_error)
        confidence = max(confidence, needed)
        needed = _first_good(
            by_lineage.max(axis=1)[own], wrong_lineage[own], accepted_error
        )
        lineage = max(lineage, needed)
    return replace(
        DecisionPolicy(),
        temperature=temperature,
        min_confidence=float(confidence),
        min_lineage=float(lineage),
    )
