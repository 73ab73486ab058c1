"""The counts of a case's report as HTML: key figures, chart and table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cytodino.case_report._chart import lineage_chart
from napari_cytodino.case_report._text import (
    MISSING,
    clean,
    number,
    paragraph,
    share_cells,
    span,
)
from napari_cytodino.results import SAMPLING_ONLY, grey_zone_sentence

if TYPE_CHECKING:
    from napari_cytodino.case_report.report import CaseReport
    from napari_cytodino.results import Differential, DifferentialRow


COLUMNS = (
    "Final: the class of a reader where there is one, else the model's where it "
    "settled on one. Model alone: its likeliest class for every cell. Per cent of the "
    "cells that count, with Wilson's 95 % interval."
)
"""Said over the counts."""


def key_figures(report: CaseReport) -> str:
    """Return what a reader wants first, and the grey zone."""
    found = report.differential
    tally, target = found.tally, found.counting.target
    flagged = (report.table["status"] != "auto").to_numpy(bool)
    seen = (report.table["reviewed_class"] != "").to_numpy(bool)
    ratio, model = found.ratio.interval, found.model_ratio.interval
    looked = f"{100 * tally.looked_at / tally.cells:.0f} %" if tally.cells else MISSING
    tiles = [
        _tile(
            f"{found.total:,}",
            "cells counted",
            f"{100 * found.share_of_target:.0f} % of the {target:,} aimed at",
        ),
        _blast_tile(found.blasts),
        _tile(
            number(ratio and ratio[0]),
            "M:E ratio",
            f"95 % {span(*ratio[1:])}; model alone {number(model and model[0])}"
            if ratio
            else found.ratio.sentence,
        ),
        _tile(
            looked,
            "of the cells reviewed",
            f"{tally.looked_at:,} of {tally.cells:,}; of those flagged "
            f"{int((seen & flagged).sum()):,} of {int(flagged.sum()):,}",
        ),
    ]
    return (
        f'<section><ul class="key">{"".join(tiles)}</ul>'
        f"{paragraph(grey_zone_sentence(found), 'grey')}"
        f"{paragraph(SAMPLING_ONLY, 'note')}</section>"
    )


def _blast_tile(blasts: DifferentialRow | None) -> str:
    if blasts is None:
        return _tile(MISSING, "blasts", "no class of blasts counts")
    share, model = blasts.reviewed, blasts.model
    if not share.total:
        return _tile(MISSING, "blasts", "no cell counts yet")
    return _tile(
        f"{number(share.percent)} %",
        "blasts",
        f"95 % {span(*share.interval)} %; {share.count:,} cells; "
        f"model alone {number(model.percent)} %",
    )


def _tile(value: str, name: str, more: str) -> str:
    return (
        f"<li><b>{clean(value)}</b><span>{clean(name)}</span>"
        f"<small>{clean(more)}</small></li>"
    )


def count_table(report: CaseReport) -> str:
    """Return the chart by lineage and the counts of every class."""
    found = report.differential
    chart = lineage_chart(found)
    figure = (
        f"<figure>{chart}<figcaption>Upper bars: final classes, in the order of "
        "maturation within a lineage, with the 95 % interval of the lineage. Hatched "
        "bars below: the model alone.</figcaption></figure>"
        if chart
        else ""
    )
    rows = [
        row for line in found.lineages if line.counted for row in _rows(line, found)
    ]
    apart = [line for line in found.classes if not line.counted]
    rows += [_total(found)]
    if apart:
        rows.append(
            '<tr class="apart"><th scope="rowgroup" class="text" colspan="7">Stand '
            "apart, not part of the 100 %</th></tr>"
        )
        rows += [_row(line, "class apart", line.key) for line in apart]
    rows.append(_open(found))
    top = "".join(
        f'<th scope="col"{edge}>cells</th><th scope="col">%</th>'
        '<th scope="col">95 %</th>'
        for edge in (' class="edge"', ' class="edge"')
    )
    return (
        f"<section><h2>Differential</h2>{figure}"
        f'<div class="wide whole"><table><caption>{clean(COLUMNS)}</caption>'
        '<thead><tr><td></td><th class="group" colspan="3" '
        'scope="colgroup">Final</th><th class="group edge" colspan="3" '
        f'scope="colgroup">Model alone</th></tr><tr><th class="text" scope="col">'
        f"Class</th>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        "</section>"
    )


def _rows(lineage: DifferentialRow, found: Differential) -> list[str]:
    """Return a lineage and its classes; a lineage of one class is one line."""
    own = [line for line in found.classes_of(lineage.key) if line.counted]
    if len(own) == 1:
        return [_row(own[0], "lineage", own[0].key)]
    return [
        _row(lineage, "lineage"),
        *(_row(line, "class", line.key) for line in own),
    ]


def _row(line: DifferentialRow, kind: str, code: str = "") -> str:
    chip = (
        f'<span class="chip" style="background:{clean(line.colour)}" '
        'aria-hidden="true"></span>'
    )
    shown = f"<code>{clean(code)}</code> " if code else ""
    return (
        f'<tr class="{kind}"><th scope="row">{chip}{shown}{clean(line.name)}</th>'
        f"{share_cells(line.reviewed, 'edge')}{share_cells(line.model, 'edge')}</tr>"
    )


def _total(found: Differential) -> str:
    model = sum(found.tally.model.get(c, 0) for c in found.counting.counted)
    cells = "".join(
        f'<td class="edge">{n:,}</td><td>{"100.0" if n else MISSING}</td><td></td>'
        for n in (found.total, model)
    )
    return f'<tr class="lineage"><th scope="row">Cells that count</th>{cells}</tr>'


def _open(found: Differential) -> str:
    known = sum(line.model.count for line in found.classes if not line.counted)
    known += sum(found.tally.model.get(c, 0) for c in found.counting.counted)
    cells = "".join(
        f'<td class="edge">{n:,}</td><td>{MISSING}</td><td></td>'
        for n in (found.without_class, found.tally.cells - known)
    )
    name = "Without a class: open, unreadable, or to a reader no cell"
    return f'<tr class="apart"><th scope="row">{name}</th>{cells}</tr>'
