"""Is the confidence true, does it separate right from wrong? Calibration and risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax

from napari_cytodino.common import InputError
from napari_cytodino.stats import exact_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray


BINS = 15
"""Of the calibration error (Guo et al. 2017, arXiv 1706.04599)."""

ERRORS = (0.005, 0.01, 0.02, 0.05)
"""Shares of errors among accepted cells at which coverage is read off."""

ECE = (
    "mean over cells of |accuracy - mean confidence| of their bin; 15 bins of equally "
    "many cells by the confidence of the class called, equal confidences in one bin"
)
"""What `calibration_error` computes, in words."""

CLASSWISE_ECE = (
    "for every class of the taxonomy, the mean over cells of |share of cells that are "
    "of the class - mean probability of the class| of their bin, then the mean of all "
    "classes (Kull et al. 2019, arXiv 1910.12656); 15 bins of equally many cells by "
    "the probability of the class, equal ones in one bin"
)
"""What `classwise_errors` computes, in words."""

LOG_LOSS = "mean of -ln of the probability of the true class"

BRIER = (
    "mean over cells of the squared distance between probabilities and truth, summed "
    "over classes; 0 to 2"
)

AURC = (
    "mean, over all cells, of the share of errors among cells at least as confident "
    "(Geifman et al. 2019, arXiv 1805.08206)"
)
"""What `RiskCoverage.aurc` computes, in words."""

AUGRC = (
    "as AURC, with errors divided by all cells, accepted or not (Traub et al. 2024, "
    "arXiv 2407.01032)"
)
"""What `RiskCoverage.augrc` computes, in words."""


def probabilities(
    logits: NDArray[np.float32], temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return softmax(logits / temperature), shape (N, C).

    Raises
    ------
    InputError
        When a logit is not finite: its argmax would be the first class.
    """
    bad = ~np.isfinite(logits).all(axis=1)
    if bad.any():
        raise InputError(
            f"The logits of {int(bad.sum())} of {len(logits)} cells are not finite, "
            f"first those of cell {int(bad.argmax())}; the model cannot be judged."
        )
    scaled = logits.astype(np.float64) / temperature
    return np.asarray(np.exp(log_softmax(scaled, axis=1)))


@dataclass(frozen=True)
class Bin:
    """Cells of like confidence: how many, how confident, how many are right."""

    n: int
    confidence: float
    right: int

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return self.right / self.n


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS
) -> list[Bin]:
    """Return bins with equally many cells, in order of confidence.

    Equal confidences share a bin, so that the order of the cells changes nothing;
    there may be fewer bins then.
    """
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    which = np.searchsorted(np.quantile(confidence, inner), confidence, side="right")
    return [
        Bin(int(own.sum()), float(confidence[own].mean()), int(right[own].sum()))
        for own in (which == b for b in np.unique(which))
    ]


def calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS
) -> float:
    """Return the expected calibration error of the class called; see `ECE`."""
    parts = reliability(confidence, right, bins)
    apart = sum(b.n * abs(b.accuracy - b.confidence) for b in parts)
    return apart / len(confidence)


def classwise_errors(
    chance: NDArray[np.float64], targets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the calibration error of each class, (C,); see `CLASSWISE_ECE`."""
    return np.array(
        [calibration_error(chance[:, k], targets == k) for k in range(chance.shape[1])]
    )


def calibration_figures(
    chance: NDArray[np.float64], targets: NDArray[np.int64]
) -> dict[str, Any]:
    """Return calibration errors, log loss and Brier score of probabilities (N, C)."""
    rows = np.arange(len(targets))
    truth = np.zeros_like(chance)
    truth[rows, targets] = 1
    tiny = np.finfo(np.float64).tiny
    return {
        "ece": calibration_error(chance.max(axis=1), chance.argmax(axis=1) == targets),
        "ece_definition": ECE,
        "classwise_ece": float(classwise_errors(chance, targets).mean()),
        "classwise_ece_definition": CLASSWISE_ECE,
        "log_loss": float(-np.log(np.maximum(chance[rows, targets], tiny)).mean()),
        "log_loss_definition": LOG_LOSS,
        "brier": float(((chance - truth) ** 2).sum(axis=1).mean()),
        "brier_definition": BRIER,
        "mean_confidence": float(chance.max(axis=1).mean()),
    }


@dataclass(frozen=True)
class RiskCoverage:
    """Errors among the cells that a threshold on confidence accepts.

    Attributes
    ----------
    thresholds : NDArray[np.float64]
        (K,) the distinct confidences, falling; at least this confident is accepted.
    accepted, wrong : NDArray[np.int64]
        (K,) cells accepted at each threshold, and errors among them.
    """

    thresholds: NDArray[np.float64]
    accepted: NDArray[np.int64]
    wrong: NDArray[np.int64]

    @property
    def coverage(self) -> NDArray[np.float64]:
        """The share of cells accepted, (K,)."""
        return np.asarray(self.accepted / self.accepted[-1])

    @property
    def risk(self) -> NDArray[np.float64]:
        """The share of errors among the accepted, (K,)."""
        return np.asarray(self.wrong / self.accepted)

    @property
    def band(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Clopper-Pearson 95 % bounds of the risk at each threshold, each (K,)."""
        low, high = exact_interval(self.wrong, self.accepted)
        return low, high

    @property
    def _steps(self) -> NDArray[np.float64]:
        return np.diff(self.coverage, prepend=0.0)

    @property
    def aurc(self) -> float:
        """See `AURC`."""
        return float((self._steps * self.risk).sum())

    @property
    def augrc(self) -> float:
        """See `AUGRC`."""
        return float((self._steps * self.wrong).sum() / self.accepted[-1])

    def accepted_at(self, error: float) -> dict[str, Any]:
        """Return the most cells acceptable with at most this share of errors.

        Read off the same cells, so that it promises nothing about others.
        """
        good = np.flatnonzero(self.risk <= error)
        if len(good) == 0:
            none = {"accepted": 0, "coverage": 0.0, "wrong": 0, "threshold": None}
            return {"error": error, **none}
        last = good[-1]
        return {
            "error": error,
            "accepted": int(self.accepted[last]),
            "coverage": float(self.coverage[last]),
            "wrong": int(self.wrong[last]),
            "threshold": float(self.thresholds[last]),
        }


def risk_coverage(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> RiskCoverage:
    """Return the errors at every threshold that separates cells."""
    distinct, place = np.unique(-confidence, return_inverse=True)
    accepted = np.cumsum(np.bincount(place, minlength=len(distinct)))
    wrong = np.cumsum(np.bincount(place[~right], minlength=len(distinct)))
    return RiskCoverage(-distinct, accepted, wrong)


def selective_figures(curve: RiskCoverage) -> dict[str, Any]:
    """Return the areas under the curve and what is accepted at each of `ERRORS`."""
    points = [curve.accepted_at(error) for error in ERRORS]
    for point in points:
        point["low"], point["high"] = exact_interval(point["wrong"], point["accepted"])
    return {
        "aurc": curve.aurc,
        "aurc_definition": AURC,
        "augrc": curve.augrc,
        "augrc_definition": AUGRC,
        "accepted_at": points,
        "note": "read off the test cells; a promise needs calibration cells",
    }
