"""Verdicts move cells, but neither the reader nor the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cytodino.widgets.gallery.panel import GalleryPanel


@pytest.fixture
def panel(pictured: Any, qtbot: Any) -> GalleryPanel:
    made = GalleryPanel(pictured)
    qtbot.addWidget(made)
    made.resize(420, 460)
    made.show()
    qtbot.waitExposed(made)
    made.activateWindow()
    made.view.resize_tiles(90)
    made.view.setFocus()
    qtbot.waitUntil(made.view.hasFocus)
    assert made.view.port.plan.columns in (4, 5)
    return made


def section(panel: GalleryPanel, number: int) -> list[int]:
    found = panel.model.order.sections[number]
    return panel.model.order.rows[found.start : found.stop].tolist()


def code(panel: GalleryPanel, number: int) -> str:
    return panel.model.order.sections[number].kind.code


def test_the_next_cell_takes_the_place_of_the_one_that_left(
    pictured: Any, panel: GalleryPanel
) -> None:
    rows = section(panel, 2)
    panel.selection.one(rows[6])
    panel.view.port.show_row(rows[6])
    before = panel.view.port.height_of(rows[6])
    pictured.review.set_class(code(panel, 0))
    assert panel.selection.rows.tolist() == [rows[7]]
    assert panel.view.port.height_of(rows[7]) == before
    assert rows[6] in section(panel, 0)
    # sixteen cells above now, a line more perhaps, and still no jump
    for number in range(3):
        pictured.review.set_class(code(panel, 0))
        assert panel.view.port.height_of(rows[8 + number]) == before


def test_an_accepted_cell_stays_and_the_next_is_selected(
    pictured: Any, panel: GalleryPanel
) -> None:
    rows = section(panel, 1)
    columns = panel.view.port.plan.columns
    panel.selection.one(rows[columns - 1])
    panel.view.port.show_row(rows[columns])
    offset = panel.view.port.offset
    pictured.review.accept()
    assert panel.selection.rows.tolist() == [rows[columns]], (
        "the first of the next line"
    )
    assert panel.view.port.offset == offset
    assert section(panel, 1) == rows


def test_the_last_of_a_class_leads_back(pictured: Any, panel: GalleryPanel) -> None:
    rows = section(panel, 0)
    panel.selection.one(rows[-1])
    pictured.review.set_class(code(panel, 1))
    assert panel.selection.rows.tolist() == [rows[-2]]


def test_many_at_once(pictured: Any, panel: GalleryPanel) -> None:
    rows = section(panel, 1)
    panel.selection.one(rows[2])
    panel.selection.through(rows[5])
    panel.view.port.show_row(rows[2])
    before = panel.view.port.height_of(rows[2])
    pictured.review.set_class(code(panel, 0))
    assert panel.selection.rows.tolist() == [rows[6]]
    assert panel.view.port.height_of(rows[6]) == before


def test_an_undo_brings_the_cell_back_and_selects_it(
    pictured: Any, panel: GalleryPanel
) -> None:
    rows = section(panel, 1)
    panel.selection.one(rows[2])
    pictured.review.set_class(code(panel, 0))
    pictured.review.undo()
    assert section(panel, 1) == rows
    assert panel.selection.rows.tolist() == [rows[2]]
    pictured.review.accept()
    pictured.review.select([rows[2]])
    pictured.review.withdraw()
    assert panel.selection.rows.tolist() == [rows[2]], (
        "a verdict taken back is no verdict"
    )


def test_a_verdict_given_elsewhere_leaves_the_selection_alone(
    pictured: Any, panel: GalleryPanel, qtbot: Any
) -> None:
    panel.sort.setFocus()
    qtbot.waitUntil(lambda: not panel.view.hasFocus())
    row = section(panel, 1)[2]
    pictured.review.select([row])
    pictured.review.set_class(code(panel, 0))
    assert panel.selection.rows.tolist() == [row]
    assert row in section(panel, 0)


def test_verdicts_on_other_cells_do_not_scroll(
    pictured: Any, panel: GalleryPanel
) -> None:
    rows = section(panel, 2)
    panel.selection.one(rows[3])
    panel.view.port.show_row(rows[3])
    before = panel.view.port.height_of(rows[3])
    pictured.review.set_class(code(panel, 2), section(panel, 0)[:6])
    assert panel.view.port.height_of(rows[3]) == before
    assert panel.selection.rows.tolist() == [rows[3]]


def test_results_are_taken_in_a_moment_and_once(
    pictured: Any, panel: GalleryPanel, qtbot: Any
) -> None:
    calls: list[bool] = []
    panel.updater.refreshed.connect(lambda: calls.append(True))
    for _ in range(5):
        pictured.session.rebuild()
    assert not calls
    qtbot.waitUntil(lambda: len(calls) == 1)
    qtbot.wait(100)
    assert len(calls) == 1


def test_other_cells_are_taken_at_once(pictured: Any, panel: GalleryPanel) -> None:
    pictured.session.clear_cells()
    assert len(panel.model.order) == 0


def test_another_reader_has_other_verdicts(pictured: Any, panel: GalleryPanel) -> None:
    pictured.review.set_class(code(panel, 1), section(panel, 0)[:3])
    assert panel.model.read == 3
    pictured.review.read_as("CD")
    assert panel.model.read == 0


def test_after_all_cells_of_all_classes(pictured: Any, panel: GalleryPanel) -> None:
    panel.selection.take(np.arange(60))
    pictured.review.set_class(code(panel, 0))
    assert len(panel.model.order.sections) == 1
    assert len(panel.selection.rows) == 60, "there is no other cell to go to"


def test_closed_it_follows_no_more(pictured: Any, panel: GalleryPanel) -> None:
    panel.updater.close()
    panel.updater.close()
    rows = section(panel, 0)
    pictured.review.set_class(code(panel, 1), rows[:1])
    assert section(panel, 0) == rows


def test_first_answers_do_not_lead_away_from_the_top(
    pictured: Any, panel: GalleryPanel
) -> None:
    said = pictured.session.predictions
    pictured.session.predictions = None
    pictured.session.rebuild()
    panel.updater.refresh()
    panel.view.port.scroll_by(40)
    pictured.session.predictions = said
    pictured.session.rebuild()
    panel.updater.refresh()
    # all cells went to sections of their own; none is worth following there
    assert panel.view.port.offset == 40


def test_answers_that_change_little_do_not_scroll(
    pictured: Any, panel: GalleryPanel
) -> None:
    row = section(panel, 2)[9]
    panel.view.port.show_row(row)
    top = int(panel.view.port.rows_in_view()[0])
    before = panel.view.port.height_of(top)
    said, taxonomy = pictured.session.predictions, pictured.session.taxonomy
    # some cells of the first section turn out to be of the second
    for other in section(panel, 0)[:7]:
        said.logits[other] = 0
        said.logits[other, taxonomy.index(code(panel, 1))] = 9
    pictured.session._evidence.forget()
    pictured.session.rebuild()
    panel.updater.refresh()
    assert len(section(panel, 0)) == 8
    assert panel.view.port.height_of(top) == before
