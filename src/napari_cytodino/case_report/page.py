"""The report of one case: a single page that holds everything and loads nothing."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from napari_cytodino.case_report._counts import count_table, key_figures
from napari_cytodino.case_report._sections import (
    agreements,
    alert_list,
    cell_pictures,
    foot,
    head,
    making,
)
from napari_cytodino.case_report._text import clean
from napari_cytodino.common import atomic_write

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.case_report.report import CaseReport


def case_report(report: CaseReport) -> str:
    """Return the report as HTML that loads nothing, runs nothing and prints on A4."""
    body = [
        head(report),
        alert_list(report),
        key_figures(report),
        count_table(report),
        agreements(report),
        cell_pictures(report),
        making(report),
        foot(report),
    ]
    file = resources.files("napari_cytodino.case_report") / "page.html"
    page = Template(file.read_text(encoding="utf-8"))
    return page.substitute(title=clean(f"Case {report.case}"), body="\n".join(body))


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
