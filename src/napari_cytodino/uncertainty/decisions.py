"""From probabilities to a decision with a reason a person can act on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_cytodino.common import InputError
from napari_cytodino.uncertainty._reasons import reasons
from napari_cytodino.uncertainty.predictions import as_predictions
from napari_cytodino.uncertainty.probabilities import (
    ClassProbabilities,
    class_probabilities,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty.predictions import Predictions


def accepted_cells(
    logits: NDArray[np.float32],
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    unfamiliarity: NDArray[np.float32] | None = None,
) -> NDArray[np.bool_]:
    """Return True where the policy accepts the class without review."""
    inside = np.zeros(len(logits), np.bool_)
    predictions = as_predictions(logits, unfamiliarity)
    decisions = decide(predictions, taxonomy, policy, inside)
    return np.asarray(decisions.status == "auto", np.bool_)


STATUSES = ("auto", "lineage_only", "review", "rejected")
"""Accepted; stage open but lineage sure; for an expert to decide; not usable."""

UNREACHABLE = 2.0
"""A threshold above every probability: nothing is accepted by it."""

CLOSE = 0.2
"""Probabilities nearer than this are called close in a reason."""

RULES = (
    ("not done", ""),
    ("unreadable", "rejected"),
    ("uncalibrated", "review"),
    ("foreign", "review"),
    ("unfamiliar", "review"),
    ("critical", "review"),
    ("rare", "review"),
    ("border", "review"),
    ("sure", "auto"),
    ("lineage", "lineage_only"),
    ("close", "review"),
    ("unsure", "review"),
)
"""Each rule and the status it gives, in the order in which they apply."""

_SPANS = {
    "temperature": (0.0, float("inf")),
    "min_confidence": (0.0, UNREACHABLE),
    "min_margin": (0.0, 1.0),
    "min_lineage": (0.0, UNREACHABLE),
    "max_critical": (0.0, 1.0),
    "max_unfamiliarity": (0.0, float("inf")),
    "max_foreign": (0.0, 1.0),
}


@dataclass(frozen=True)
class DecisionPolicy:
    """Thresholds that turn probabilities into a status; most are probabilities in 0..1.

    Attributes
    ----------
    temperature
        Divides the logits before softmax; fitted on calibration cells.
    min_confidence
        Least probability of the likeliest class to accept it unseen; `UNREACHABLE`
        accepts none.
    min_margin
        Least distance to the second class.
    min_lineage
        Least summed probability of a lineage to accept it though the stage is unclear.
    max_critical
        Most probability that critical classes may keep when a safe class is called.
    max_unfamiliarity
        Largest distance to the training cells, in units of that of known cells.
    max_foreign
        Largest share of unfamiliar cells among cells of the calibration's kind: where
        there are surely more, no threshold holds and all go to review.
    rare
        Codes of classes with too few calibration cells: one that is among the three
        likeliest, or possible by ``set_limits``, sends a cell to review.
    set_limits
        For a lineage: its classes are possible from 1 minus this probability on.
    guarantee
        What the thresholds promise, in words; empty when they promise nothing.
    uncalibrated
        Why no threshold holds; then every cell goes to review. Empty where one does.
    """

    temperature: float = 1.0
    min_confidence: float = 0.9
    min_margin: float = 0.2
    min_lineage: float = 0.9
    max_critical: float = 0.05
    max_unfamiliarity: float = 1.0
    max_foreign: float = 0.1
    rare: tuple[str, ...] = ()
    set_limits: Mapping[str, float] = field(default_factory=dict)
    guarantee: str = ""
    uncalibrated: str = ""

    def __post_init__(self) -> None:
        for name, (least, most) in _SPANS.items():
            value = getattr(self, name)
            # of a file of others it may be anything
            good = isinstance(value, Real) and math.isfinite(value)
            good = good and least <= value <= most
            if not good or (name == "temperature" and value == 0):
                wanted = "above 0" if most > UNREACHABLE else f"from 0 to {most:g}"
                raise InputError(f"{name} is {value}, but must be a number {wanted}.")

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> DecisionPolicy:
        """Build a policy from plain values; fields of other things are ignored."""
        names = {f.name for f in fields(DecisionPolicy)}
        own = {k: v for k, v in content.items() if k in names}
        return DecisionPolicy(**own | {"rare": tuple(own.get("rare", ()))})


@dataclass(frozen=True)
class Decisions:
    """One decision a cell.

    Attributes
    ----------
    status : (N,) object
        One of `STATUSES`; the empty string where a cell is not done.
    class_index : (N,) int64
        The likeliest class; -1 where there is none.
    lineage_index : (N,) int64
        The likeliest lineage under `lineage_only`, else the class's; -1 where none.
    confidence, margin : (N,) float32
        NaN where there is no class.
    reason : (N,) object
        Why a person should look; empty for `auto`.
    """

    status: npt.NDArray[np.object_]
    class_index: npt.NDArray[np.int64]
    lineage_index: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    margin: npt.NDArray[np.float32]
    reason: npt.NDArray[np.object_]


def decide(
    predictions: Predictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    at_border: npt.NDArray[np.bool_],
    evidence: ClassProbabilities | None = None,
) -> Decisions:
    """Decide for every cell what to do with the model's answer, by `RULES` in order.

    Parameters
    ----------
    predictions
        For N cells.
    at_border : (N,) bool
        True where the picture cuts the cell.
    evidence
        What `class_probabilities` made of the same predictions, where it is at
        hand; it depends on the temperature alone, not on thresholds.
    """
    if evidence is None:
        evidence = class_probabilities(predictions, taxonomy, policy.temperature)
    border = np.asarray(at_border, bool)
    applies = _applies(predictions, taxonomy, policy, border, evidence)
    which = applies.argmax(axis=0)
    names = [rule for rule, _ in RULES]
    status = np.array([name for _, name in RULES], object)[which]
    known = evidence.known
    of_class = taxonomy.lineage_index[evidence.best]
    by_lineage = np.where(status == "lineage_only", evidence.lineage, of_class)
    return Decisions(
        status=status,
        class_index=np.where(known, evidence.best, -1).astype(np.int64),
        lineage_index=np.where(known, by_lineage, -1).astype(np.int64),
        confidence=np.where(known, evidence.confidence, np.nan).astype(np.float32),
        margin=np.where(known, evidence.margin, np.nan).astype(np.float32),
        reason=reasons(names, which, evidence, taxonomy, policy.min_confidence),
    )


def _applies(
    predictions: Predictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    at_border: npt.NDArray[np.bool_],
    evidence: ClassProbabilities,
) -> npt.NDArray[np.bool_]:
    """Return which of `RULES` applies to which cell, (rules, N)."""
    n = len(predictions)
    confidence, margin = evidence.confidence, evidence.margin
    rare = np.zeros(n, bool)
    if policy.rare:
        asked = np.array([code in policy.rare for code in taxonomy.codes])
        rare = evidence.may_be(asked, _least(taxonomy, policy.set_limits))
    rules = {
        "not done": ~predictions.done,
        "unreadable": ~predictions.readable,
        "uncalibrated": np.full(n, bool(policy.uncalibrated)),
        "foreign": np.full(
            n,
            evidence.unfamiliar_share_bound(policy.max_unfamiliarity)
            > policy.max_foreign,
        ),
        "unfamiliar": predictions.unfamiliarity > policy.max_unfamiliarity,
        "critical": taxonomy.safe_mask[evidence.best]
        & (evidence.critical > policy.max_critical),
        "rare": rare,
        "border": at_border,
        "sure": (confidence >= policy.min_confidence) & (margin >= policy.min_margin),
        "lineage": evidence.lineage_share >= policy.min_lineage,
        "close": margin < max(policy.min_margin, CLOSE),
        "unsure": np.ones(n, bool),
    }
    return np.stack([rules[name] for name, _ in RULES])


def _least(taxonomy: Taxonomy, limits: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Return from which probability on each class is possible; 2 where unknown."""
    return np.array(
        [1 - limits.get(c.lineage, 1 - UNREACHABLE) for c in taxonomy.classes]
    )


def with_user_threshold(policy: DecisionPolicy, least: float) -> DecisionPolicy:
    """Return a policy with the user's own least confidence; 0 leaves it as it is.

    Then nothing is promised. It also overrules that a checkpoint is not calibrated;
    critical classes are then guarded by the usual limit.
    """
    if least <= 0:
        return policy
    if policy.uncalibrated:
        usual = DecisionPolicy().max_critical
        policy = replace(policy, uncalibrated="", max_critical=usual)
    return replace(policy, min_confidence=least, guarantee="")
