"""Learn, then test: the lowest threshold whose accepted cells are provably right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import InputError
from napari_cytodino.stats.binomial import (
    check_share,
    design_effect,
    fewest_cells,
    lower_bound,
    p_value,
    upper_bound,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


STEPS = 200
"""Thresholds that are tested: those that accept 1/200, 2/200 ... of the cells."""

USUAL_RISK = 0.005
"""Sequences for larger risks begin no earlier than that of this one would, or at an
eighth of the cells: one early error then does not end them."""


@dataclass(frozen=True)
class SelectionCurve:
    """Errors among the calibration cells that each threshold accepts.

    Fixed-sequence testing (Angelopoulos et al. 2021, arXiv 2110.01052): thresholds are
    tested from the strictest down, each against "more than `risk` of the cells it
    accepts are wrong"; the last that is refuted before the first that is not is taken.

    Attributes
    ----------
    thresholds : (K,) float64
        Falling; a score of at least this much is accepted.
    accepted, wrong : (K,) int64
        Cells accepted, and errors among them.
    effect : (K,) float64
        Design effect of patients; 1 where cells count as independent.
    cells : int
        Calibration cells, accepted or not.
    """

    thresholds: NDArray[np.float64]
    accepted: NDArray[np.int64]
    wrong: NDArray[np.int64]
    effect: NDArray[np.float64]
    cells: int

    def __post_init__(self) -> None:
        shapes = {len(self.accepted), len(self.wrong), len(self.effect)}
        good = (
            shapes == {len(self.thresholds)}
            and bool(np.isfinite(self.thresholds).all())
            and bool((np.diff(self.thresholds) <= 0).all())
            and bool((np.diff(self.accepted) >= 0).all())
            and bool((np.diff(self.wrong) >= 0).all())
            and bool((self.wrong >= 0).all() and (self.wrong <= self.accepted).all())
            and bool((self.accepted <= self.cells).all())
            and bool((self.effect >= 1).all())
        )
        if not good:
            raise InputError(
                "These are no counts of a selection: thresholds must fall, counts must "
                "grow, and no more can be wrong than accepted; calibrate again."
            )

    def select(self, risk: float, delta: float) -> int | None:
        """Return the row of the lowest threshold that keeps ``risk``, or None.

        The sequence begins where that many cells without an error would do. How many
        a threshold accepts says nothing of their errors, so the choice of the
        beginning costs nothing, provided that errors grow as thresholds fall. With
        patients this is approximate: their design effect is estimated from errors.

        Parameters
        ----------
        risk
            Largest share of errors among accepted cells.
        delta
            Chance, over draws of the calibration cells, that it is larger all the same.
        """
        floor = min(fewest_cells(USUAL_RISK, delta), self.cells / 8)
        least = max(fewest_cells(risk, delta), floor)
        enough = self.accepted / self.effect >= least
        if not enough.any():
            return None
        first = int(np.argmax(enough))
        chance = p_value(self.wrong / self.effect, self.accepted / self.effect, risk)
        refuted = chance[first:] <= delta
        length = len(refuted) if refuted.all() else int(np.argmin(refuted))
        return first + length - 1 if length else None

    def band(self, level: float = 0.95) -> tuple[NDArray[np.float64], ...]:
        """Return lower and upper Clopper-Pearson bounds of the risk, each (K,)."""
        k, n = self.wrong / self.effect, self.accepted / self.effect
        tail = (1 - level) / 2
        return lower_bound(k, n, tail), upper_bound(k, n, tail)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "cells": self.cells,
            "thresholds": [float(v) for v in self.thresholds],
            "accepted": [int(v) for v in self.accepted],
            "wrong": [int(v) for v in self.wrong],
            "effect": [float(v) for v in self.effect],
        }

    @staticmethod
    def from_dict(content: dict[str, Any]) -> SelectionCurve:
        """Build a curve from what `to_dict` gave.

        Raises
        ------
        InputError
            When a field is missing, or its numbers contradict each other.
        """
        try:
            return SelectionCurve(
                np.asarray(content["thresholds"], np.float64),
                np.asarray(content["accepted"], np.int64),
                np.asarray(content["wrong"], np.int64),
                np.asarray(content["effect"], np.float64),
                int(content["cells"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"A selection curve cannot be read ({error}); calibrate again."
            ) from error


def curve_of(
    score: NDArray[np.floating[Any]],
    wrong: NDArray[np.bool_],
    *,
    thresholds: ArrayLike | None = None,
    patients: NDArray[Any] | None = None,
    cells: int | None = None,
) -> SelectionCurve:
    """Count cells and errors at thresholds on a score.

    Parameters
    ----------
    score, wrong : (N,)
        Of cells with a finite score; NaN is never accepted.
    thresholds : (K,), optional
        Fixed beforehand. By default the scores of ranks N/200, 2N/200 ...: ranks that
        are fixed by N alone.
    patients : (N,), optional
        Whose cell it is; errors of one patient are then not taken as independent.
    cells : int, optional
        Of how many cells these N are those that may be accepted at all.
    """
    score = np.asarray(score, np.float64)
    wrong = np.asarray(wrong, bool)
    if score.shape != wrong.shape or score.ndim != 1:
        raise InputError(
            f"Scores of shape {score.shape} do not fit answers of {wrong.shape}; give "
            "one of each for every cell."
        )
    known = np.isfinite(score)
    if thresholds is None:
        falling = -np.sort(-score[known])
        ranks = np.ceil(len(falling) * np.arange(1, STEPS + 1) / STEPS).astype(int)
        levels = np.unique(falling[ranks - 1])[::-1] if len(falling) else falling
    else:
        levels = np.unique(np.asarray(thresholds, np.float64))[::-1]
    taken = [known & (score >= level) for level in levels]
    if patients is not None:
        # whole numbers are compared faster than names, at each threshold anew
        patients = np.unique(patients, return_inverse=True)[1]
    effect = [
        1.0 if patients is None else design_effect(wrong, patients, t) for t in taken
    ]
    return SelectionCurve(
        levels,
        np.array([t.sum() for t in taken], np.int64),
        np.array([(t & wrong).sum() for t in taken], np.int64),
        np.array(effect, np.float64),
        len(score) if cells is None else cells,
    )


def select_threshold(
    score: NDArray[np.floating[Any]],
    correct: NDArray[np.bool_],
    *,
    risk: float,
    delta: float,
    thresholds: ArrayLike | None = None,
    patients: NDArray[Any] | None = None,
) -> float | None:
    """Return the lowest threshold that keeps ``risk`` among the cells it accepts.

    Parameters
    ----------
    score : (N,)
        Confidence of each calibration cell; at least the threshold is accepted.
    correct : (N,) bool
        Whether its answer is right.
    risk, delta
        As in `SelectionCurve.select`; both between 0 and 1.
    thresholds, patients
        As in `curve_of`.

    Returns
    -------
    float or None
        None where nothing can be promised, for one because there are too few cells.
    """
    check_share("risk", risk)
    check_share("delta", delta)
    wrong = ~np.asarray(correct, bool)
    curve = curve_of(score, wrong, thresholds=thresholds, patients=patients)
    row = curve.select(risk, delta)
    return None if row is None else float(curve.thresholds[row])
