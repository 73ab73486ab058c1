"""Cohen's kappa of two readers, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.stats.binomial import Z

if TYPE_CHECKING:
    from numpy.typing import NDArray


FORMULA = (
    "Kappa after Cohen (1960, weighted 1968); 95 % interval from the large-sample "
    "standard error of Fleiss, Cohen and Everitt (1969)."
)
"""Said beside the numbers."""

NO_CELLS = "no cell was called by both"

ONE_CLASS = "both call every cell the same, so chance alone would agree as well"

PERFECT = "they agree on every cell, where this formula has no interval"

NO_SPREAD = "too few cells for an interval"

_SMALL = 1e-9


@dataclass(frozen=True)
class Kappa:
    """Agreement beyond chance.

    Attributes
    ----------
    value : float or None
        1 for perfect, 0 for what chance gives, below it for less; None where it is not
        defined.
    low, high : float or None
        95 % interval, within -1 and 1; None where there is none.
    cells, agreed : int
        Called by both, and called alike (or nearly, where that is accepted).
    why : str
        Why there is no value or no interval; empty where there are both.
    """

    value: float | None
    low: float | None
    high: float | None
    cells: int
    agreed: int
    why: str = ""

    @property
    def number(self) -> float:
        """The value; NaN where it is not defined."""
        return float("nan") if self.value is None else self.value

    @property
    def sentence(self) -> str:
        """The kappa in words, or why there is none."""
        alike = f"{self.agreed:,} of {self.cells:,} cells alike"
        if self.value is None:
            return f"kappa not defined: {self.why} ({alike})"
        if self.low is None or self.high is None:
            return f"kappa {self.value:.2f} ({alike}; {self.why})"
        span = f"95 % {self.low:.2f} to {self.high:.2f}"
        return f"kappa {self.value:.2f} ({span}; {alike})"


def kappa(
    table: NDArray[np.integer],
    weights: NDArray[np.float64] | None = None,
    accepted: NDArray[np.bool_] | None = None,
) -> Kappa:
    """Return Cohen's kappa with the 95 % interval of Fleiss, Cohen and Everitt.

    Parameters
    ----------
    table : (C, C) integers
        How many cells one called by the class of the row, the other by that of the
        column.
    weights : (C, C), optional
        1 for full agreement, on the diagonal, down to 0 for none; by default the
        identity, for Cohen's first kappa.
    accepted : (C, C), optional
        Which pairs count as alike in `agreed`; by default those of weight 1.
    """
    cells = int(table.sum())
    weights = np.eye(len(table)) if weights is None else weights
    accepted = weights > 1 - _SMALL if accepted is None else accepted
    agreed = int(table[accepted].sum())
    if cells == 0:
        return Kappa(None, None, None, 0, 0, NO_CELLS)
    p = table / cells
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed = float((p * weights).sum())
    chance = float(rows @ weights @ columns)
    if 1 - chance < _SMALL:
        return Kappa(None, None, None, cells, agreed, ONE_CLASS)
    value = (observed - chance) / (1 - chance)
    if 1 - observed < _SMALL:
        return Kappa(1.0, None, None, cells, agreed, PERFECT)
    by_row, by_column = weights @ columns, rows @ weights
    middle = by_row[:, None] + by_column[None, :]
    # their formula as what it is, a variance, which loses no digits
    terms = weights * (1 - chance) - middle * (1 - observed)
    spread = float((p * (terms - (p * terms).sum()) ** 2).sum())
    error = math.sqrt(spread / cells) / (1 - chance) ** 2
    if error < _SMALL:
        return Kappa(value, None, None, cells, agreed, NO_SPREAD)
    low, high = max(-1.0, value - Z * error), min(1.0, value + Z * error)
    return Kappa(value, low, high, cells, agreed)
