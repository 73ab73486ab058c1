"""One page, in one file, that says how a checkpoint did on its test cells."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from napari_cytodino.common import (
    Markup,
    chip,
    facts,
    heading,
    html_of,
    interval,
    number,
    paragraph,
    percent,
    picture,
    share,
    table,
)
from napari_cytodino.training.evaluation._page_confidence import doubt_sections
from napari_cytodino.training.metrics import LEAST_SUPPORT, REPEATS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from napari_cytodino.taxonomy import Taxonomy


KEY_FIGURES = (
    "weighted_f1", "macro_f1", "accuracy", "lineage_accuracy", "critical_error_rate",
    "blasts_discarded_rate",
)  # fmt: skip
"""Set large at the top of the page."""

INTERVALS = (
    "Intervals hold 95 %. Of F1, balanced accuracy and kappa they are the percentiles "
    "of {repeats:,} bootstrap samples of {units}; of shares of cells Wilson's{wider}. "
    "They tell of chance in choosing these {units}, not of other laboratories."
)
"""How certain the numbers are."""


def render(
    found: Mapping[str, Any],
    taxonomy: Taxonomy,
    pictures: Iterable[tuple[Path, str, str]],
) -> str:
    """Return the whole page as HTML that loads nothing and runs nothing.

    Parameters
    ----------
    found : mapping
        What `write_report` also writes as JSON.
    taxonomy : Taxonomy
        Gives colours.
    pictures : iterable
        PNG file, words for those who cannot see it, caption.
    """
    body = [
        *_top(found),
        *_scores(found),
        *_dangers(found, taxonomy),
        *_classes(found, taxonomy),
        *doubt_sections(found),
        heading("Figures"),
        *(picture(*one) for one in pictures),
    ]
    folder = resources.files("napari_cytodino.training.evaluation")
    page = Template((folder / "report_page.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=html_of(found["about"]["title"]),
        body="\n".join(body),
        notice=html_of(found["notice"]),
    )


def _top(found: Mapping[str, Any]) -> list[str]:
    about = found["about"]
    rows = {row["key"]: row for row in found["summary"]}
    items = []
    for key in KEY_FIGURES:
        row = rows[key]
        show = percent if key.endswith("_rate") else number
        range_ = f"{show(row['low'])} to {show(row['high'])}"
        items.append(
            f"<li><small>{html_of(row['title'])}</small><b>{show(row['value'])}</b>"
            f"<small>{range_}, n = {row['n']:,}</small></li>"
        )
    lead = (
        f"{found['n']:,} test cells; {found['classes_present']} of "
        f"{found['classes']} classes present, {found['classes_supported']} with at "
        f"least {LEAST_SUPPORT}. {about['protocol']}"
    )
    groups = found["groups"]
    versions = ", ".join(f"{k} {v}" for k, v in about["versions"].items())
    return [
        f"<h1>{html_of(about['title'])}</h1>",
        paragraph(lead, "lead"),
        paragraph(found["notice"], "notice"),
        f'<ul class="key">{"".join(items)}</ul>',
        facts(
            [
                ("Checkpoint", about["checkpoint"]),
                ("Checkpoint sha256", about["checkpoint_sha256"]),
                ("Protocol", about["protocol"]),
                ("Split sha256", about["split_sha256"]),
                ("Data", about["data"]),
                ("Taxonomy", about["taxonomy"]),
                ("Patients or groups", "" if groups is None else groups),
                ("Made", about["created"]),
                ("Versions", versions),
                *(("Note", note) for note in about["notes"]),
            ]
        ),
    ]


def _value(row: Mapping[str, Any]) -> Markup:
    show = share if row["key"].endswith("_rate") else interval
    return show(row["value"], row["low"], row["high"])


def _scores(found: Mapping[str, Any]) -> list[str]:
    groups = (found["groups"] or 0) > 1
    units = "groups" if groups else "cells"
    wider = ", or the bootstrap's where that is wider" if groups else ""
    out = [
        heading("Scores"),
        table(
            "Scores of all test cells, with 95 % intervals",
            ("score", "value", "n", "meaning"),
            [
                (r["title"], _value(r), r["n"], r["definition"])
                for r in found["summary"]
            ],
        ),
        paragraph(
            INTERVALS.format(repeats=REPEATS, units=units, wider=wider), "meaning"
        ),
    ]
    sources = found["by_source"]
    if len(sources) > 1:
        kinds = zip(*sources.values(), strict=True)
        names = [f"{name} (n = {rows[0]['n']:,})" for name, rows in sources.items()]
        out.append(
            table(
                "The same by data set; classes a set does not have count as zero in "
                "the macro F1 of all classes",
                ("score", *names),
                [(same[0]["title"], *map(_value, same)) for same in kinds],
            )
        )
    if found["stage_kappas"]:
        out.append(
            table(
                "Maturation: quadratic-weighted kappa of the stage, over cells whose "
                "true class and whose call are of the lineage",
                ("lineage", "kappa", "n"),
                [
                    (name, Markup(number(row["kappa"])), row["n"])
                    for name, row in found["stage_kappas"].items()
                ],
            )
        )
    return out


def _dangers(found: Mapping[str, Any], taxonomy: Taxonomy) -> list[str]:
    colours = {c.code: c.colour for c in taxonomy.classes}
    rows = []
    for row in found["per_class"]:
        if row["risk"] != "critical":
            continue
        shares = [
            share(row.get(key), row.get(f"{key}_low"), row.get(f"{key}_high"))
            for key in ("recall", "critical_error_rate", "blasts_discarded_rate")
        ]
        name = chip(colours[row["code"]], f"{row['name']} ({row['code']})")
        rows.append((name, row["n"], *shares))
    if not rows:
        return []
    head = ("class", "n", "recognised", "called safe", "called not counted")
    caption = "Critical classes, with Wilson's 95 % intervals; – where there is no cell"
    return [heading("What must not be missed"), table(caption, head, rows)]


def _classes(found: Mapping[str, Any], taxonomy: Taxonomy) -> list[str]:
    colours = {c.code: c.colour for c in taxonomy.classes}
    rows = [
        (
            chip(colours[row["code"]], f"{row['name']} ({row['code']})"),
            row["n"],
            *(
                interval(row[key], row[f"{key}_low"], row[f"{key}_high"])
                for key in ("precision", "recall", "f1", "tolerant_recall")
            ),
        )
        for row in found["per_class"]
    ]
    head = ("class", "n", "precision", "recall", "F1", "tolerant recall")
    caption = (
        "Precision, recall and tolerant recall (an adjacent stage accepted) with "
        "Wilson's intervals, as if cells were independent; F1 with the bootstrap's"
    )
    return [heading("Every class"), table(caption, head, rows)]
