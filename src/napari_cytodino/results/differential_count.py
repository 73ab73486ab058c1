"""The differential count, with confidence intervals and the M:E ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_cytodino.results.cell_table import taxonomy_of
from napari_cytodino.results.counting import CountingRules
from napari_cytodino.stats import Z, wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_cytodino.taxonomy import Taxonomy


SAMPLING_ONLY = (
    "Intervals hold 95 % and tell only of the chance in which cells were counted; "
    "they do not include errors of the classifier."
)
"""Said wherever intervals of a differential are shown."""


@dataclass(frozen=True)
class Share:
    """So many cells of so many that count, with Wilson's 95 % interval in per cent."""

    count: int
    total: int
    counted: bool = True
    """False for cells that stand apart: they have a count, but no share."""

    @property
    def percent(self) -> float:
        """From 0 to 100; NaN where nothing counts."""
        known = self.counted and self.total
        return 100 * self.count / self.total if known else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Lowest and highest per cent; NaN where nothing counts."""
        if not (self.counted and self.total):
            return (math.nan, math.nan)
        low, high = wilson(self.count, self.total)
        return (100 * low, 100 * high)


@dataclass(frozen=True)
class Ratio:
    """Cells on either side of the M:E ratio."""

    myeloid: int
    erythroid: int

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """Ratio, low, high: exp(ln(M/E) -+ 1.96 sqrt(1/M + 1/E)).

        None when either side has no cell.
        """
        if self.myeloid == 0 or self.erythroid == 0:
            return None
        ratio = self.myeloid / self.erythroid
        factor = math.exp(Z * math.sqrt(1 / self.myeloid + 1 / self.erythroid))
        return (ratio, ratio / factor, ratio * factor)

    @property
    def sentence(self) -> str:
        """The ratio in words, or why there is none."""
        sides = f"{self.myeloid:,} myeloid, {self.erythroid:,} erythroid cells"
        if self.interval is None:
            return f"M:E not computable ({sides})"
        ratio, low, high = self.interval
        return f"M:E {ratio:.1f} (95 % {low:.1f} to {high:.1f}; {sides})"


@dataclass(frozen=True)
class ClassCounts:
    """Cells of each class in a table.

    Attributes
    ----------
    model : mapping
        By the class that the model thinks likeliest, whatever it doubts.
    reviewed : mapping
        By the final class: a reader's where there is one, else the model's where it
        settled on one.
    confirmed : mapping
        By the class that a reader gave.
    open : mapping
        Cells without a final class that no reader has called, by the model's likeliest.
    cells : int
        Lines of the table.
    flagged : int
        Cells that the model did not accept by itself, reviewed or not.
    looked_at : int
        Cells with a verdict of a reader.
    """

    model: Mapping[str, int]
    reviewed: Mapping[str, int]
    confirmed: Mapping[str, int]
    open: Mapping[str, int]
    cells: int
    flagged: int
    looked_at: int

    @staticmethod
    def of(table: pd.DataFrame) -> ClassCounts:
        """Count a table with the columns of `core.table`."""
        model, reviewed, confirmed, status = (
            _counts(table[name])
            for name in ("cell_class", "final_class", "reviewed_class", "status")
        )
        nobody = (table["final_class"] == "") & (table["reviewed_class"] == "")
        return ClassCounts(
            model,
            reviewed,
            confirmed,
            _counts(table["cell_class"][nobody]),
            cells=len(table),
            flagged=len(table) - status.get("auto", 0),
            looked_at=sum(n for code, n in confirmed.items() if code),
        )


@dataclass(frozen=True)
class DifferentialRow:
    """One class or one lineage of a differential.

    Attributes
    ----------
    key, name, colour : str
        Code and name of the class, or name and title of the lineage; ``#RRGGBB``.
    lineage : str
        Its lineage; of a lineage, itself.
    reviewed, model : Share
        As it stands now, and by the model alone. A lineage that counts has the sum of
        its classes that count; one that does not, of all its classes.
    """

    key: str
    name: str
    colour: str
    lineage: str
    reviewed: Share
    model: Share

    @property
    def counted(self) -> bool:
        """Whether it is part of the 100 %."""
        return self.reviewed.counted


@dataclass(frozen=True)
class Differential:
    """A differential as it stands, beside that of the model alone.

    Attributes
    ----------
    counting : Counting
        What was counted.
    tally : Tally
        The cells it was made of.
    classes, lineages : tuple of Line
        Lineages in the taxonomy's order, their classes in that of maturation.
    blasts : Line or None
        The blasts together; None where no class of blasts counts.
    ratio, model_ratio : Ratio
        M:E as it stands, and by the model alone.
    """

    counting: CountingRules
    tally: ClassCounts
    classes: tuple[DifferentialRow, ...]
    lineages: tuple[DifferentialRow, ...]
    blasts: DifferentialRow | None
    ratio: Ratio
    model_ratio: Ratio

    @property
    def total(self) -> int:
        """Cells that count."""
        return sum(self.tally.reviewed.get(c, 0) for c in self.counting.counted)

    @property
    def share_of_target(self) -> float:
        """The share of the target that is counted; above 1 when there are more."""
        return self.total / self.counting.target

    @property
    def without_class(self) -> int:
        """Cells without a class: open, unreadable, or no cell to a reader."""
        return self.tally.cells - sum(line.reviewed.count for line in self.classes)

    def classes_of(self, lineage: str) -> tuple[DifferentialRow, ...]:
        """Return the lines of a lineage's classes."""
        return tuple(line for line in self.classes if line.lineage == lineage)


def count_cells(
    table: pd.DataFrame,
    taxonomy: Taxonomy | None = None,
    counting: CountingRules | None = None,
) -> Differential:
    """Count the cells of a table, as reviewed and by the model alone.

    Parameters
    ----------
    table
        With the columns of `core.table`.
    taxonomy
        None takes the one that made the table.
    counting
        None takes the taxonomy's own.
    """
    taxonomy = taxonomy or taxonomy_of(table)
    counting = counting or CountingRules.of(taxonomy)
    tally = ClassCounts.of(table)
    counts = (tally.reviewed, tally.model)
    totals = [_sum(own, counting.counted) for own in counts]

    def line(
        key: str, name: str, colour: str, lineage: str, codes: list[str]
    ) -> DifferentialRow:
        inside = [c for c in codes if c in counting.counted]
        reviewed, model = (
            Share(_sum(own, inside or codes), total, bool(inside))
            for own, total in zip(counts, totals, strict=True)
        )
        return DifferentialRow(key, name, colour, lineage, reviewed, model)

    blasts, sides = list(counting.counted_blasts), counting.sides
    ratios = [Ratio(_sum(own, sides[0]), _sum(own, sides[1])) for own in counts]
    return Differential(
        counting,
        tally,
        classes=tuple(
            line(c.code, c.name, c.colour, c.lineage, [c.code])
            for g in taxonomy.lineages
            for c in taxonomy.classes_of(g.name)
        ),
        lineages=tuple(
            line(g.name, g.title, g.colour, g.name, [c.code for c in classes])
            for g in taxonomy.lineages
            if (classes := taxonomy.classes_of(g.name))
        ),
        blasts=line("+".join(blasts), "Blasts", "", "", blasts) if blasts else None,
        ratio=ratios[0],
        model_ratio=ratios[1],
    )


def differential(table: pd.DataFrame, taxonomy: Taxonomy | None = None) -> pd.DataFrame:
    """Count the cells of each class.

    Percentages are of the counted classes only (ICSH: artefacts, smudge cells and
    unidentifiable cells stand apart). Intervals hold for the sampling of cells; they do
    not include errors of the classifier.

    Parameters
    ----------
    table
        With a column `final_class`; rows without a class are not counted.
    taxonomy
        None takes the one that made the table.

    Returns
    -------
    DataFrame
        One row a class in the taxonomy's order: `cell_class`, `name`, `lineage`,
        `counted`, `count`, `percent`, `low`, `high` (95 %, Wilson); the last three are
        NaN for classes that are not counted.
    """
    taxonomy = taxonomy or taxonomy_of(table)
    counts = _counts(table["final_class"])
    total = sum(counts.get(c.code, 0) for c in taxonomy.classes if c.counted)
    rows: list[dict[str, Any]] = []
    for cell in taxonomy.classes:
        share = Share(counts.get(cell.code, 0), total, cell.counted)
        low, high = share.interval
        rows.append(
            {
                "cell_class": cell.code,
                "name": cell.name,
                "lineage": cell.lineage,
                "counted": cell.counted,
                "count": share.count,
                "percent": round(share.percent, 2),
                "low": round(low, 2),
                "high": round(high, 2),
            }
        )
    return pd.DataFrame(rows)


def _counts(column: pd.Series[Any]) -> dict[str, int]:
    return {str(code): int(n) for code, n in column.value_counts().items()}


def _sum(counts: Mapping[str, int], codes: Iterable[str]) -> int:
    return sum(counts.get(code, 0) for code in codes)
