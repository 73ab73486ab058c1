"""How far two readers, or a reader and the model, agree: kappa with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.core.differential import Z
from napari_cytodino.core.errors import InputError
from napari_cytodino.core.lineage_tree import neighbours
from napari_cytodino.core.reviews import NOT_A_CELL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_cytodino.core.taxonomy import Taxonomy

FORMULA = (
    "Kappa after Cohen (1960, weighted 1968); 95 % interval from the large-sample "
    "standard error of Fleiss, Cohen and Everitt (1969)."
)
"""Said beside the numbers."""

NO_CELLS = "no cell was called by both"

ONE_CLASS = "both call every cell the same, so chance alone would agree as well"

PERFECT = "they agree on every cell, where this formula has no interval"

NO_SPREAD = "too few cells for an interval"

_SMALL = 1e-9


@dataclass(frozen=True)
class Kappa:
    """Agreement beyond chance.

    Attributes
    ----------
    value : float or None
        1 for perfect, 0 for what chance gives, below it for less; None where it is not
        defined.
    low, high : float or None
        95 % interval, within -1 and 1; None where there is none.
    cells, agreed : int
        Called by both, and called alike (or nearly, where that is accepted).
    why : str
        Why there is no value or no interval; empty where there are both.
    """

    value: float | None
    low: float | None
    high: float | None
    cells: int
    agreed: int
    why: str = ""

    @property
    def sentence(self) -> str:
        """The kappa in words, or why there is none."""
        alike = f"{self.agreed:,} of {self.cells:,} cells alike"
        if self.value is None:
            return f"kappa not defined: {self.why} ({alike})"
        if self.low is None or self.high is None:
            return f"kappa {self.value:.2f} ({alike}; {self.why})"
        span = f"95 % {self.low:.2f} to {self.high:.2f}"
        return f"kappa {self.value:.2f} ({span}; {alike})"


@dataclass(frozen=True)
class Series:
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
    series: tuple[Series, ...]
    disagreements: tuple[Disagreement, ...]


def kappa(
    first: NDArray[np.integer],
    second: NDArray[np.integer],
    weights: NDArray[np.float64],
    accepted: NDArray[np.bool_] | None = None,
) -> Kappa:
    """Return Cohen's kappa with the 95 % interval of Fleiss, Cohen and Everitt.

    Parameters
    ----------
    first, second : (N,) integers
        What two called each cell, 0 to C - 1.
    weights : (C, C)
        1 for full agreement, on the diagonal, down to 0 for none: the identity for
        Cohen's first kappa.
    accepted : (C, C), optional
        Which pairs count as alike in `agreed`; by default those of weight 1.
    """
    cells = len(first)
    accepted = weights > 1 - _SMALL if accepted is None else accepted
    agreed = int(accepted[first, second].sum())
    if cells == 0:
        return Kappa(None, None, None, 0, 0, NO_CELLS)
    p = np.zeros(weights.shape)
    np.add.at(p, (first, second), 1 / cells)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed = float((p * weights).sum())
    chance = float(rows @ weights @ columns)
    if 1 - chance < _SMALL:
        return Kappa(None, None, None, cells, agreed, ONE_CLASS)
    value = (observed - chance) / (1 - chance)
    if 1 - observed < _SMALL:
        return Kappa(1.0, None, None, cells, agreed, PERFECT)
    by_row, by_column = weights @ columns, rows @ weights
    middle = by_row[:, None] + by_column[None, :]
    # their formula as what it is, a variance, which loses no digits
    terms = weights * (1 - chance) - middle * (1 - observed)
    spread = float((p * (terms - (p * terms).sum()) ** 2).sum())
    error = math.sqrt(spread / cells) / (1 - chance) ** 2
    if error < _SMALL:
        return Kappa(value, None, None, cells, agreed, NO_SPREAD)
    low, high = max(-1.0, value - Z * error), min(1.0, value + Z * error)
    return Kappa(value, low, high, cells, agreed)


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
    strict = np.eye(size)
    return Agreement(
        *names,
        classes=kappa(a, b, strict),
        tolerant=kappa(a, b, np.where(beside, 1.0, strict)),
        lineages=kappa(lineage[a], lineage[b], np.eye(groups + extra)),
        critical=kappa(critical[a].astype(int), critical[b].astype(int), np.eye(2)),
        series=_series(a, b, taxonomy, beside),
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


def _series(
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    taxonomy: Taxonomy,
    beside: NDArray[np.bool_],
) -> tuple[Series, ...]:
    found = []
    for group in taxonomy.lineages:
        line = [taxonomy.index(c.code) for c in taxonomy.classes_of(group.name)]
        stages = [taxonomy.classes[i].stage for i in line]
        steps = np.array([sorted(set(stages)).index(stage) for stage in stages])
        if not group.sequential or len(set(stages)) < 2:
            continue
        inside = np.isin(a, line) & np.isin(b, line)
        place = np.full(len(beside), -1)
        place[line] = np.arange(len(line))
        own = place[a[inside]], place[b[inside]]
        distance = np.abs(steps[:, None] - steps[None, :]) / steps.max()
        near = beside[np.ix_(line, line)] | np.eye(len(line), dtype=bool)
        found.append(
            Series(
                group.name,
                group.title,
                strict=kappa(*own, np.eye(len(line))),
                weighted=kappa(*own, 1 - distance, near),
            )
        )
    return tuple(found)
