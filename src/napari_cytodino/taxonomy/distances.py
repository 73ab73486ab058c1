"""How far classes lie apart in the tree of lineages, and what confusions cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.taxonomy._tree import Branch, _distances
from napari_cytodino.taxonomy.taxonomy import ANY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy.taxonomy import Taxonomy


MISSED = 3.0
"""Cost of a critical class called harmless, or thrown away (domain.md 1.3, 5.3)."""

FALSE_ALARM = 1.5
"""Cost of a harmless class called critical (domain.md 1.3)."""


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


STEP = 1.0
"""Between successive stages of a series (domain.md 5.2)."""

SIBLINGS = 2.0
"""Between classes of one lineage that are not successive: up to it and down again."""

LINEAGES = 5.0
"""Between lineages (domain.md 5.2), where no series is longer than that."""


def class_distances(taxonomy: Taxonomy) -> NDArray[np.float64]:
    """Return the distance between any two classes, shape (C, C).

    Taken from the taxonomy's own tree, or from `derived_tree` where it has none. It
    is a metric: symmetric, zero on the diagonal alone, never longer than a detour. A
    subset of a taxonomy with a tree keeps the distances of the whole.
    """
    tree = taxonomy.tree or derived_tree(taxonomy)
    return _distances(tree, taxonomy.codes)


def neighbours(taxonomy: Taxonomy) -> NDArray[np.bool_]:
    """Return True for successive stages of a sequential lineage, shape (C, C).

    They are one step apart on the tree. Without a tree of its own a taxonomy's stages
    succeed each other as they are at hand: without promyelocytes, a myelocyte is the
    neighbour of a blast. A variant that hangs on a stage is no neighbour of the next.
    """
    place = taxonomy.lineage_index
    sequential = np.array([g.sequential for g in taxonomy.lineages])[place]
    stages = np.array([c.stage for c in taxonomy.classes])
    kin = (place[:, None] == place) & sequential & (stages[:, None] != stages)
    return np.asarray(kin & (class_distances(taxonomy) <= STEP), np.bool_)


def derived_tree(taxonomy: Taxonomy) -> tuple[Branch, ...]:
    """Make a tree of lineages and stages alone.

    In a sequential lineage successive stages, of those at hand, are 1 apart; classes
    of another lineage or of one stage 2; classes of different lineages 5, or
    one more than the longest series if that is more.
    """
    tree, names, longest = [], [], 0.0
    for lineage in taxonomy.lineages:
        members = taxonomy.classes_of(lineage.name)
        stages: dict[int, list[str]] = {}
        for cell in members:
            stages.setdefault(cell.stage if lineage.sequential else 0, []).append(
                cell.code
            )
        # a colon is in no class code, so that these names meet none
        start = f"{lineage.name}:"
        steps = [f"{start}{stage}" for stage in stages]
        for name, codes in zip(steps, stages.values(), strict=True):
            tree.append(Branch(tuple(codes), SIBLINGS, name=name))
        tree.append(Branch(tuple(steps), STEP, ordered=True, name=start))
        names.append(start)
        longest = max(longest, STEP * (len(steps) - 1), SIBLINGS)
    tree.append(Branch(tuple(names), max(LINEAGES, longest + STEP)))
    return tuple(tree)
