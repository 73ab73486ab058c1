"""What the thresholds in force mean for the cells at hand, as pure values."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.widgets.session.guarantee import risk_in_force
from napari_cytodino.widgets.session.review_queue import FLAGGED

if TYPE_CHECKING:
    import pandas as pd

    from napari_cytodino.uncertainty import Calibration
    from napari_cytodino.widgets.session.session import Session


FAR = 0.3
"""Total variation from which on the mix of classes is another one."""

FEWEST = 100
"""Among fewer cells the mix is mostly chance (0.3 is exceeded by it below about 50)."""


@dataclass(frozen=True)
class Errors:
    """Wrong cells among the accepted ones.

    Attributes
    ----------
    expected : float
        Their number, if errors are as frequent as among the calibration cells.
    most : int
        More than these are found with a chance of 1 - `sure` at most.
    sure : float
        In 0..1.
    """

    expected: float
    most: int
    sure: float


@dataclass(frozen=True)
class AcceptanceForecast:
    """How many cells go where.

    Attributes
    ----------
    status : dict of str to int
        Cells of each of `STATUSES`.
    reasons : tuple of (str, int)
        Why cells go to an expert, the most frequent first.
    errors : Errors or None
        None where nothing is promised.
    """

    status: dict[str, int]
    reasons: tuple[tuple[str, int], ...]
    errors: Errors | None

    @property
    def cells(self) -> int:
        """All of them."""
        return sum(self.status.values())

    @property
    def flagged(self) -> int:
        """Those for an expert."""
        return sum(self.status.get(name, 0) for name in FLAGGED)


def forecast_of(session: Session) -> AcceptanceForecast:
    """Return what becomes of the session's cells."""
    table = session.table
    status = {str(k): int(v) for k, v in table["status"].value_counts().items()}
    return AcceptanceForecast(
        status, _reasons(table), _errors(session, status.get("auto", 0))
    )


def _reasons(table: pd.DataFrame) -> tuple[tuple[str, int], ...]:
    """Count reasons by what stands before their bracket."""
    flagged = table["reason"].to_numpy(object)[
        table["status"].to_numpy(object) == "review"
    ]
    total: Counter[str] = Counter()
    # alike ones first: they are counted in C
    for text, number in Counter(flagged.tolist()).items():
        total[text.partition(" (")[0]] += number
    return tuple(total.most_common())


def _errors(session: Session, accepted: int) -> Errors | None:
    policy, opened = session.policy, session.opened
    if policy is None or opened is None or not policy.guarantee:
        return None
    calibration = opened.calibration
    assert calibration is not None
    risk = risk_in_force(session)
    row = calibration.row_by_risk[risk]
    assert row is not None, "a policy without a row promises nothing"
    curve = calibration.curve
    observed = curve.wrong[row] / curve.accepted[row]
    return Errors(
        float(accepted * observed),
        most_errors(accepted, risk, calibration, float(curve.effect[row])),
        1 - calibration.delta,
    )


def most_errors(
    accepted: int, risk: float, calibration: Calibration, effect: float
) -> int:
    """Return how many errors are exceeded with a chance of delta at most.

    The promise bounds how frequent errors are; how many of them fall on these cells is
    chance again. Its share of delta is spent already, the rest is left for this.

    Parameters
    ----------
    effect
        Errors that come in patients count as one for so many cells; 1 where they are
        independent.
    """
    if not accepted:
        return 0
    level = 1 - (calibration.delta - calibration.delta_per_statement)
    together = math.ceil(effect * _quantile(level, math.ceil(accepted / effect), risk))
    return min(accepted, max(together, _quantile(level, accepted, risk)))


def _quantile(level: float, cells: int, risk: float) -> int:
    """Return the least number of errors that is not exceeded with this chance."""
    # imported late, see `risk_bounds`
    from scipy.special import bdtr, bdtrik

    most = math.ceil(float(bdtrik(level, cells, risk)))
    # the inverse lies between whole numbers, so that one less may be enough
    enough_below = most > 0 and bdtr(most - 1, cells, risk) >= level
    return most - 1 if enough_below else most


def other_mix(session: Session) -> float | None:
    """Return how far the classes are mixed otherwise than in the calibration, in 0..1.

    Total variation: the share of cells that would have to be of another class. None
    where there is no calibration, or too few cells to say.
    """
    evidence, opened = session.probabilities, session.opened
    if evidence is None or opened is None or opened.calibration is None:
        return None
    best = evidence.best[evidence.known]
    counts = opened.calibration.counts
    then = np.array([counts.get(c, 0) for c in opened.taxonomy.codes], float)
    if len(best) < FEWEST or not then.sum():
        return None
    now = np.bincount(best, minlength=len(then)) / len(best)
    return float(np.abs(now - then / then.sum()).sum() / 2)
