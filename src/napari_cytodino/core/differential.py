"""The differential count, with confidence intervals and the M:E ratio."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_cytodino.core.errors import InputError
from napari_cytodino.core.table import taxonomy_of

if TYPE_CHECKING:
    from napari_cytodino.core.taxonomy import Taxonomy

Z = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927).

    Returns
    -------
    low, high
        Shares from 0 to 1; 0 and 1 when there are no trials.

    Raises
    ------
    InputError
        When there are more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= trials:
        raise InputError(f"{successes} of {trials} is not a share; check the counts.")
    if trials == 0:
        return (0.0, 1.0)
    p, z2 = successes / trials, Z * Z
    middle = p + z2 / (2 * trials)
    spread = Z * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials))
    scale = 1 + z2 / trials
    low = 0.0 if successes == 0 else (middle - spread) / scale
    high = 1.0 if successes == trials else (middle + spread) / scale
    return (low, high)


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
    counts = table["final_class"].value_counts()
    total = sum(int(counts.get(c.code, 0)) for c in taxonomy.classes if c.counted)
    rows: list[dict[str, Any]] = []
    for cell in taxonomy.classes:
        count = int(counts.get(cell.code, 0))
        percent, low, high = math.nan, math.nan, math.nan
        if cell.counted and total:
            percent = 100 * count / total
            low, high = (100 * share for share in wilson(count, total))
        rows.append(
            {
                "cell_class": cell.code,
                "name": cell.name,
                "lineage": cell.lineage,
                "counted": cell.counted,
                "count": count,
                "percent": round(percent, 2),
                "low": round(low, 2),
                "high": round(high, 2),
            }
        )
    return pd.DataFrame(rows)


def me_ratio(
    table: pd.DataFrame, taxonomy: Taxonomy
) -> tuple[float, float, float] | None:
    """Return the ratio of myeloid to erythroid cells and its 95 % interval.

    The interval is exp(ln(M/E) -+ 1.96 sqrt(1/M + 1/E)).

    Returns
    -------
    ratio, low, high
        None when either side has no cell.
    """
    sides = {c.code: c.me_ratio for c in taxonomy.classes}
    side = table["final_class"].map(sides)
    myeloid, erythroid = (
        int((side == "myeloid").sum()),
        int((side == "erythroid").sum()),
    )
    if myeloid == 0 or erythroid == 0:
        return None
    ratio = myeloid / erythroid
    factor = math.exp(Z * math.sqrt(1 / myeloid + 1 / erythroid))
    return (ratio, ratio / factor, ratio * factor)


def summary(table: pd.DataFrame, taxonomy: Taxonomy) -> dict[str, Any]:
    """Return what a reader wants first: cells, counted, flagged, M:E ratio."""
    counted = {c.code for c in taxonomy.classes if c.counted}
    return {
        "cells": len(table),
        "counted": int(table["final_class"].isin(counted).sum()),
        "without_class": int((table["final_class"] == "").sum()),
        "flagged": int(table["status"].isin(["review", "lineage_only"]).sum()),
        "rejected": int((table["status"] == "rejected").sum()),
        "me_ratio": me_ratio(table, taxonomy),
    }
