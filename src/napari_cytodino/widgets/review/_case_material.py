"""What a case amounts to beyond one reader's screen: its table, report and crops."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_cytodino.case_report import CaseReport, rows_to_show
from napari_cytodino.cells import find_again
from napari_cytodino.common import InputError
from napari_cytodino.review import Agreement, agreement
from napari_cytodino.taxonomy import NOT_A_CELL
from napari_cytodino.widgets.canvas import axes_of, micrometres_per_pixel
from napari_cytodino.widgets.session import guarantee_of, provenance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from napari_cytodino.cells import Cells
    from napari_cytodino.exports import EarlierVerdict
    from napari_cytodino.results import AlertRules, CountingRules
    from napari_cytodino.widgets.controllers import Controller
    from napari_cytodino.widgets.session import CellsReading, Session


MODEL = "the model"

BLIND = (
    "A blind reading goes on, and a report would show the model's predictions; end the "
    "review first."
)


def calls_of(controller: Controller, name: str) -> dict[int, str]:
    """Return the class by row of a reader, or of the model (`MODEL`)."""
    log, session = controller.review.log, controller.session
    if name != MODEL:
        verdicts = log.verdicts(name) if log is not None else {}
        return {row: verdict.cell_class for row, verdict in verdicts.items()}
    rows = np.arange(session.cells_count)
    return dict(enumerate(controller.review.model_classes(rows)))


def compare(controller: Controller, first: str, second: str) -> Agreement:
    """Return how far two agree on the cells that both called."""
    taxonomy = controller.session.taxonomy
    assert taxonomy is not None
    calls = (calls_of(controller, first), calls_of(controller, second))
    return agreement(*calls, taxonomy, names=(first, second), other=(NOT_A_CELL,))


def pairs_of(readers: Sequence[str]) -> list[tuple[str, str]]:
    """Return whom to compare: every two readers, then the model with each."""
    return [*combinations(readers, 2), *((MODEL, name) for name in readers)]


def report_of(
    controller: Controller, counting: CountingRules | None, rules: AlertRules | None
) -> CaseReport:
    """Return the report of the case, still without pictures.

    Verdicts are those of the case: settled, or agreed on by all who read the cell. What
    readers call differently and nobody settled has no class, so it counts nowhere.

    Raises
    ------
    InputError
        When nothing is classified, or a blind reading goes on.
    """
    session, reviewing = controller.session, controller.review
    log = reviewing.log
    if session.blind:
        raise InputError(BLIND)
    table = session.table_of(log.settled() if log is not None else {})
    if log is not None:
        _open_disputed(session, table, log.disagreements())
    assert session.taxonomy is not None
    assert session.predictions is not None
    name = str(getattr(session.image, "name", ""))
    report = CaseReport(
        case=(log.case if log is not None else "") or name,
        table=table,
        taxonomy=session.taxonomy,
        provenance=provenance(session),
        rows=np.flatnonzero(session.predictions.done),
        counting=counting,
        rules=rules,
        guarantee=guarantee_of(session).text,
        picture_note=width_of(session),
    )
    if log is None:
        return report
    return replace(
        report,
        readers={name: len(log.verdicts(name)) for name in log.readers},
        agreements=tuple(compare(controller, *pair) for pair in pairs_of(log.readers)),
        unsettled=len(log.disagreements()),
        image_hash=log.image,
        revision=log.revision,
        locked=log.locked,
    )


def _open_disputed(session: Session, table: pd.DataFrame, rows: Sequence[int]) -> None:
    assert session.predictions is not None
    done = session.predictions.done
    known = [row for row in rows if done[row]]
    lines = (np.cumsum(done) - 1)[known]
    final = table["final_class"].to_numpy(object, copy=True)
    final[lines] = ""
    table["final_class"] = pd.Series(final, table.index, object)


def width_of(session: Session) -> str:
    """Return how wide a crop is, in micrometres where the layer says it."""
    side = session.crop_side()
    axes = axes_of(session.image, session.channel_axis)
    factor = micrometres_per_pixel(session.image, axes)
    size = f"{side} px" if factor is None else f"{side * factor:.1f} µm"
    return f"Each picture is {size} wide."


def pictures_for(
    reading: CellsReading, cells: Cells, side: int, report: CaseReport
) -> Mapping[int, npt.NDArray[np.uint8]]:
    """Return the crops that the report shows, by row; reads pixels, so in a worker."""
    from napari_cytodino.widgets.workers import crop_picture

    found = {
        row: crop_picture(reading, cells, row, side) for row in rows_to_show(report)
    }
    return {row: pixels for row, pixels in found.items() if pixels is not None}


def rows_of(
    session: Session, verdicts: Sequence[EarlierVerdict]
) -> npt.NDArray[np.int64]:
    """Return the row of each verdict of an earlier table, -1 where its cell is gone."""
    cells = session.cells
    if cells is None:
        return np.full(len(verdicts), -1, np.int64)
    return find_again(
        np.array([v.label for v in verdicts], np.int64),
        np.array([[v.y, v.x] for v in verdicts], float).reshape(-1, 2),
        np.array([v.area for v in verdicts], float),
        cells.label,
        cells.centre,
        cells.area,
    )
