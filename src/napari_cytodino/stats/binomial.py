"""How many errors there may really be: exact binomial bounds, patient by patient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray


Z = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927).

    Returns
    -------
    low, high
        Shares from 0 to 1; 0 and 1 when there are no trials.

    Raises
    ------
    InputError
        When there are more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= trials:
        raise InputError(f"{successes} of {trials} is not a share; check the counts.")
    if trials == 0:
        return (0.0, 1.0)
    p, z2 = successes / trials, Z * Z
    middle = p + z2 / (2 * trials)
    spread = Z * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials))
    scale = 1 + z2 / trials
    low = 0.0 if successes == 0 else (middle - spread) / scale
    high = 1.0 if successes == trials else (middle + spread) / scale
    return (low, high)


LEVEL = 0.95
"""What Clopper-Pearson intervals hold, half of the rest on either side."""


def exact_interval(part: ArrayLike, whole: ArrayLike) -> tuple[Any, Any]:
    """Return the 95 % interval of shares (Clopper & Pearson 1934).

    Parameters
    ----------
    part, whole
        Counts, or arrays of them; 0 of 0 gives 0 and 1.
    """
    tail = (1 - LEVEL) / 2
    low, high = lower_bound(part, whole, tail), upper_bound(part, whole, tail)
    return (float(low), float(high)) if low.ndim == 0 else (low, high)


def counted_share(
    k: int,
    n: int,
    interval: Callable[[Any, Any], tuple[float, float]] = exact_interval,
    *,
    effect: float = 1.0,
    digits: int = 6,
) -> dict[str, Any]:
    """Return a share of cells with its 95 % interval, rounded.

    Parameters
    ----------
    k, n
        How many of how many.
    interval
        `exact_interval` or `wilson`.
    effect
        Design effect that counts are divided by for the interval.
    digits
        Decimals.

    Returns
    -------
    dict
        ``k`` of ``n``, ``value``, ``low`` and ``high``; the last three None for 0 of 0.
    """
    if n == 0:
        return {"k": 0, "n": 0, "value": None, "low": None, "high": None}
    found = (k / n, *interval(k / effect, n / effect))
    value, low, high = (round(number, digits) for number in found)
    return {"k": k, "n": n, "value": value, "low": low, "high": high}


def share_of(
    part: NDArray[np.bool_],
    whole: NDArray[np.bool_],
    groups: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Return which share of some cells has a property, as `counted_share` does.

    Parameters
    ----------
    part, whole : (N,) bool
        Whether a cell has the property, and whether it is asked for at all.
    groups : (N,), optional
        Patient of each cell: counts are then divided by the design effect.
    """
    k, n = int((part & whole).sum()), int(whole.sum())
    effect = 1.0 if groups is None or not n else design_effect(part, groups, whole)
    return counted_share(k, n, effect=effect)


def named_interval(name: str, share: Mapping[str, Any]) -> dict[str, Any]:
    """Return value and interval of a share under a name: x, x_low and x_high."""
    return {
        name: share["value"],
        f"{name}_low": share["low"],
        f"{name}_high": share["high"],
    }


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
