"""What it costs to call a cell of one class by another, as data of the taxonomy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_cytodino.core.taxonomy import Taxonomy

ANY = "*"
"""Stands for every other class; it is no valid class code."""

MISSED = 3.0
"""Cost of a critical class called harmless, or thrown away (domain.md 1.3, 5.3)."""

FALSE_ALARM = 1.5
"""Cost of a harmless class called critical (domain.md 1.3)."""


@dataclass(frozen=True)
class CostRule:
    """What an error costs, as a multiple of an ordinary error.

    Attributes
    ----------
    of, called : tuple of str
        Codes of true classes, and of what they were called; ``"*"`` for any.
    factor : float
        1 is an ordinary error. A later rule overrules an earlier one.
    """

    of: tuple[str, ...]
    called: tuple[str, ...]
    factor: float


def error_costs(taxonomy: Taxonomy) -> NDArray[np.float64]:
    """Return the cost of each error, true classes in rows, shape (C, C).

    The taxonomy's own rules, or where it has none these: 3 for a critical class
    called safe, 3 for a critical class of the differential called something that is
    not counted (debris), 1.5 for a safe class called critical. The rest, the diagonal
    included, costs 1.
    """
    costs = np.ones((len(taxonomy), len(taxonomy)))
    if taxonomy.costs:
        for rule in taxonomy.costs:
            of, called = (_places(taxonomy, c) for c in (rule.of, rule.called))
            costs[np.ix_(of, called)] = rule.factor
    else:
        critical, safe = taxonomy.critical_mask, taxonomy.safe_mask
        counted = np.array([c.counted for c in taxonomy.classes])
        costs[np.ix_(critical, safe)] = MISSED
        costs[np.ix_(critical & counted, ~counted)] = MISSED
        costs[np.ix_(safe, critical)] = FALSE_ALARM
    np.fill_diagonal(costs, 1.0)
    return costs


def _places(taxonomy: Taxonomy, codes: Sequence[str]) -> list[int]:
    if ANY in codes:
        return list(range(len(taxonomy)))
    return [taxonomy.index(code) for code in codes]


def cost_faults(costs: Sequence[CostRule], codes: Sequence[str]) -> list[str]:
    """Say which rules name no class of the taxonomy, or give no usable factor."""
    known = {*codes, ANY}
    named = {code for rule in costs for code in (*rule.of, *rule.called)}
    faults = [f"its costs name '{code}', no class" for code in sorted(named - known)]
    for rule in costs:
        if not (math.isfinite(rule.factor) and rule.factor > 0):
            faults.append(f"cost {rule.factor} of {', '.join(rule.of)} is not above 0")
    return faults


def costs_among(
    costs: Sequence[CostRule], codes: Sequence[str]
) -> tuple[CostRule, ...]:
    """Return the rules as far as they concern these classes."""

    def kept(named: Sequence[str]) -> tuple[str, ...]:
        return tuple(code for code in named if code == ANY or code in codes)

    # rules left without a class stay: no rule at all would mean the default ones
    return tuple(CostRule(kept(r.of), kept(r.called), r.factor) for r in costs)
