"""What there is to say of one cell, as pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.core.colours import Colour, class_colours

if TYPE_CHECKING:
    from napari_cytodino.widgets.session import Session

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
class Card:
    """One cell in words and numbers; `likeliest` is empty before it is classified."""

    title: str
    status: str
    lineage: str
    reason: str
    likeliest: tuple[Likely, ...]


def describe(session: Session, row: int) -> Card:
    """Return the card of one of the session's cells."""
    assert session.cells is not None
    label = int(session.cells.label[row])
    title = f"Clicked cell {label}" if row >= session.main_count else f"Cell {label}"
    predictions, taxonomy, policy = (
        session.predictions,
        session.taxonomy,
        session.policy,
    )
    if (
        predictions is None
        or taxonomy is None
        or policy is None
        or not predictions.done[row]
    ):
        return Card(title, "", "", "", ())
    place = int(np.count_nonzero(predictions.done[:row]))
    entry = session.table.iloc[place]
    titles = {g.name: g.title for g in taxonomy.lineages}
    lineage = titles.get(entry["lineage"], "")
    likeliest: tuple[Likely, ...] = ()
    if predictions.readable[row]:
        p = predictions.probabilities(policy.temperature)[row]
        colours = class_colours(taxonomy)
        likeliest = tuple(
            Likely(c.code, c.name, colours[c.code], float(p[i]))
            for i in np.argsort(-p, kind="stable")[:LIKELIEST]
            for c in [taxonomy.classes[i]]
        )
    return Card(title, entry["status"], lineage, entry["reason"], likeliest)
