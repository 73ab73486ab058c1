"""Errors weighed by what they mean: lineage, neighbouring stage, missed blast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.stats import kappa
from napari_cytodino.taxonomy import neighbours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy


@dataclass(frozen=True)
class Rate:
    """A share of the cells of some true classes: those in some table entries.

    Attributes
    ----------
    key, title, definition : str
        What programs and people call it, and what it means.
    entries : NDArray[np.bool_]
        (C, C) entries of the confusion table that are counted, true classes in rows.
    rows : NDArray[np.bool_]
        (C,) true classes it is a share of.
    """

    key: str
    title: str
    definition: str
    entries: NDArray[np.bool_]
    rows: NDArray[np.bool_]

    def count(self, table: NDArray[np.int64]) -> tuple[int, int]:
        """Return how many cells are counted, and of how many."""
        own = table[self.rows]
        return int(own[self.entries[self.rows]].sum()), int(own.sum())

    def share(self, table: NDArray[np.int64]) -> float:
        """Return the share from 0 to 1; NaN where there is no such cell."""
        part, whole = self.count(table)
        return part / whole if whole else float("nan")


def same_lineage(taxonomy: Taxonomy) -> NDArray[np.bool_]:
    """Return True where two classes are of one lineage, shape (C, C)."""
    lineage = taxonomy.lineage_index
    return np.asarray(lineage[:, None] == lineage, np.bool_)


def rates(taxonomy: Taxonomy) -> tuple[Rate, ...]:
    """Return the shares an evaluation reports, from right to dangerous."""
    right = np.eye(len(taxonomy), dtype=np.bool_)
    every = np.ones(len(taxonomy), np.bool_)
    critical, safe = taxonomy.critical_mask, taxonomy.safe_mask
    counted = np.array([c.counted for c in taxonomy.classes])
    called_safe = np.broadcast_to(safe, right.shape)
    called_debris = np.broadcast_to(~counted, right.shape)
    return (
        Rate("accuracy", "Accuracy", "cells called by their class", right, every),
        Rate(
            "tolerant_accuracy",
            "Tolerant accuracy",
            "cells called by their class or by an adjacent stage of the same "
            "sequential lineage",
            right | neighbours(taxonomy),
            every,
        ),
        Rate(
            "lineage_accuracy",
            "Lineage accuracy",
            "cells called by a class of their lineage",
            same_lineage(taxonomy),
            every,
        ),
        Rate(
            "critical_error_rate",
            "Critical-error rate",
            "cells of critical classes called by a safe class",
            called_safe,
            critical,
        ),
        Rate(
            "blasts_discarded_rate",
            "Blasts-discarded rate",
            "cells of critical classes of the differential called by a class that is "
            "not counted, such as debris",
            called_debris,
            critical & counted,
        ),
    )


def stage_kappas(
    table: NDArray[np.int64], taxonomy: Taxonomy
) -> dict[str, tuple[float, int]]:
    """Return the quadratic-weighted kappa of maturation, and its cells, by lineage.

    Over the cells whose true class and whose call are both of the lineage, for
    sequential lineages of at least three stages; with two it is Cohen's kappa. Stages
    are taken as equally far apart.
    """
    found = {}
    for lineage in taxonomy.lineages:
        members = taxonomy.classes_of(lineage.name)
        if not lineage.sequential or len({c.stage for c in members}) < 3:
            continue
        line = [taxonomy.index(c.code) for c in members]
        own, place = table[np.ix_(line, line)], np.arange(len(line))
        apart = np.abs(place[:, None] - place)
        found[lineage.name] = (
            kappa(own, 1 - (apart / apart.max()) ** 2).number,
            int(own.sum()),
        )
    return found
