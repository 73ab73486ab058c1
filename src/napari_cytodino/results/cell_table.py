"""The cell table: one row a cell, the same columns in every place it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_cytodino.common import InputError
from napari_cytodino.taxonomy import NOT_A_CELL, Taxonomy
from napari_cytodino.uncertainty import decide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_cytodino.cells import Cells
    from napari_cytodino.uncertainty import (
        ClassProbabilities,
        DecisionPolicy,
        Predictions,
    )


COLUMNS = (
    "index",
    "label",
    "y",
    "x",
    "area",
    "at_border",
    "cell_class",
    "lineage",
    "confidence",
    "margin",
    "status",
    "reason",
    "reviewed_class",
    "final_class",
    "reviewer",
    "reviewed_at",
)
"""The columns in order; `index` repeats `label`, which is where napari looks it up."""

BOX_COLUMNS = ("bbox_top", "bbox_left", "bbox_bottom", "bbox_right")
"""Further columns of files: the bounding box in pixels, half open."""

DIGITS = 6
"""Exported probabilities are rounded: they differ by 1e-7 between batch sizes."""


class _Shared(dict[str, Any]):
    """A dictionary that is not copied, for nobody changes it.

    pandas copies `attrs` deeply whenever a column is taken out of a table, which took
    a third of the time of a verdict.
    """

    def __deepcopy__(self, memo: object) -> _Shared:
        return self


def empty_table() -> pd.DataFrame:
    """Return a cell table without rows."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})


def build_table(
    cells: Cells,
    predictions: Predictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    reviews: Mapping[int, tuple[str, str, str]] | None = None,
    *,
    evidence: ClassProbabilities | None = None,
) -> pd.DataFrame:
    """Return the table of the cells that are done, in the order of `cells`.

    Parameters
    ----------
    reviews
        By row of the cells: reviewed class, reviewer, time (UTC, ISO 8601).
    evidence
        As in `decide`: what `class_probabilities` made of the same predictions,
        where it is at hand.

    Raises
    ------
    InputError
        When cells and predictions differ in number.
    """
    if len(cells) != len(predictions):
        raise InputError(
            f"{len(predictions)} predictions do not fit {len(cells)} cells; "
            "classify these cells again."
        )
    decisions = decide(predictions, taxonomy, policy, cells.at_border, evidence)
    codes = np.array([*taxonomy.codes, ""], object)
    lineages = np.array([*(g.name for g in taxonomy.lineages), ""], object)
    reviewed = np.full((3, len(cells)), "", object)
    if reviews:
        reviewed[:, list(reviews)] = np.array(list(reviews.values()), object).T
    predicted = codes[decisions.class_index]
    columns = {
        "index": cells.label.copy(),
        "label": cells.label.copy(),
        "y": cells.centre[:, 0].copy(),
        "x": cells.centre[:, 1].copy(),
        "area": cells.area.copy(),
        "at_border": cells.at_border.copy(),
        "cell_class": _text(predicted),
        "lineage": _text(lineages[decisions.lineage_index]),
        "confidence": decisions.confidence.round(DIGITS),
        "margin": decisions.margin.round(DIGITS),
        "status": _text(decisions.status),
        "reason": _text(decisions.reason),
        "reviewed_class": _text(reviewed[0]),
        "final_class": _text(_final_class(reviewed[0], predicted, decisions.status)),
        "reviewer": _text(reviewed[1]),
        "reviewed_at": _text(reviewed[2]),
    }
    # nothing else holds these arrays, and copying them takes as long as deciding
    table = pd.DataFrame(columns, columns=list(COLUMNS), copy=False)
    if not predictions.done.all():
        table = table.loc[predictions.done].reset_index(drop=True)
    table.attrs["taxonomy"] = _Shared(taxonomy.to_dict())
    return table


def final_class(table: pd.DataFrame) -> pd.Series[str]:
    """Return the reviewed class of each row where there is one, else the predicted one.

    A class that the model could not settle (`lineage_only`, `rejected`) is no class, so
    these rows stay empty until someone reviews them. What a reader called no cell has
    no class either.
    """
    arrays = (
        table[name].to_numpy(object)
        for name in ("reviewed_class", "cell_class", "status")
    )
    return _text(_final_class(*arrays)).set_axis(table.index)


def write_verdicts(
    table: pd.DataFrame,
    lines: npt.NDArray[np.intp],
    reviews: Sequence[tuple[str, str, str]],
) -> None:
    """Write verdicts into some lines of a table, in place.

    Parameters
    ----------
    lines : (M,)
        Positions in the table.
    reviews
        Reviewed class, reviewer and time of each line; all empty takes one back.
    """
    columns = [np.array([r[part] for r in reviews], object) for part in range(3)]
    settled = _final_class(
        columns[0],
        table["cell_class"].to_numpy(object)[lines],
        table["status"].to_numpy(object)[lines],
    )
    names = ("reviewed_class", "reviewer", "reviewed_at", "final_class")
    for name, values in zip(names, (*columns, settled), strict=True):
        changed = table[name].to_numpy(object, copy=True)
        changed[lines] = values
        table[name] = _text(changed).set_axis(table.index)


def blinded(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as a reader sees it who must not know the model's predictions.

    Classes, lineage, confidence, margin, status and reason are empty; the reader's
    verdicts stay.
    """
    blind = table.copy()
    blind.attrs = dict(table.attrs)
    for name in ("cell_class", "lineage", "status", "reason"):
        blind[name] = _text([""] * len(table))
    blind["confidence"] = blind["margin"] = np.nan
    blind["final_class"] = final_class(blind)
    return blind


def _final_class(
    reviewed: npt.NDArray[np.object_],
    predicted: npt.NDArray[np.object_],
    status: npt.NDArray[np.object_],
) -> npt.NDArray[np.object_]:
    unsettled = (status == "lineage_only") | (status == "rejected")
    settled = np.where(reviewed != "", reviewed, np.where(unsettled, "", predicted))
    return np.where(reviewed == NOT_A_CELL, "", settled)


def with_file_columns(
    table: pd.DataFrame,
    cells: Cells,
    predictions: Predictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    *,
    image: str,
    checkpoint: str,
) -> pd.DataFrame:
    """Return the table with the columns that only files hold.

    These are `image`, the bounding box, `checkpoint` and `p_<CODE>` for each class.
    """
    row_of = {int(label): row for row, label in enumerate(cells.label)}
    rows = np.array([row_of[int(label)] for label in table["label"]], np.intp)
    p = predictions.probabilities(policy.temperature)[rows].round(DIGITS)
    extra = {"image": _text([image] * len(table))}
    frame = pd.concat(
        [
            pd.DataFrame(extra),
            table.reset_index(drop=True),
            pd.DataFrame(cells.bbox[rows], columns=list(BOX_COLUMNS)),
            pd.DataFrame({"checkpoint": _text([checkpoint] * len(table))}),
            pd.DataFrame(p, columns=[f"p_{code}" for code in taxonomy.codes]),
        ],
        axis=1,
    )
    frame.attrs = dict(table.attrs)
    return frame


def taxonomy_of(table: pd.DataFrame) -> Taxonomy:
    """Return the taxonomy that made a table of `build_table` or `classify`.

    Raises
    ------
    InputError
        When the table does not say it, as after reading it from a file.
    """
    if "taxonomy" not in table.attrs:
        raise InputError(
            "This table does not say which taxonomy made it; pass taxonomy=, such as "
            "Taxonomy.load('mll21')."
        )
    return Taxonomy.from_dict(table.attrs["taxonomy"])


def _text(values: npt.ArrayLike) -> pd.Series[str]:
    # Object columns: pandas 2 and 3 disagree on the type of text columns otherwise.
    return pd.Series(np.asarray(values, object), dtype=object)
