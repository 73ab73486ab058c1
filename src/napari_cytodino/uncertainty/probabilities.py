"""What the probabilities of cells amount to, before any threshold is applied."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.stats import lower_bound

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty.predictions import Predictions


FOREIGN_DELTA = 0.001
"""Chance of calling cells of the calibration's kind out of distribution."""

TOP = 3
"""Among so many likeliest classes a rare one is looked for."""


@dataclass(frozen=True)
class ClassProbabilities:
    """Values of N cells that depend on the temperature, not on thresholds.

    Attributes
    ----------
    p : (N, C) float32
        Probabilities; 0 where there is no answer.
    known : (N,) bool
        True where there is an answer.
    best, second : (N,) int64
        The two likeliest classes; the later in logit order wins a tie.
    confidence, margin : (N,) float32
        Probability of the best class, and its distance to the second.
    lineage : (N,) int64
        The likeliest lineage.
    lineage_share, critical : (N,) float32
        Summed probability of that lineage, and of the critical classes.
    worst : (N,) int64
        The likeliest of the critical classes.
    unfamiliarity : (N,) float32
        As in `Predictions`.
    """

    p: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]
    best: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    margin: npt.NDArray[np.float32]
    lineage: npt.NDArray[np.int64]
    lineage_share: npt.NDArray[np.float32]
    critical: npt.NDArray[np.float32]
    worst: npt.NDArray[np.int64]
    unfamiliarity: npt.NDArray[np.float32]

    @cached_property
    def _likeliest(self) -> npt.NDArray[np.int64]:
        """The few likeliest classes of each cell, in no order, (N, `TOP`)."""
        top = min(TOP, self.p.shape[1])
        return np.argpartition(self.p, -top, axis=1)[:, -top:]

    def unfamiliar_share_bound(self, limit: float) -> float:
        """Return the share of unfamiliar cells that there is at least, 99.9 % sure.

        Parameters
        ----------
        limit
            Of the unfamiliarity.
        """
        return unfamiliar_share_lower_bound(*self.unfamiliar_count(limit))

    def unfamiliar_count(self, limit: float) -> tuple[int, int]:
        """Return how many cells are unfamiliar, and of how many that is known."""
        compared = self.known & ~np.isnan(self.unfamiliarity)
        return int((compared & (self.unfamiliarity > limit)).sum()), int(compared.sum())

    def may_be(
        self, asked: npt.NDArray[np.bool_], least: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """Return where one of some classes is among the likeliest, or possible.

        Parameters
        ----------
        asked : (C,) bool
            The classes.
        least : (C,)
            The probability from which on each class is possible.
        """
        possible = (self.p[:, asked] >= least[asked]).any(axis=1)
        return np.asarray(asked[self._likeliest].any(axis=1) | possible, bool)

    def expected_cost(self, costs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return what accepting the best class costs on average, (N,); NaN unknown.

        Parameters
        ----------
        costs : (C, C)
            Of calling a cell of the class in the row by the class in the column.
        """
        price = self.p.astype(np.float64) @ costs
        own = price[np.arange(len(price)), self.best]
        return np.where(self.known, own, np.nan)


def unfamiliar_share_lower_bound(unfamiliar: int, compared: int) -> float:
    """Return the share of unfamiliar cells that there is at least, 99.9 % sure."""
    return float(lower_bound(unfamiliar, compared, FOREIGN_DELTA))


def class_probabilities(
    predictions: Predictions, taxonomy: Taxonomy, temperature: float
) -> ClassProbabilities:
    """Return the evidence of every cell.

    Parameters
    ----------
    predictions
        For N cells.
    temperature
        Divides the logits before softmax.
    """
    known = predictions.done & predictions.readable
    p = np.where(known[:, None], predictions.probabilities(temperature), 0)
    p = p.astype(np.float32, copy=False)
    rows = np.arange(len(p))
    best = _last_largest(p)
    rest = p.copy()
    rest[rows, best] = -1
    second = _last_largest(rest)
    confidence = p[rows, best]
    by_lineage = lineage_shares(p, taxonomy)
    lineage = by_lineage.argmax(axis=1) if len(p) else np.zeros(0, np.int64)
    critical = np.where(taxonomy.critical_mask, p, -1)
    return ClassProbabilities(
        p=p,
        known=known,
        best=best,
        second=second,
        confidence=confidence,
        margin=confidence - p[rows, second],
        lineage=lineage,
        lineage_share=by_lineage[rows, lineage],
        critical=p[:, taxonomy.critical_mask].sum(axis=1),
        worst=critical.argmax(axis=1) if len(p) else np.zeros(0, np.int64),
        unfamiliarity=predictions.unfamiliarity,
    )


def _last_largest(p: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    if not len(p):
        return np.zeros(0, np.int64)
    return np.asarray(p.shape[1] - 1 - p[:, ::-1].argmax(axis=1), np.int64)


def lineage_shares(
    p: npt.NDArray[np.float32], taxonomy: Taxonomy
) -> npt.NDArray[np.float32]:
    """Return the summed probability of each lineage, (N, lineages)."""
    members = taxonomy.lineage_index[:, None] == np.arange(len(taxonomy.lineages))
    total: npt.NDArray[np.float32] = p @ members.astype(p.dtype)
    return total
