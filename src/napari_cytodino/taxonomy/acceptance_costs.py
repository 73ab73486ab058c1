"""What a decision costs a patient or a reader: the order of the review queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from napari_cytodino.common import read_record, read_toml, record

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy.taxonomy import Taxonomy


Cost = Annotated[float, Field(ge=0)]


@record
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

    missed: Cost = 10.0
    false_alarm: Cost = 2.0
    neighbour: Cost = 0.5
    other: Cost = 1.0


def read_costs(path: Path) -> ReviewCosts:
    """Read costs from a TOML file with some of the fields of `ReviewCosts`.

    Raises
    ------
    InputError
        When the file cannot be read, or names or values are wrong.
    """
    content = read_toml(path, "give a TOML file such as 'missed = 20'")
    return read_record(ReviewCosts, content, str(path))


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
