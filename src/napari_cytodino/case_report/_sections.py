"""What the sections of a case's report say, as data that templates lay out."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.results import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_cytodino.case_report.report import CaseReport
    from napari_cytodino.review import Agreement
    from napari_cytodino.stats import Kappa


LEVEL_SIGNS = {"urgent": "▲ Urgent", "review": "● Review", "quality": "■ Quality"}
"""A shape and a word for each level of an alert: colour alone tells nothing."""

GROUPS = {
    "urgent": "Of an urgent alert: to be confirmed by eye",
    "corrected": "Corrected by a reader",
    "flagged": "Flagged by the model",
    "other": "Other cells",
}
"""Headings of the pictures."""

LONGEST = 90
"""Letters of a reason under a picture."""


@dataclass(frozen=True)
class CellPicture:
    """A picture and the words under it."""

    png: bytes
    label: int
    final: str
    model: str
    confidence: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PictureGroup:
    """The cells shown under a heading, of so many."""

    title: str
    whole: int
    cells: tuple[CellPicture, ...]


def ranked_readers(report: CaseReport) -> list[tuple[str, int]]:
    """Return the readers and how many cells each called, most first."""
    readers = report.readers
    if readers is None:
        seen = report.table["reviewed_class"] != ""
        readers = Counter(report.table.loc[seen, "reviewer"])
    return sorted(readers.items(), key=lambda one: -one[1])


def ranked_alerts(report: CaseReport) -> list[tuple[str, str]]:
    """Return level and sentence of the alerts, the most urgent first."""
    found = [(alert.level, alert.sentence) for alert in report.alerts]
    if report.unsettled:
        unsettled = (
            f"Cells that two readers called differently, open: {report.unsettled:,}; "
            "they are left out of the counts."
        )
        found.append(("review", unsettled))
    return sorted(found, key=lambda one: LEVELS.index(one[0]))


def flagged_cells(report: CaseReport) -> dict[str, int]:
    """Return how many cells the model flagged, and how many of them were seen."""
    flagged = report.table["status"] != "auto"
    seen = report.table["reviewed_class"] != ""
    return {"all": int(flagged.sum()), "seen": int((seen & flagged).sum())}


def cells_by_model(report: CaseReport) -> tuple[int, int]:
    """Return how many cells count by the model alone, and how many are of no class."""
    found = report.differential
    counted = sum(found.tally.model.get(c, 0) for c in found.counting.counted)
    apart = sum(line.model.count for line in found.classes if not line.counted)
    return counted, found.tally.cells - counted - apart


def agreement_rows(found: Agreement) -> list[tuple[str, Kappa]]:
    """Return the kappas of two, named by what they are of."""
    rows = [
        ("Class", found.classes),
        ("Class, stage beside accepted", found.tolerant),
        ("Lineage", found.lineages),
        ("Class that must not be missed, or another", found.critical),
    ]
    for series in found.series:
        rows.append((f"{series.title}: stage", series.strict))
        # of two stages all are beside each other, and weights change nothing
        if series.weighted.value != series.strict.value:
            name = f"{series.title}: stage beside alike, linear weights"
            rows.append((name, series.weighted))
    return rows


def disagreement_kinds(found: Agreement) -> list[tuple[tuple[str, str, bool], int]]:
    """Return both classes, whether their stages are adjacent, and how often."""
    kinds = Counter((d.first, d.second, d.adjacent) for d in found.disagreements)
    return kinds.most_common()


def verdict_words(code: str) -> str:
    """Return a verdict as words."""
    return code.replace("_", " ") or "open"


def cell_pictures(report: CaseReport) -> list[PictureGroup]:
    """Return the pictures at hand, by what they are shown for."""
    line_of = {int(row): line for line, row in enumerate(report.row_of_line)}
    # a picture of a cell that the table does not hold has nothing to be described by
    left = {line_of[row] for row in report.pictures if row in line_of}
    found = []
    groups = {**report.picture_groups, "other": np.array(sorted(left), np.intp)}
    for name, members in groups.items():
        # the groups overlap in "other" alone, which takes what is left
        shown = [int(line) for line in members if line in left]
        left -= set(shown)
        if shown:
            whole = len(shown) if name == "other" else len(members)
            cells = tuple(_cell_pictures(report, shown))
            found.append(PictureGroup(GROUPS[name], whole, cells))
    return found


def _cell_pictures(report: CaseReport, lines: Iterable[int]) -> Iterable[CellPicture]:
    for line in lines:
        cell = report.table.iloc[line]
        seen = str(cell["reviewed_class"])
        reason = () if seen else ("not reviewed", _short(str(cell["reason"])))
        yield CellPicture(
            _png(report.pictures[int(report.row_of_line[line])]),
            cell["label"],
            verdict_words(seen or str(cell["final_class"])),
            verdict_words(str(cell["cell_class"])),
            cell["confidence"],
            reason or (str(cell["reviewer"]),),
        )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def moment(text: str) -> str:
    """Return a time as people write it; anything else as it is."""
    try:
        found = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return f"{found:%Y-%m-%d %H:%M} UTC"
