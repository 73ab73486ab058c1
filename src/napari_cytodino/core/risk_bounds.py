"""How many errors there may really be: exact binomial bounds, patient by patient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def check_share(name: str, value: float) -> None:
    """Refuse a number that is no share between 0 and 1.

    Raises
    ------
    InputError
        With the name, the value and what is wanted.
    """
    if not (math.isfinite(value) and 0 < value < 1):
        raise InputError(f"{name} is {value}, but must lie between 0 and 1.")


def p_value(wrong: ArrayLike, cells: ArrayLike, risk: float) -> NDArray[np.float64]:
    """Return the chance of so few errors if the true share of errors were ``risk``.

    Parameters
    ----------
    wrong, cells
        Errors, and cells they were found among. Both may be broken numbers, which
        happens once they are divided by a design effect; 0 cells give 1.
    risk
        Of the hypothesis; in 0..1.
    """
    # imported late: it takes as long as all else that opening the dock needs
    from scipy.special import betainc

    k, n = np.asarray(wrong, float), np.asarray(cells, float)
    # P(X <= k) for X ~ Binomial(n, risk), in the form that takes broken numbers
    below = betainc(np.maximum(n - k, 1e-300), k + 1, 1 - risk)
    return np.asarray(np.where(k >= n, 1.0, below))


def upper_bound(
    wrong: ArrayLike, cells: ArrayLike, delta: float
) -> NDArray[np.float64]:
    """Return the share of errors that is exceeded with a chance of ``delta`` at most.

    One-sided Clopper-Pearson; 1 where there are no cells.
    """
    from scipy.special import betaincinv

    k, n = np.asarray(wrong, float), np.asarray(cells, float)
    bound = betaincinv(k + 1, np.maximum(n - k, 1e-300), 1 - delta)
    return np.asarray(np.where(k >= n, 1.0, bound))


def lower_bound(
    wrong: ArrayLike, cells: ArrayLike, delta: float
) -> NDArray[np.float64]:
    """Return the share of errors that is fallen short of with ``delta`` at most."""
    from scipy.special import betaincinv

    k, n = np.asarray(wrong, float), np.asarray(cells, float)
    bound = betaincinv(np.maximum(k, 1e-300), n - k + 1, delta)
    return np.asarray(np.where(k <= 0, 0.0, bound))


def fewest_cells(risk: float, delta: float) -> int:
    """Return how many cells without any error it takes to promise ``risk``.

    598 for 0.5 % and 299 for 1 % at ``delta`` = 5 %.
    """
    check_share("risk", risk)
    check_share("delta", delta)
    return math.ceil(math.log(delta) / math.log1p(-risk))


def design_effect(
    wrong: NDArray[np.bool_], patients: NDArray[Any], taken: NDArray[np.bool_]
) -> float:
    """Return by how much errors that come in patients widen the uncertainty; >= 1.

    The variance of the share of errors as a ratio over patients, in units of the
    binomial variance (Kish 1965). Where no error was taken that ratio says nothing;
    then the correlation within patients over all cells stands in for it.

    Parameters
    ----------
    wrong, taken : (N,) bool
        Whether a cell's answer is wrong, and whether it is accepted.
    patients : (N,)
        Whose cell it is.
    """
    own = _ratio_effect(wrong[taken], patients[taken])
    if own is not None:
        return own
    whole = _ratio_effect(wrong, patients)
    count = len(np.unique(patients[taken]))
    if whole is None or not count:
        return 1.0
    each_taken = taken.sum() / count
    each = len(patients) / len(np.unique(patients))
    alike = min(1.0, (whole - 1) / max(each - 1, 1.0))
    return float(max(1.0, 1 + alike * (each_taken - 1)))


def _ratio_effect(wrong: NDArray[np.bool_], patients: NDArray[Any]) -> float | None:
    """Return the effect of one set of cells, None where no share can be estimated."""
    if len(wrong) == 0 or not wrong.any() or wrong.all():
        return None
    names, place = np.unique(patients, return_inverse=True)
    if len(names) < 2:
        return None
    cells = np.bincount(place)
    errors = np.bincount(place, weights=wrong)
    share, total = wrong.mean(), len(wrong)
    apart = ((errors - share * cells) ** 2).sum() * len(names) / (len(names) - 1)
    return float(max(1.0, apart / (total * share * (1 - share))))
