"""How far two readers, or a reader and the model, agree: kappa with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.common import InputError
from napari_cytodino.stats import Kappa, kappa
from napari_cytodino.taxonomy import NOT_A_CELL, neighbours

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy


@dataclass(frozen=True)
class MaturationAgreement:
    """Agreement on the stage of cells that both put into one line of maturation."""

    lineage: str
    title: str
    strict: Kappa
    weighted: Kappa
    """Linear weights by distance in stages; its `agreed` accepts the stage beside."""


@dataclass(frozen=True)
class Disagreement:
    """A cell that two called differently."""

    row: int
    first: str
    second: str
    adjacent: bool
    """True for successive stages of one line, which a tolerant count accepts."""


@dataclass(frozen=True)
class Agreement:
    """How far two agree on the cells that both called.

    Attributes
    ----------
    first, second : str
        Who.
    classes, tolerant, lineages, critical : Kappa
        On the class; on the class with the stage beside it accepted; on the lineage;
        on whether it is a class that must not be missed.
    series : tuple of Series
        For every line of maturation with at least two stages.
    disagreements : tuple of Disagreement
        In ascending order of rows.
    """

    first: str
    second: str
    classes: Kappa
    tolerant: Kappa
    lineages: Kappa
    critical: Kappa
    series: tuple[MaturationAgreement, ...]
    disagreements: tuple[Disagreement, ...]


def agreement(
    first: Mapping[int, str],
    second: Mapping[int, str],
    taxonomy: Taxonomy,
    *,
    names: tuple[str, str] = ("model", "reader"),
    other: Sequence[str] = (NOT_A_CELL,),
) -> Agreement:
    """Compare what two called the cells that both called.

    Parameters
    ----------
    first, second
        Class code by row; an empty code is no call.
    names
        Who they are.
    other
        Verdicts that are no class: each is a category, and a lineage, of its own, and
        not critical.

    Raises
    ------
    InputError
        When a code is neither in the taxonomy nor in `other`.
    """
    rows = sorted(
        row for row in first.keys() & second.keys() if first[row] and second[row]
    )
    codes = [*taxonomy.codes, *other]
    a, b = (
        _places([calls[row] for row in rows], codes, taxonomy)
        for calls in (first, second)
    )
    size, extra = len(codes), len(other)
    beside = np.zeros((size, size), bool)
    beside[: len(taxonomy), : len(taxonomy)] = neighbours(taxonomy)
    groups = len(taxonomy.lineages)
    lineage = np.concatenate([taxonomy.lineage_index, groups + np.arange(extra)])
    critical = np.concatenate([taxonomy.critical_mask, np.zeros(extra, bool)])
    table = _table(a, b, size)
    return Agreement(
        *names,
        classes=kappa(table),
        tolerant=kappa(table, np.where(beside, 1.0, np.eye(size))),
        lineages=kappa(_table(lineage[a], lineage[b], groups + extra)),
        critical=kappa(_table(critical[a].astype(int), critical[b].astype(int), 2)),
        series=_series(table, taxonomy, beside),
        disagreements=tuple(
            Disagreement(rows[i], codes[a[i]], codes[b[i]], bool(beside[a[i], b[i]]))
            for i in np.flatnonzero(a != b)
        ),
    )


def _places(
    called: list[str], codes: list[str], taxonomy: Taxonomy
) -> NDArray[np.int64]:
    place = {code: i for i, code in enumerate(codes)}
    unknown = sorted(set(called) - set(place))
    if unknown:
        raise InputError(
            f"'{unknown[0]}' is not a class of taxonomy '{taxonomy.name}'; compare "
            f"verdicts given in its classes {', '.join(taxonomy.codes)}."
        )
    return np.array([place[code] for code in called], np.int64)


def _table(a: NDArray[np.int64], b: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Count what one called in rows, the other in columns."""
    return np.bincount(a * size + b, minlength=size**2).reshape(size, size)


def _series(
    table: NDArray[np.int64], taxonomy: Taxonomy, beside: NDArray[np.bool_]
) -> tuple[MaturationAgreement, ...]:
    found = []
    for group in taxonomy.lineages:
        line = [taxonomy.index(c.code) for c in taxonomy.classes_of(group.name)]
        stages = [taxonomy.classes[i].stage for i in line]
        steps = np.array([sorted(set(stages)).index(stage) for stage in stages])
        if not group.sequential or len(set(stages)) < 2:
            continue
        own = table[np.ix_(line, line)]
        distance = np.abs(steps[:, None] - steps[None, :]) / steps.max()
        near = beside[np.ix_(line, line)] | np.eye(len(line), dtype=bool)
        found.append(
            MaturationAgreement(
                group.name,
                group.title,
                strict=kappa(own),
                weighted=kappa(own, 1 - distance, near),
            )
        )
    return tuple(found)
