"""Sets of possible classes: how large they are, and how often they hold the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.stats import share_of
from napari_cytodino.uncertainty import UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty import LabelledPredictions


SET = (
    "a class is possible where its probability is at least 1 minus the limit of its "
    "lineage, which calibration cells of that lineage gave (Sadinle et al. 2019, "
    "arXiv 1609.00451); coverage is the share of cells whose set holds the true class"
)
"""What the sets are, in words."""


def possible_classes(
    p: NDArray[np.floating[Any]], taxonomy: Taxonomy, limits: Mapping[str, float]
) -> NDArray[np.bool_]:
    """Return which classes are possible for which cell, (N, C).

    Parameters
    ----------
    p : (N, C)
        Probabilities.
    limits
        As in `DecisionPolicy.set_limits`; of a lineage that has none no class is.
    """
    least = [1 - limits.get(c.lineage, 1 - UNREACHABLE) for c in taxonomy.classes]
    return np.asarray(p >= np.array(least), np.bool_)


def set_figures(
    cells: LabelledPredictions,
    taxonomy: Taxonomy,
    possible: NDArray[np.bool_],
    level: float | None = None,
) -> dict[str, Any]:
    """Return sizes and coverage overall, by lineage, by class and by source.

    Parameters
    ----------
    cells
        N cells.
    possible : (N, C)
        From `possible_classes`.
    level
        The coverage that the limits aim at, where it is known.

    Returns
    -------
    dict
        ``rows`` with ``kind`` (all, source, lineage, class) and ``name``: ``k`` of
        ``n`` sets hold the true class (``value`` with its exact interval),
        ``mean_size``, and the shares of sets that are ``single`` and ``empty``;
        ``sizes``, how many sets have 0, 1, 2 ... classes; ``level``; ``definition``.
    """
    covered = possible[np.arange(len(cells)), cells.targets]
    size = possible.sum(axis=1)
    rows = []
    for kind, name, own in _parts(cells, taxonomy):
        row = {"kind": kind, "name": name, **share_of(covered, own, cells.units)}
        for key, value in (
            ("mean_size", size),
            ("single", size == 1),
            ("empty", size == 0),
        ):
            row[key] = round(float(value[own].mean()), 6) if own.any() else None
        rows.append(row)
    sizes = np.bincount(size, minlength=possible.shape[1] + 1)
    return {
        "definition": SET,
        "level": level,
        "rows": rows,
        "sizes": [int(n) for n in sizes],
    }


def _parts(
    cells: LabelledPredictions, taxonomy: Taxonomy
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield kind, name and members of every set of cells in the report."""
    yield "all", "all cells", np.ones(len(cells), np.bool_)
    for source in np.unique(cells.sources):
        yield "source", str(source), cells.sources == source
    lineage = taxonomy.lineage_index[cells.targets]
    for i, group in enumerate(taxonomy.lineages):
        yield "lineage", group.name, lineage == i
    for i, code in enumerate(taxonomy.codes):
        yield "class", code, cells.targets == i
