"""The report of one case: a single page that holds everything and loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cytodino.case_report import _sections as sections
from napari_cytodino.case_report._chart import lineage_chart
from napari_cytodino.common import atomic_write, render_html
from napari_cytodino.results import SAMPLING_ONLY, grey_zone_sentence
from napari_cytodino.stats import FORMULA

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.case_report.report import CaseReport


PAIRS = 12
"""Kinds of disagreement that are listed."""


def case_report(report: CaseReport) -> str:
    """Return the report as HTML that loads nothing, runs nothing and prints on A4."""
    found = report.differential
    by_model = sections.cells_by_model(report)
    return render_html(
        "case_report/page.html",
        report=report,
        readers=sections.ranked_readers(report),
        alerts=sections.ranked_alerts(report),
        signs=sections.LEVEL_SIGNS,
        chart=lineage_chart(found),
        counted=(found.total, by_model[0]),
        without_class=(found.without_class, by_model[1]),
        flagged=sections.flagged_cells(report),
        grey_zone=grey_zone_sentence(found),
        sampling_only=SAMPLING_ONLY,
        agreements=[
            (one, sections.agreement_rows(one), sections.disagreement_kinds(one))
            for one in report.agreements
        ],
        most_kinds=PAIRS,
        formula=FORMULA,
        pictures=sections.cell_pictures(report),
        words=sections.verdict_words,
        moment=sections.moment,
    )


def write_case_report(report: CaseReport, path: Path) -> Path:
    """Write the report; an older file of that name is replaced, or left as it was.

    Raises
    ------
    InputError
        When the disk refuses.
    """
    text = case_report(report)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
