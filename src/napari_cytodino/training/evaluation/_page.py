"""One page, in one file, that says how a checkpoint did on its test cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cytodino.common import render_html
from napari_cytodino.training.metrics import LEAST_SUPPORT, REPEATS, USUAL_ERROR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from napari_cytodino.taxonomy import Taxonomy


KEY_FIGURES = (
    "weighted_f1", "macro_f1", "accuracy", "lineage_accuracy", "critical_error_rate",
    "blasts_discarded_rate",
)  # fmt: skip
"""Set large at the top of the page."""


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
    promises = found["guarantee"]["rows"] if found["guarantee"] else []
    return render_html(
        "training/evaluation/report_page.html",
        found=found,
        scores={row["key"]: row for row in found["summary"]},
        key_figures=KEY_FIGURES,
        columns=_columns,
        colours={c.code: c.colour for c in taxonomy.classes},
        least_support=LEAST_SUPPORT,
        repeats=REPEATS,
        doubt_by_source={k: own for k, own in found["doubt"].items() if k != "all"},
        measures={row["key"]: row["value"] for row in found["doubt"]["all"]},
        usual_error=USUAL_ERROR,
        promises=_by_source(promises),
        rules=list(dict.fromkeys((r["status"], r["reason"]) for r in found["reasons"])),
        reasons=_by_source(found["reasons"]),
        pictures=[(path.read_bytes(), alt, caption) for path, alt, caption in pictures],
    )


def _columns(sources: Mapping[str, Any], size: str = "n") -> list[str]:
    """Name each source, with its number of cells."""
    return [f"{name} (n = {rows[0][size]:,})" for name, rows in sources.items()]


def _by_source(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the rows of each source, in the order in which they come."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["source"], []).append(row)
    return found
