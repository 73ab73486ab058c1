"""Verdicts of a reader: what they change in the table, on disk, and for the next."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.images.source import ImageSource
from napari_cytodino.review.image_fingerprint import fingerprint_pixels
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL

if TYPE_CHECKING:
    from pathlib import Path

CODES = ("NGS", "MON")


@pytest.fixture
def log(judged: Any, tmp_path: Path) -> ReviewLog:
    image = fingerprint_pixels(judged.session.reading.source)
    return ReviewLog.open(tmp_path / "case.sqlite", image=image)


@pytest.fixture
def reading(judged: Any, log: ReviewLog) -> Any:
    """Return the bench of six answers, read by AM."""
    judged.controller.review.start(log, "AM")
    return judged


def test_nothing_can_be_said_before_a_case_is_open(judged: Any) -> None:
    reviewing = judged.controller.review
    judged.session.select(0)
    for act in (reviewing.accept, reviewing.reject, reviewing.undo):
        with pytest.raises(InputError, match="Start the review first"):
            act()


def test_a_verdict_is_in_the_table_and_on_disk(reading: Any, log: ReviewLog) -> None:
    session, reviewing = reading.session, reading.controller.review
    heard: list[Any] = []
    session.verdicts_changed.connect(heard.append)
    session.select(3)
    reviewing.set_class(CODES[0])
    line = session.table.iloc[3]
    assert (line["reviewed_class"], line["final_class"]) == (CODES[0], CODES[0])
    assert line["reviewer"] == "AM"
    assert line["reviewed_at"].startswith("20")
    assert [rows.tolist() for rows in heard] == [[3]]
    said = log.verdicts("AM")[3]
    assert said.model == line["cell_class"] != CODES[0]
    assert reviewing.verdict_of(3) == said
    other = session.table.drop(3)
    assert (other["reviewed_class"] == "").all()
    # nothing but the four columns of reviews differs from a table built anew
    before = session.table.copy()
    session.rebuild()
    assert session.table.equals(before)


def test_accepting_takes_the_models_class_of_each(reading: Any) -> None:
    session, reviewing = reading.session, reading.controller.review
    reviewing.select([5, 1, 2])
    assert session.selected_row == 5
    reviewing.accept()
    lines = session.table.iloc[[1, 2, 5]]
    assert (lines["reviewed_class"] == lines["cell_class"]).all()
    reviewing.undo()
    assert (session.table["reviewed_class"] == "").all()
    reviewing.redo()
    assert (session.table["reviewed_class"] != "").sum() == 3


def test_what_is_no_cell_counts_nowhere(reading: Any) -> None:
    session, reviewing = reading.session, reading.controller.review
    session.select(0)
    assert session.table["final_class"][0]
    reviewing.reject()
    assert session.table["reviewed_class"][0] == NOT_A_CELL
    assert session.table["final_class"][0] == ""
    reviewing.withdraw()
    assert session.table["final_class"][0] == session.table["cell_class"][0]


def test_confirming_leaves_what_demands_a_look(reading: Any) -> None:
    session, reviewing = reading.session, reading.controller.review
    critical = {c.code for c in session.taxonomy.classes if c.risk == "critical"}
    model = session.table["cell_class"]
    assert critical & set(model)
    session.select(1)
    reviewing.set_class(CODES[1])
    count = reviewing.confirm(np.arange(6))
    said = session.table["reviewed_class"]
    assert (said[model.isin(critical) & (said.index != 1)] == "").all()
    assert said[1] == CODES[1]
    assert count == int((said != "").sum()) - 1
    assert reviewing.confirm(np.arange(6)) == 0


def test_a_blind_reader_sees_nothing_of_the_model(reading: Any, log: ReviewLog) -> None:
    session, reviewing = reading.session, reading.controller.review
    reviewing.read_as("BK", blind=True)
    table = session.table
    for name in ("cell_class", "final_class", "lineage", "status", "reason"):
        assert (table[name] == "").all(), name
    assert table[["confidence", "margin"]].isna().all().all()
    session.select(2)
    with pytest.raises(InputError, match="blind"):
        reviewing.accept()
    with pytest.raises(InputError, match="blind"):
        reviewing.confirm([2])
    reviewing.set_class(CODES[0])
    assert session.table["final_class"].tolist() == ["", "", CODES[0], "", "", ""]
    # the model's class is in the record all the same
    assert log.verdicts("BK")[2].model != ""
    reviewing.read_as("AM")
    assert (session.table["cell_class"] != "").all()
    assert (session.table["reviewed_class"] == "").all()


def test_two_readers_disagree_and_one_settles(reading: Any, log: ReviewLog) -> None:
    session, reviewing = reading.session, reading.controller.review
    reviewing.set_class(CODES[0], [1])
    reviewing.set_class(CODES[0], [4])
    reviewing.read_as("BK")
    reviewing.set_class(CODES[1], [1])
    reviewing.set_class(CODES[0], [4])
    assert log.disagreements() == (1,)
    reviewing.read_as("CL", settling=True)
    assert session.review_rows is not None
    assert session.review_rows.tolist() == [1]
    assert session.table["reviewed_class"].tolist() == ["", "", "", "", CODES[0], ""]
    reviewing.set_class(CODES[1], [1])
    assert session.table["reviewed_class"][1] == CODES[1]
    reviewing.read_as("AM")
    assert session.table["reviewed_class"][1] == CODES[0]


def test_a_signed_case_takes_no_verdict_until_it_is_reopened(reading: Any) -> None:
    reviewing = reading.controller.review
    reviewing.set_class(CODES[0], [1])
    reviewing.lock("done")
    assert not reviewing.writable
    with pytest.raises(InputError, match="locked"):
        reviewing.set_class(CODES[1], [1])
    reviewing.reopen("a second look")
    reviewing.set_class(CODES[1], [1])
    assert reading.session.table["reviewed_class"][1] == CODES[1]


def test_cells_that_are_read_anew_keep_their_verdicts(reading: Any) -> None:
    session, reviewing = reading.session, reading.controller.review
    reviewing.set_class(CODES[0], [2])
    turned = session.reading.cells.take(np.arange(6)[::-1])
    renumbered = replace(turned, label=np.arange(100, 106))
    predictions = session.predictions
    session.select_many([1, 2])
    session.set_cells(replace(session.reading, cells=renumbered))
    assert session.selected_rows.tolist() == [4, 3], "another cell is selected now"
    session.predictions = predictions
    session.rebuild()
    assert not reviewing.writable, "of which pixels they are is not known yet"
    with pytest.raises(InputError, match="still found out"):
        reviewing.set_class(CODES[1], [0])
    reading.qtbot.waitUntil(lambda: reviewing.writable)
    assert session.table["reviewed_class"].tolist() == ["", "", "", CODES[0], "", ""]
    assert session.table["label"][3] == 103


def test_cells_of_other_pixels_close_the_case(
    reading: Any, log: ReviewLog, told: list[str]
) -> None:
    session, reviewing = reading.session, reading.controller.review
    other = ImageSource(np.zeros((420, 560, 3), np.uint8))
    predictions = session.predictions
    session.set_cells(replace(session.reading, source=other))
    session.predictions = predictions
    session.rebuild()
    reading.qtbot.waitUntil(lambda: not reviewing.is_open)
    assert "other pixels" in told[-1]
    assert log.read_only


def test_another_image_closes_the_case(reading: Any, log: ReviewLog) -> None:
    reviewing = reading.controller.review
    reviewing.set_class(CODES[0], [2])
    other = reading.viewer.add_image(np.zeros((40, 40, 3), np.uint8))
    reading.session.choose(image=other, cells_layer=None)
    assert not reviewing.is_open
    assert log.read_only
    with pytest.raises(InputError, match="is no class"):
        reviewing.set_class("XYZ", [0])


def test_many_are_accepted_without_those_that_demand_a_look(reading: Any) -> None:
    session, reviewing = reading.session, reading.controller.review
    critical = {c.code for c in session.taxonomy.classes if c.risk == "critical"}
    model = session.table["cell_class"]
    wanted = [row for row in range(6) if model[row] not in critical]
    assert len(wanted) < 6
    reviewing.select(range(6))
    reviewing.accept()
    assert sorted(session.reviews) == wanted
    assert "need a look one by one" in reading.messages[-1]
    with pytest.raises(InputError, match="one by one"):
        reviewing.accept()


def test_undo_of_cells_that_are_gone_is_told(reading: Any, log: ReviewLog) -> None:
    reviewing, session = reading.controller.review, reading.session
    reviewing.set_class(CODES[0], [5])
    predictions = session.predictions
    five = session.reading.cells.take(np.arange(5))
    session.set_cells(replace(session.reading, cells=five))
    session.predictions = type(predictions)(
        *(getattr(predictions, field.name)[:5] for field in fields(predictions))
    )
    session.rebuild()
    reading.qtbot.waitUntil(lambda: reviewing.writable)
    assert reviewing.lost == 1
    reviewing.undo()
    assert "not among these" in reading.messages[-1]
    assert not log.can_undo("AM")


def test_a_viewer_that_may_only_look_follows_the_other(
    judged: Any, log: ReviewLog
) -> None:
    reviewing, session = judged.controller.review, judged.session
    looker = ReviewLog.open(log.path, image=log.image)
    assert looker.read_only
    reviewing.start(looker, "AM")
    log.attach(session.cells)
    log.record([3], CODES[0], reviewer="AM")
    assert session.table["reviewed_class"][3] == ""
    reviewing.refresh()
    assert session.table["reviewed_class"][3] == CODES[0]
    log.lock("AM")
    heard: list[int] = []
    reviewing.state.connect(lambda: heard.append(1))
    reviewing.refresh()
    assert heard == [1]
    log.close()


@pytest.mark.parametrize("name", ["", "  "])
def test_a_review_needs_a_name(judged: Any, log: ReviewLog, name: str) -> None:
    with pytest.raises(InputError, match="need a name"):
        judged.controller.review.start(log, name)
    assert not judged.controller.review.is_open
