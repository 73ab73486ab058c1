"""From probabilities to a decision with a reason a person can act on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_cytodino.core.errors import InputError

if TYPE_CHECKING:
    from napari_cytodino.core.predictions import Predictions
    from napari_cytodino.core.taxonomy import Taxonomy

STATUSES = ("auto", "lineage_only", "review", "rejected")
"""Accepted; stage open but lineage sure; for an expert to decide; not usable."""


@dataclass(frozen=True)
class DecisionPolicy:
    """Thresholds that turn probabilities into a status; all are probabilities in 0..1.

    Attributes
    ----------
    temperature
        Divides the logits before softmax; fitted on calibration cells.
    min_confidence
        Least probability of the likeliest class to accept it unseen.
    min_margin
        Least distance to the second class.
    min_lineage
        Least summed probability of a lineage to accept it though the stage is unclear.
    max_critical
        Most probability that critical classes may keep when a safe class is called.
    guarantee
        What the thresholds promise, in words; empty when they promise nothing.
    """

    temperature: float = 1.0
    min_confidence: float = 0.9
    min_margin: float = 0.2
    min_lineage: float = 0.9
    max_critical: float = 0.05
    guarantee: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "guarantee":
                continue
            good = np.isfinite(value) and (
                value > 0 if field.name == "temperature" else 0 <= value <= 1
            )
            if not good:
                wanted = "above 0" if field.name == "temperature" else "from 0 to 1"
                raise InputError(
                    f"{field.name} is {value}, but must be a number {wanted}."
                )

    @staticmethod
    def from_dict(content: dict[str, Any]) -> DecisionPolicy:
        """Build a policy from ``calibration.json``, whose other fields are ignored."""
        names = {f.name for f in fields(DecisionPolicy)}
        return DecisionPolicy(**{k: v for k, v in content.items() if k in names})


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
) -> Decisions:
    """Decide for every cell what to do with the model's answer.

    The rules apply in this order: unreadable, a critical class cannot be excluded,
    cut by the border, sure, stage unclear but lineage sure, close second, low
    confidence.

    Parameters
    ----------
    predictions
        For N cells.
    at_border : (N,) bool
        True where the picture cuts the cell.
    """
    p = predictions.probabilities(policy.temperature)
    n, known = len(p), predictions.done & predictions.readable
    safe_p = np.where(known[:, None], p, 0)
    order = np.argsort(safe_p, axis=1, kind="stable")
    best, second = order[:, -1], order[:, -2]
    rows = np.arange(n)
    confidence, runner_up = safe_p[rows, best], safe_p[rows, second]
    lineage_p = _sum_by_lineage(safe_p, taxonomy)
    lineage = lineage_p.argmax(axis=1) if n else np.zeros(0, np.int64)
    critical = safe_p[:, taxonomy.critical_mask].sum(axis=1)
    sure = (confidence >= policy.min_confidence) & (
        confidence - runner_up >= policy.min_margin
    )
    doubt = taxonomy.safe_mask[best] & (critical > policy.max_critical)
    only_lineage = lineage_p[rows, lineage] >= policy.min_lineage
    close = confidence - runner_up < policy.min_margin
    rules = [
        (~predictions.done, ""),
        (~predictions.readable, "rejected"),
        (doubt, "review"),
        (np.asarray(at_border, bool), "review"),
        (sure, "auto"),
        (only_lineage, "lineage_only"),
        (close, "review"),
        (np.ones(n, bool), "review"),
    ]
    which = np.argmax(np.stack([mask for mask, _ in rules]), axis=0)
    status = np.array([name for _, name in rules], object)[which]
    class_index = np.where(known, best, -1)
    of_class = taxonomy.lineage_index[best]
    by_lineage = np.where(status == "lineage_only", lineage, of_class)
    reason = np.full(n, "", object)
    for row in np.flatnonzero((which != 0) & (which != 4)):
        ranked = safe_p[row], order[row]
        reason[row] = _reason(int(which[row]), *ranked, taxonomy, policy)
    return Decisions(
        status=status,
        class_index=class_index.astype(np.int64),
        lineage_index=np.where(known, by_lineage, -1).astype(np.int64),
        confidence=np.where(known, confidence, np.nan).astype(np.float32),
        margin=np.where(known, confidence - runner_up, np.nan).astype(np.float32),
        reason=reason,
    )


def _sum_by_lineage(
    p: npt.NDArray[np.float32], taxonomy: Taxonomy
) -> npt.NDArray[np.float32]:
    members = taxonomy.lineage_index[:, None] == np.arange(len(taxonomy.lineages))
    total: npt.NDArray[np.float32] = p @ members.astype(np.float32)
    return total


def _reason(
    rule: int,
    p: npt.NDArray[np.float32],
    order: npt.NDArray[np.intp],
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
) -> str:
    best, second = order[-1], order[-2]
    codes = taxonomy.codes
    if rule == 1:
        return "unreadable pixels"
    if rule == 2:
        critical = np.where(taxonomy.critical_mask, p, -1)
        worst = int(critical.argmax())
        total = float(p[taxonomy.critical_mask].sum())
        return f"a critical class cannot be excluded ({codes[worst]}; all {total:.0%})"
    if rule == 3:
        return "cut by the border"
    if rule == 5:
        lineage = taxonomy.lineages[int(_sum_by_lineage(p[None], taxonomy).argmax())]
        return f"stage unclear, lineage sure ({lineage.name})"
    if rule == 6:
        return f"close second ({codes[second]} {p[second]:.0%})"
    needed = f"{policy.min_confidence:.1%}"
    return f"low confidence ({codes[best]} {p[best]:.1%}, accepted from {needed})"
