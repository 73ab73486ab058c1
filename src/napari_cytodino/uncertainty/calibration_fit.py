"""Temperature, thresholds and limits of familiarity, measured on calibration cells."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from napari_cytodino.common import versions
from napari_cytodino.stats import (
    SelectionCurve,
    curve_of,
    design_effect,
    select_threshold,
    upper_bound,
)
from napari_cytodino.uncertainty.calibration import (
    SOME_PATIENTS,
    TESTS,
    Calibration,
    CalibrationTargets,
    MissedCritical,
)
from napari_cytodino.uncertainty.decisions import DecisionPolicy, decide
from napari_cytodino.uncertainty.novelty import (
    NoveltyDetector,
    fit_novelty_detector,
    with_limits,
)
from napari_cytodino.uncertainty.predictions import as_predictions
from napari_cytodino.uncertainty.probabilities import class_probabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty.labelled import LabelledPredictions
    from napari_cytodino.uncertainty.probabilities import ClassProbabilities


__all__ = ["fit_calibration", "fit_temperature", "select_threshold"]

CHECKS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Probabilities of a critical class that are tried as the most a safe call may keep."""

METHOD = (
    "temperature, familiarity, the critical check, rare classes and sets from "
    "calibration-a; thresholds by learn-then-test with fixed-sequence testing on "
    "calibration-b"
)
"""What `measure` does, in words."""


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Return the temperature with the least cross-entropy on calibration part A."""

    def loss(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        chosen = log_softmax(scaled, axis=1)[np.arange(len(targets)), targets]
        return float(-chosen.mean())

    found = minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
    return round(float(np.exp(found.x)), 4)


def fit_calibration(
    training: LabelledPredictions | NoveltyDetector,
    part_a: LabelledPredictions,
    part_b: LabelledPredictions,
    taxonomy: Taxonomy,
    aims: CalibrationTargets | None = None,
    facts: Mapping[str, Any] | None = None,
    *,
    keep_limits: bool = False,
) -> tuple[Calibration, NoveltyDetector]:
    """Return what a model may promise, and the training cells to compare with.

    Part A gives the temperature, the limits of familiarity, the check for critical
    cells, the sets of possible classes and which classes are too rare: all that decides
    which cells reach a threshold. Part B, which nothing was chosen on, tests thresholds
    and missed critical cells, and counts how often the sets hold the true class.

    Parameters
    ----------
    training
        Some of the training cells, or what is known of them already.
    part_a, part_b
        Disjoint cells that the model was not fitted to.
    taxonomy
        Gives lineages and critical classes.
    aims
        What to promise; where part B cannot carry the risk asked for, the smallest it
        can carry becomes that of the calibration.
    facts
        What else ``calibration.json`` should tell.
    keep_limits
        Take what is known of the training cells with its limits, not with new ones.
    """
    aims = aims or CalibrationTargets()
    familiarity = _familiarity(training, part_a, aims, keep_limits)
    policy = _proposed(part_a, taxonomy, aims)
    evidence = _weighed(part_b, taxonomy, policy.temperature, familiarity)
    targets, patients = part_b.targets, part_b.groups
    counts = np.bincount(targets, minlength=len(taxonomy))
    curve, lineage_curve = _curves(part_b, taxonomy, policy, evidence)
    sources = sorted(Counter(part_b.sources).items())
    own = {"sets": _set_coverage(evidence, targets, taxonomy, policy.set_limits)}
    calibration = Calibration(
        temperature=policy.temperature,
        risk=aims.risk,
        delta=aims.delta,
        classes=taxonomy.codes,
        counts=dict(zip(taxonomy.codes, map(int, counts), strict=True)),
        curve=curve,
        lineage_curve=lineage_curve,
        missed=_missed(evidence, part_b, taxonomy, policy.max_critical, aims),
        max_critical=policy.max_critical,
        rare=policy.rare,
        set_level=aims.set_level,
        set_limits=policy.set_limits,
        familiar=aims.familiar,
        patients=None if patients is None else len(np.unique(patients)),
        data=", ".join(f"{name} {n}" for name, n in sources),
        date=datetime.now(UTC).date().isoformat(),
        made_for={},
        facts={"method": METHOD, "versions": versions(), **own, **(facts or {})},
    )
    return _attainable(calibration), familiarity


def _proposed(
    part_a: LabelledPredictions, taxonomy: Taxonomy, aims: CalibrationTargets
) -> DecisionPolicy:
    """Return all that decides which cells reach a threshold, from part A alone.

    Had part B a say in it, it would choose the cells its own errors are counted on.
    """
    targets = part_a.targets
    temperature = fit_temperature(part_a.logits, targets)
    evidence = _weighed(part_a, taxonomy, temperature)
    counts = np.bincount(targets, minlength=len(taxonomy))
    fewest = round(1 / (1 - aims.set_level)) - 1
    return DecisionPolicy(
        temperature,
        max_critical=_critical_check(evidence, targets, taxonomy, aims),
        rare=tuple(
            code for code, n in zip(taxonomy.codes, counts, strict=True) if n < fewest
        ),
        set_limits=_set_limits(evidence, targets, taxonomy, aims.set_level),
    )


def _curves(
    part_b: LabelledPredictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    evidence: ClassProbabilities,
) -> tuple[SelectionCurve, SelectionCurve]:
    """Return errors of class and of lineage among cells no earlier rule stops."""
    passed = _passed(part_b, taxonomy, policy, evidence)
    targets, patients = part_b.targets, part_b.groups
    confidence = np.where(passed, evidence.confidence, np.nan)
    lineage = np.where(passed, evidence.lineage_share, np.nan)
    wrong = evidence.best != targets
    wrong_line = evidence.lineage != taxonomy.lineage_index[targets]
    return (
        curve_of(confidence, wrong, patients=patients),
        curve_of(lineage, wrong_line, patients=patients),
    )


def _familiarity(
    training: LabelledPredictions | NoveltyDetector,
    part_a: LabelledPredictions,
    aims: CalibrationTargets,
    keep_limits: bool,
) -> NoveltyDetector:
    if isinstance(training, NoveltyDetector):
        if keep_limits:
            return training
        return with_limits(training, part_a.embedded, aims.familiar)
    return fit_novelty_detector(
        training.embedded,
        training.targets,
        part_a.embedded,
        quantile=aims.familiar,
    )


def _attainable(calibration: Calibration) -> Calibration:
    """Lower the accuracy aimed at to the highest that can be promised, if any can."""
    if (
        calibration.row_by_risk[calibration.risk] is None
        and calibration.strictest is not None
    ):
        return replace(calibration, risk=calibration.strictest)
    return calibration


def _weighed(
    answers: LabelledPredictions,
    taxonomy: Taxonomy,
    temperature: float,
    familiarity: NoveltyDetector | None = None,
) -> ClassProbabilities:
    unlike = answers.compared_with(familiarity).unfamiliarity
    return class_probabilities(
        as_predictions(answers.logits, unlike), taxonomy, temperature
    )


def _passed(
    answers: LabelledPredictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    evidence: ClassProbabilities,
) -> NDArray[np.bool_]:
    """Return which cells no rule stops that comes before the thresholds."""
    open_ended = replace(policy, min_confidence=0.0, min_margin=0.0)
    predictions = as_predictions(answers.logits, evidence.unfamiliarity)
    inside = np.zeros(len(answers.targets), np.bool_)
    made = decide(predictions, taxonomy, open_ended, inside, evidence)
    return np.asarray(made.status == "auto", np.bool_)


def _called_harmless(
    evidence: ClassProbabilities,
    targets: NDArray[np.int64],
    taxonomy: Taxonomy,
    check: float,
) -> NDArray[np.bool_]:
    """Return, of the critical cells alone, which the check lets be called harmless."""
    critical = taxonomy.critical_mask[targets]
    safe = taxonomy.safe_mask[evidence.best] & (evidence.critical <= check)
    return np.asarray(safe[critical], np.bool_)


def _critical_check(
    evidence: ClassProbabilities,
    targets: NDArray[np.int64],
    taxonomy: Taxonomy,
    aims: CalibrationTargets,
) -> float:
    """Return the laxest of `CHECKS` that misses few enough critical cells of part A."""
    if not taxonomy.critical_mask[targets].any():
        return CHECKS[0]  # nothing is known of critical cells: let none pass
    good = [
        check
        for check in CHECKS
        for missed in [_called_harmless(evidence, targets, taxonomy, check)]
        if missed.sum() <= aims.critical_risk * len(missed)
    ]
    return max(good, default=CHECKS[0])


def _missed(
    evidence: ClassProbabilities,
    part_b: LabelledPredictions,
    taxonomy: Taxonomy,
    check: float,
    aims: CalibrationTargets,
) -> MissedCritical | None:
    """Count critical cells of part B called harmless, and bound their share.

    Where cells name their patients, cells of one patient are not taken as independent;
    too few patients with critical cells bound nothing.
    """
    targets, patients = part_b.targets, part_b.groups
    missed = _called_harmless(evidence, targets, taxonomy, check)
    if not taxonomy.critical_mask.any() or not taxonomy.safe_mask.any():
        return None
    wrong, cells, effect = int(missed.sum()), len(missed), 1.0
    if patients is not None:
        critical = taxonomy.critical_mask[targets]
        if len(np.unique(patients[critical])) < SOME_PATIENTS:
            return MissedCritical(cells, wrong, aims.critical_risk, 1.0)
        effect = (
            design_effect(missed, patients[critical], np.ones_like(missed))
            if wrong
            # none was missed: other errors show how alike a patient's cells are
            else design_effect(evidence.best != targets, patients, critical)
        )
    bound = float(upper_bound(wrong / effect, cells / effect, aims.delta / TESTS))
    return MissedCritical(cells, wrong, aims.critical_risk, bound)


def _set_limits(
    evidence: ClassProbabilities,
    targets: NDArray[np.int64],
    taxonomy: Taxonomy,
    level: float,
) -> dict[str, float]:
    """Return, for each lineage, how improbable its true classes may be.

    Conformal quantile of 1 minus the probability of the true class (Sadinle et al.
    2019, arXiv 1609.00451), by lineage of the truth; that of all cells where a lineage
    has too few. The temperature was fitted on the same cells, which is one number: what
    that costs, the count of `_set_coverage` on part B shows.
    """
    score = 1 - evidence.p[np.arange(len(targets)), targets].astype(np.float64)
    lineage = taxonomy.lineage_index[targets]
    return {
        group.name: _conformal(
            score[lineage == i], level, default=_conformal(score, level, default=1.0)
        )
        for i, group in enumerate(taxonomy.lineages)
    }


def _set_coverage(
    evidence: ClassProbabilities,
    targets: NDArray[np.int64],
    taxonomy: Taxonomy,
    limits: Mapping[str, float],
) -> dict[str, int]:
    """Return how many sets of possible classes hold the true one, of how many cells."""
    least = np.array([1 - limits[group.name] for group in taxonomy.lineages])
    own = evidence.p[np.arange(len(targets)), targets]
    covered = own >= least[taxonomy.lineage_index[targets]]
    return {"cells": len(targets), "held": int(covered.sum())}


def _conformal(scores: NDArray[np.float64], level: float, *, default: float) -> float:
    place = int(np.ceil((len(scores) + 1) * level))
    return float(np.sort(scores)[place - 1]) if 0 < place <= len(scores) else default
