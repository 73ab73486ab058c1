"""What is known of one cell, as pure values."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.results import Colour, class_colours
from napari_cytodino.uncertainty import UNREACHABLE

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.widgets.session.session import Session


LIKELIEST = 5
"""How many classes a card shows."""

STATUS_WORDS = {
    "auto": "accepted",
    "lineage_only": "lineage only",
    "review": "for an expert",
    "rejected": "unreadable",
    "": "not classified yet",
}
"""What the card calls each status."""


@dataclass(frozen=True)
class Likely:
    """One class and how likely it is."""

    code: str
    name: str
    colour: Colour
    probability: float


@dataclass(frozen=True)
class CellCard:
    """One cell in words and numbers; `likeliest` is empty before it is classified.

    Attributes
    ----------
    calibrated : bool
        Whether the per cent of `likeliest` were calibrated.
    possible : tuple of str or None
        Codes of the classes it may be, likeliest first; None where that was not
        measured.
    set_level : float
        Share of cells whose true class is among the possible ones.
    unfamiliarity : float
        Distance to the training cells in units of its limit; NaN if unknown.
    verdict : str
        The verdict and its reader; empty where there is none.
    """

    title: str
    status: str = ""
    lineage: str = ""
    reason: str = ""
    likeliest: tuple[Likely, ...] = ()
    calibrated: bool = False
    possible: tuple[str, ...] | None = None
    set_level: float = 0.0
    unfamiliarity: float = math.nan
    verdict: str = ""


def cell_card_of(session: Session, row: int) -> CellCard:
    """Return the card of one of the session's cells."""
    assert session.cells is not None
    label = int(session.cells.label[row])
    title = (
        f"Clicked cell {label}" if row >= session.layer_cell_count else f"Cell {label}"
    )
    predictions, taxonomy = session.predictions, session.taxonomy
    evidence = session.probabilities
    if predictions is None or taxonomy is None or evidence is None:
        return CellCard(title)
    if not predictions.done[row]:
        return CellCard(title)
    place = int(np.count_nonzero(predictions.done[:row]))
    entry = session.table.iloc[place]
    titles = {g.name: g.title for g in taxonomy.lineages}
    card = CellCard(
        title,
        entry["status"],
        titles.get(entry["lineage"], ""),
        entry["reason"],
        verdict=_verdict(session, row),
    )
    if session.blind or not predictions.readable[row]:
        return card
    p = evidence.p[row]
    order = np.argsort(-p, kind="stable")
    colours = class_colours(taxonomy)
    calibration = session.opened.calibration if session.opened else None
    return replace(
        card,
        likeliest=tuple(
            Likely(c.code, c.name, colours[c.code], float(p[i]))
            for i in order[:LIKELIEST]
            for c in [taxonomy.classes[i]]
        ),
        calibrated=calibration is not None,
        possible=_possible(session, p, order),
        set_level=calibration.set_level if calibration else 0.0,
        unfamiliarity=float(evidence.unfamiliarity[row]),
    )


def _verdict(session: Session, row: int) -> str:
    verdict = session.reviews.get(row)
    if verdict is None:
        return ""
    return f"{verdict.cell_class.replace('_', ' ')}, by {verdict.reviewer}"


def _possible(
    session: Session, p: npt.NDArray[np.float32], order: npt.NDArray[np.int64]
) -> tuple[str, ...] | None:
    taxonomy, policy = session.taxonomy, session.policy
    if taxonomy is None or policy is None or not policy.set_limits:
        return None
    limits = policy.set_limits
    return tuple(
        c.code
        for i in order
        for c in [taxonomy.classes[i]]
        if p[i] >= 1 - limits.get(c.lineage, 1 - UNREACHABLE)
    )


def familiar_words(unfamiliarity: float) -> str:
    """Return how near the training cells are: '0.7 of the limit'; empty if unknown."""
    if math.isnan(unfamiliarity):
        return ""
    if unfamiliarity <= 1:
        return f"{unfamiliarity:.1f} of the limit"
    # never '1.0 times': it is beyond the limit, as the reason of the decision says
    beyond = math.ceil(min(unfamiliarity, 100.0) * 10) / 10
    return f"{beyond:.1f} times the limit"


def tally(codes: tuple[str, ...]) -> str:
    """Return classes with their numbers, the most frequent first: '3 A, 2 B'."""
    return ", ".join(f"{n} {code}" for code, n in Counter(codes).most_common())
