"""What a decision costs a patient or a reader: the order of the review queue."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.common import InputError, read_toml

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy.taxonomy import Taxonomy


@dataclass(frozen=True)
class ReviewCosts:
    """What it costs to accept a wrong class; a right one costs nothing.

    The defaults are judgements, not measurements (reliability.md 1.3). These costs only
    rank; those a model learns by, which shape its loss, are in `error_costs`.

    Attributes
    ----------
    missed : float
        A critical class called harmless.
    false_alarm : float
        A harmless class called critical.
    neighbour : float
        The stage before or after, within a line of maturation.
    other : float
        Any other error.
    """

    missed: float = 10.0
    false_alarm: float = 2.0
    neighbour: float = 0.5
    other: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            good = isinstance(value, (int, float)) and math.isfinite(value)
            if not good or value < 0:
                raise InputError(
                    f"{field.name} costs {value!r}, but must be a number from 0 up."
                )


def read_costs(path: Path) -> ReviewCosts:
    """Read costs from a TOML file with some of the fields of `ReviewCosts`.

    Raises
    ------
    InputError
        When the file cannot be read, or names or values are wrong.
    """
    try:
        content = read_toml(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"The costs in {path} cannot be read ({error}); give a TOML file such as "
            "'missed = 20'."
        ) from error
    known = [field.name for field in fields(ReviewCosts)]
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise InputError(
            f"{path} names the cost '{unknown[0]}'; there are {', '.join(known)}."
        )
    return ReviewCosts(**content)


def review_costs(
    taxonomy: Taxonomy, costs: ReviewCosts | None = None
) -> NDArray[np.float64]:
    """Return the cost of each decision, true classes in rows, shape (C, C).

    The matrix for `ClassProbabilities.expected_cost`.
    """
    costs = costs or ReviewCosts()
    matrix = np.full((len(taxonomy), len(taxonomy)), costs.other)
    for lineage in (g.name for g in taxonomy.lineages if g.sequential):
        line = [taxonomy.index(c.code) for c in taxonomy.classes_of(lineage)]
        stage = {i: taxonomy.classes[i].stage for i in line}
        steps = sorted(set(stage.values()))
        for i in line:
            for j in line:
                if abs(steps.index(stage[i]) - steps.index(stage[j])) == 1:
                    matrix[i, j] = costs.neighbour
    matrix[np.ix_(taxonomy.critical_mask, taxonomy.safe_mask)] = costs.missed
    matrix[np.ix_(taxonomy.safe_mask, taxonomy.critical_mask)] = costs.false_alarm
    np.fill_diagonal(matrix, 0)
    return matrix
