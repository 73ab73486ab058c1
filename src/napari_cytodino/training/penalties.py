"""By what an error is multiplied in the loss, looked up by target and prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.core.error_costs import FALSE_ALARM, MISSED, error_costs
from napari_cytodino.core.errors import InputError
from napari_cytodino.training.smoothing import check_variant, is_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.core.taxonomy import Taxonomy
    from napari_cytodino.training.smoothing import Variant


def penalty_matrix(
    taxonomy: Taxonomy,
    *,
    variant: Variant,
    critical_penalty: float,
    false_alarm_penalty: float = FALSE_ALARM,
) -> NDArray[np.float64]:
    """Return the factor of each error, targets in rows, shape (C, C).

    ``"published"`` knows two kinds of error: a critical class called safe, and a safe
    class called critical. What it leaves out stays out: a blast thrown away as an
    artefact, and a leukaemic promyelocyte called a normal one, cost nothing extra.

    ``"maturation"`` takes `error_costs.error_costs`, which holds both. These are for a
    critical penalty of 3; their excess over 1 grows and shrinks with it.

    Parameters
    ----------
    taxonomy : Taxonomy
        Classes in logit order.
    variant : {"published", "maturation"}
        Which of the two.
    critical_penalty : float
        Factor of the worst error, at least 1. Published: 3.
    false_alarm_penalty : float
        Factor of a safe class called critical, in the published variant, at most
        `critical_penalty`, so that 1 there switches both off. The published
        code has 1.5 whatever the other is; the published run is the same.

    Raises
    ------
    InputError
        When the variant is unknown or a factor below 1.
    """
    check_variant(variant)
    factors = {
        "critical_penalty": critical_penalty,
        "false_alarm_penalty": false_alarm_penalty,
    }
    for name, value in factors.items():
        if not (is_number(value) and value >= 1):
            raise InputError(f"{name} is {value!r}; choose 1 (no penalty) or more.")
    if variant == "maturation":
        excess = error_costs(taxonomy) - 1
        return 1 + excess * (critical_penalty - 1) / (MISSED - 1)
    factor = np.ones((len(taxonomy), len(taxonomy)))
    factor[np.ix_(taxonomy.critical_mask, taxonomy.safe_mask)] = critical_penalty
    false_alarm = min(false_alarm_penalty, critical_penalty)
    factor[np.ix_(taxonomy.safe_mask, taxonomy.critical_mask)] = false_alarm
    return factor
