"""The sections of a case's report, each as HTML."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.case_report._text import (
    clean,
    facts,
    number,
    of_all,
    paragraph,
    picture,
    span,
)
from napari_cytodino.results import LEVELS
from napari_cytodino.stats import FORMULA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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

NO_PATIENT = (
    "Holds no patient data beyond what its readers may have typed into the name of the "
    "case."
)
"""Said at the top."""

PAIRS = 12
"""Kinds of disagreement that are listed."""

LONGEST = 90
"""Letters of a reason under a picture."""


def head(report: CaseReport) -> str:
    """Return the title, who read the case, and how far it is."""
    readers = report.readers
    if readers is None:
        seen = report.table["reviewed_class"] != ""
        readers = Counter(report.table.loc[seen, "reviewer"])
    ranked = sorted(readers.items(), key=lambda one: -one[1])
    read = ", ".join(f"{name} (cells: {n:,})" for name, n in ranked)
    state = f"revision {report.revision}, {'locked' if report.locked else 'open'}"
    told = [
        f"Image {report.provenance.image}",
        f"Read by {read}" if read else "Read by nobody: every class is the model's",
        state,
        f"written {_moment(report.created)}",
    ]
    return (
        '<header><p class="kind">Differential of nucleated cells · research use '
        f"only</p><h1>{clean(report.case)}</h1>"
        f"{paragraph(' · '.join(told), 'meta')}"
        f"{paragraph(NO_PATIENT, 'meta')}</header>"
    )


def alert_list(report: CaseReport) -> str:
    """Return the alerts, the most urgent first, and what cannot be counted."""
    told = [(alert.level, alert.sentence) for alert in report.alerts]
    if report.unsettled:
        open_ = (
            f"Cells that two readers called differently, open: {report.unsettled:,}; "
            "they are left out of the counts."
        )
        told.append(("review", open_))
        told.sort(key=lambda one: LEVELS.index(one[0]))
    items = "".join(_alert(*one) for one in told)
    listed = f'<ul class="alerts">{items}</ul>' if items else ""
    nothing = "" if items else "No rule asks for a look; that is no all-clear."
    parts = [listed, *map(paragraph, (nothing, report.remark))]
    parts.append(paragraph(report.cannot_count, "note"))
    return "".join(["<section><h2>Alerts</h2>", *parts, "</section>"])


def _alert(level: str, sentence: str) -> str:
    first, dot, rest = sentence.partition(". ")
    return (
        f'<li class="{clean(level)}"><b>{LEVEL_SIGNS[level]}</b>'
        f"<span><strong>{clean(first + dot)}</strong>{clean(rest)}</span></li>"
    )


def agreements(report: CaseReport) -> str:
    """Return how far readers and the model agree; nothing where none was compared."""
    if not report.agreements:
        return ""
    parts = [_agreement(one) for one in report.agreements]
    return "".join(
        [
            "<section><h2>Agreement</h2>",
            *parts,
            paragraph(FORMULA, "note"),
            "</section>",
        ]
    )


def _agreement(found: Agreement) -> str:
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
    pair = f"{found.first} and {found.second}"
    lines = "".join(_kappa(name, one) for name, one in rows)
    return (
        f"<h3>{clean(pair[:1].upper() + pair[1:])}</h3>"
        '<div class="wide whole"><table><thead><tr><th class="text" scope="col">On</th>'
        '<th scope="col">alike</th><th scope="col">kappa</th><th scope="col">95 %</th>'
        f'<th class="text" scope="col"></th></tr></thead><tbody>{lines}</tbody></table>'
        f"</div>{paragraph(_apart(found), 'note')}"
    )


def _kappa(name: str, found: Kappa) -> str:
    return (
        f'<tr><th scope="row">{clean(name)}</th>'
        f"<td>{of_all(found.agreed, found.cells)}</td><td>{number(found.value, 2)}</td>"
        f'<td class="span">{span(found.low, found.high, 2)}</td>'
        f'<td class="text span">{clean(found.why)}</td></tr>'
    )


def _apart(found: Agreement) -> str:
    """Name the commonest disagreements."""
    if not found.disagreements:
        return ""
    kinds = Counter((d.first, d.second, d.adjacent) for d in found.disagreements)
    named = [
        f"{_code(a)} / {_code(b)} {n:,}{' (stage beside)' if near else ''}"
        for (a, b, near), n in kinds.most_common(PAIRS)
    ]
    more = len(kinds) - len(named)
    rest = f"; and {more} other kinds" if more > 0 else ""
    return (
        f"{len(found.disagreements):,} cells called differently, {found.first} / "
        f"{found.second}: {', '.join(named)}{rest}."
    )


def _code(code: str) -> str:
    """Return a verdict as words."""
    return code.replace("_", " ") or "open"


def cell_pictures(report: CaseReport) -> str:
    """Return the pictures at hand, by what they are shown for."""
    line_of = {int(row): line for line, row in enumerate(report.row_of_line)}
    # a picture of a cell that the table does not hold has nothing to be said of
    lines = [line_of[row] for row in report.pictures if row in line_of]
    if not lines:
        return ""
    parts, left = [], set(lines)
    groups = {**report.picture_groups, "other": np.array(sorted(left), np.intp)}
    for name, members in groups.items():
        # the groups overlap in "other" alone, which takes what is left
        shown = [int(line) for line in members if line in left]
        left -= set(shown)
        if shown:
            whole = len(shown) if name == "other" else len(members)
            count = "" if len(shown) == whole else f", {len(shown)} of {whole:,} shown"
            parts.append(f"<h3>{GROUPS[name]}{count}</h3>{_grid(report, shown)}")
    note = paragraph(report.picture_note, "note")
    return "".join(["<section><h2>Cells</h2>", note, *parts, "</section>"])


def _grid(report: CaseReport, lines: Iterable[int]) -> str:
    items = []
    for line in lines:
        cell = report.table.iloc[line]
        final = _code(str(cell["reviewed_class"] or cell["final_class"]))
        model = (
            f"model: {_code(str(cell['cell_class']))} {number(cell['confidence'], 2)}"
        )
        told = [model, str(cell["reviewer"])]
        if not cell["reviewed_class"]:
            told = [model, "not reviewed", _short(str(cell["reason"]))]
        image = picture(
            report.pictures[int(report.row_of_line[line])],
            f"Cell {cell['label']}: {final}; {model}",
        )
        items.append(
            f"<li>{image}<b>{clean(final)} · {cell['label']}</b>"
            f"{'<br>'.join(clean(line) for line in told if line)}</li>"
        )
    return f'<ul class="cells">{"".join(items)}</ul>'


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"


def making(report: CaseReport) -> str:
    """Return what a second laboratory would have to know."""
    notes, counting = report.provenance, report.differential.counting
    promised = report.guarantee or notes.policy.get("guarantee", "")
    model = f"{notes.checkpoint}{' (knows synthetic cells only)' * notes.synthetic}"
    pairs: list[tuple[str, object]] = [
        ("Guarantee in force", promised or "none: the thresholds promise nothing"),
        ("Image", notes.image),
        ("Fingerprint of its pixels", report.image_hash),
        ("Checkpoint", model),
        ("SHA-256 of its manifest", notes.checkpoint_sha256),
        ("Classes", f"{report.taxonomy.title} ({len(report.taxonomy)} classes)"),
        ("Counted", " ".join(counting.counted)),
        ("Blasts", " ".join(counting.blasts)),
        ("In the M:E ratio", " : ".join(map(" ".join, counting.sides))),
        ("Asked for, not in the taxonomy", " ".join(counting.left_out)),
        ("Thresholds", _plain(notes.policy)),
        ("Settings", _plain(notes.settings)),
        ("Versions", _plain(notes.versions)),
        ("Classified", _moment(notes.created)),
        ("Report written", _moment(report.created)),
    ]
    return f"<section><h2>How it was made</h2>{facts(pairs)}</section>"


def _plain(values: Mapping[str, object]) -> str:
    """Return names and values in a line; long texts have a place of their own."""
    return ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in values.items()
        if name != "guarantee" and value not in ("", (), {}, [], None)
    )


def _moment(text: str) -> str:
    """Return a time as people write it; anything else as it is."""
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def foot(report: CaseReport) -> str:
    """Return what this is not."""
    return f"<footer>{paragraph(report.provenance.notice)}</footer>"
