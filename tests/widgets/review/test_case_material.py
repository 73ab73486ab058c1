"""What a case amounts to beyond one reader's screen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cytodino.case_report.report import rows_to_show
from napari_cytodino.common.errors import InputError
from napari_cytodino.exports.reading import EarlierVerdict
from napari_cytodino.widgets.review._case_material import (
    MODEL,
    calls_of,
    compare,
    pairs_of,
    pictures_for,
    report_of,
    rows_of,
)


def test_whom_to_compare() -> None:
    assert pairs_of(["A", "B"]) == [("A", "B"), (MODEL, "A"), (MODEL, "B")]
    assert pairs_of([]) == []


def test_the_report_is_of_the_case_not_of_the_screen(read_bench: Any) -> None:
    controller = read_bench.controller
    reviewing = controller.review
    reviewing.set_class("BLA", [0, 1])
    reviewing.read_as("BK")
    reviewing.set_class("BLA", [0])
    reviewing.set_class("MON", [1])
    report = report_of(controller, None, None)
    # both say BLA of the first; of the second they disagree
    assert list(report.table["reviewed_class"]) == ["BLA", "", "", "", "", ""]
    assert report.table["final_class"][1] == "", "a disputed cell counts nowhere"
    assert read_bench.session.table["final_class"][1] == "MON"
    assert report.case == "M-1"
    assert report.unsettled == 1
    assert report.readers == {"AM": 2, "BK": 2}
    assert report.picture_note == "Each picture is 192 px wide."
    read_bench.session.image.scale = (0.1, 0.1)
    read_bench.session.image.units = ("um", "um")
    assert report_of(controller, None, None).picture_note.endswith("19.2 µm wide.")
    assert [(a.first, a.second) for a in report.agreements] == [
        ("AM", "BK"),
        (MODEL, "AM"),
        (MODEL, "BK"),
    ]
    reviewing.read_as("CL", blind=True)
    with pytest.raises(InputError, match="blind"):
        report_of(controller, None, None)


def test_a_report_without_a_review(judged: Any) -> None:
    report = report_of(judged.controller, None, None)
    assert report.case == "smear"
    assert report.agreements == ()
    session, side = judged.session, judged.session.crop_side()
    pictures = pictures_for(session.reading, session.cells, side, report)
    assert set(pictures) == set(rows_to_show(report)) != set()
    assert all(p.shape == (side, side, 3) for p in pictures.values())


def test_the_models_calls(read_bench: Any) -> None:
    session = read_bench.session
    assert list(calls_of(read_bench.controller, MODEL).values()) == list(
        session.table["cell_class"]
    )
    read_bench.controller.review.accept([2, 4])
    found = compare(read_bench.controller, MODEL, "AM")
    assert (found.classes.cells, found.classes.agreed) == (2, 2)


def test_cells_of_an_earlier_table_are_found_by_their_place(judged: Any) -> None:
    cells = judged.session.cells
    verdicts = [
        EarlierVerdict("", 900 + row, y + 1, x - 1, area, "BLA", "AM", "", "")
        for row, ((y, x), area) in enumerate(zip(cells.centre, cells.area, strict=True))
    ]
    gone = EarlierVerdict("", 1, -500.0, -500.0, 100.0, "BLA", "AM", "", "")
    np.testing.assert_array_equal(
        rows_of(judged.session, [*verdicts[::-1], gone]), [5, 4, 3, 2, 1, 0, -1]
    )
