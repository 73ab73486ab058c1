"""The table of all cells: order, links, verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cytodino.widgets.gallery.cell_table import NAMES, CellTable, words


@pytest.fixture
def table(read_bench: Any, qtbot: Any) -> CellTable:
    made = CellTable(read_bench.controller)
    qtbot.addWidget(made)
    made.resize(900, 300)
    made.show()
    return made


def column(table: CellTable, name: str) -> list[str]:
    model = table.cells
    return [
        model.data(model.index(row, NAMES.index(name)))
        for row in range(model.rowCount())
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("falling", [False, True])
def test_every_cell_once_in_any_order(
    read_bench: Any, table: CellTable, name: str, falling: bool
) -> None:
    order = Qt.SortOrder.DescendingOrder if falling else Qt.SortOrder.AscendingOrder
    table.sortByColumn(NAMES.index(name), order)
    assert sorted(table.cells.rows) == list(range(6))
    shown = read_bench.session.table[name].iloc[table.cells.rows]
    assert column(table, name) == [words(name, value) for value in shown]
    values = shown.tolist()
    assert values == sorted(values, reverse=falling)


def test_it_follows_and_leads(read_bench: Any, table: CellTable, qtbot: Any) -> None:
    session = read_bench.session
    table.sortByColumn(NAMES.index("confidence"), Qt.SortOrder.AscendingOrder)
    session.select_many([1, 4])
    lines = [i.row() for i in table.selectionModel().selectedRows()]
    assert sorted(table.cells.rows[lines]) == [1, 4]
    assert session.selected_rows.tolist() == [1, 4], "following selects nothing itself"
    table.selectRow(0)
    assert session.selected_row == table.cells.rows[0]
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert set(session.selected_rows) == set(table.cells.rows[:2])


def test_return_goes_to_the_cell(read_bench: Any, table: CellTable) -> None:
    camera = read_bench.viewer.scene.camera
    table.activated.emit(table.cells.index(2, 0))
    row = table.cells.rows[2]
    assert read_bench.session.selected_row == row
    np.testing.assert_allclose(
        camera.center[-2:], read_bench.session.cells.centre[row], atol=1.0
    )


def test_a_verdict_shows_and_nothing_jumps(read_bench: Any, table: CellTable) -> None:
    table.sortByColumn(NAMES.index("final_class"), Qt.SortOrder.AscendingOrder)
    before = table.cells.rows.copy()
    read_bench.controller.review.set_class("MON", [3])
    assert table.cells.rows.tolist() == before.tolist()
    place = before.tolist().index(3)
    assert column(table, "final_class")[place] == "MON"
    assert column(table, "reviewer")[place] == "AM"
    read_bench.controller.review.reject([3])
    assert column(table, "reviewed_class")[place] == "not a cell"
    read_bench.controller.review.read_as("BK", blind=True)
    assert set(column(table, "cell_class")) == {""}
    assert set(column(table, "confidence")) == {""}


def test_no_cells_no_lines(bench: Any, qtbot: Any) -> None:
    table = CellTable(bench.controller)
    qtbot.addWidget(table)
    assert table.cells.rowCount() == 0
    bench.session.select(3)
    assert not table.selectionModel().hasSelection()
