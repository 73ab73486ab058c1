"""The sentence that says why a person should look at a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty.probabilities import ClassProbabilities


if TYPE_CHECKING:
    Text = npt.NDArray[np.object_]

WHOLE = np.array([f"{i}%" for i in range(101)], object)
"""Percentages without a decimal; looking them up is faster than writing each anew."""

TENTHS = np.array([f"{i / 10:.1f}%" for i in range(1001)], object)
"""Percentages with one."""

SAME = {
    "unreadable": "unreadable pixels",
    "uncalibrated": "no threshold is calibrated for these weights",
    "foreign": "these cells as a whole are unlike the training cells: no threshold "
    "holds",
    "rare": "a class too rare to calibrate is possible",
    "border": "cut by the border",
}
"""Reasons that are the same for every cell of a rule."""


def percent(share: npt.NDArray[np.floating[Any]], texts: Text) -> Text:
    """Return shares in 0..1 as texts of a table that spans 0 to 100 %."""
    place = np.rint(np.clip(share, 0, 1) * (len(texts) - 1)).astype(np.int64)
    return np.asarray(texts[place], object)


def reasons(
    rules: Sequence[str],
    which: npt.NDArray[np.int64],
    evidence: ClassProbabilities,
    taxonomy: Taxonomy,
    min_confidence: float,
) -> Text:
    """Return the reason of each cell; empty where there is nothing to look at.

    Parameters
    ----------
    rules
        Their names.
    which : (N,)
        The rule that decided each cell.
    min_confidence
        What would have been enough.
    """
    writers = _reason_writers(evidence, taxonomy, min_confidence)
    out = np.full(len(which), "", object)
    for place, rule in enumerate(rules):
        rows = np.flatnonzero(which == place)
        if len(rows) and rule in SAME:
            out[rows] = SAME[rule]
        elif len(rows) and rule in writers:
            out[rows] = writers[rule](rows)
    return out


def _reason_writers(
    e: ClassProbabilities, taxonomy: Taxonomy, min_confidence: float
) -> dict[str, Callable[[npt.NDArray[np.intp]], Text]]:
    """Return, for rules whose reason differs from cell to cell, what writes it."""
    codes = np.array(taxonomy.codes, object)
    titles = np.array([g.name for g in taxonomy.lineages], object)
    doubt, enough = "low confidence (", f", accepted from {min_confidence:.1%})"
    if min_confidence > 1:
        doubt, enough = "no confidence is enough for the accuracy asked for (", ")"

    def critical(r: npt.NDArray[np.intp]) -> Text:
        share = percent(e.critical[r], WHOLE)
        return _joined(
            "a critical class cannot be excluded (", codes[e.worst[r]], "; all ", share
        )

    def close(r: npt.NDArray[np.intp]) -> Text:
        share = percent(e.confidence[r] - e.margin[r], WHOLE)
        return _joined("close second (", codes[e.second[r]], " ", share)

    def unsure(r: npt.NDArray[np.intp]) -> Text:
        share = percent(e.confidence[r], TENTHS)
        return _joined(doubt, codes[e.best[r]], " ", share, end=enough)

    return {
        "unfamiliar": lambda r: _joined(
            "unlike the training cells (", _times(e.unfamiliarity[r])
        ),
        "critical": critical,
        "lineage": lambda r: _joined(
            "stage unclear, lineage sure (", titles[e.lineage[r]]
        ),
        "close": close,
        "unsure": unsure,
    }


def _joined(start: str, *parts: Text | str, end: str = ")") -> Text:
    """Return texts joined cell by cell."""
    out: Any = start
    for part in (*parts, end):
        out = out + part
    return np.asarray(out, object)


def _times(unfamiliarity: npt.NDArray[np.float32]) -> Text:
    """Return how far outside, as a multiple of the limit: '1.3 times the limit'."""
    tenths = np.minimum(np.ceil(unfamiliarity * 10), 1000).astype(np.int64)
    table = np.array([f"{i / 10:.1f} times the limit" for i in range(1001)], object)
    return table[tenths]
