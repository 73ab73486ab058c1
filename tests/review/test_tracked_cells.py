"""Rows are found for the cells of a record, and cells noted for rows."""

import numpy as np
import pytest

from napari_cytodino.cells.cells import Cells
from napari_cytodino.common.errors import InputError
from napari_cytodino.review.tracked_cells import CaseCells, StoredCell


def cells(centre, labels=None, area=200.0):
    centre = np.array(centre, float)
    n = len(centre)
    labels = np.arange(1, n + 1) if labels is None else np.array(labels)
    return Cells(
        labels, centre, np.zeros((n, 4), int), np.full(n, area), np.zeros(n, bool)
    )


THREE = [[10, 10], [50, 10], [10, 50]]


def noted(index, *rows):
    fresh = {row: index.draft(row, ahead) for ahead, row in enumerate(rows)}
    index.take(fresh)
    return [cell.id for cell in fresh.values()]


def test_noted_cells_are_found_after_renumbering():
    index = CaseCells()
    index.attach(cells(THREE), "", set())
    assert noted(index, 2, 0) == [1, 2]
    assert [index.cell(row) for row in range(3)] == [2, 0, 1]
    found = index.attach(cells(THREE[::-1], [70, 80, 90]), "", {1, 2})
    assert found.found.tolist() == [0, 2]
    assert found.lost == 0
    assert [index.cell(row) for row in range(3)] == [1, 0, 2]
    assert index.label(1) == 70


def test_what_is_gone_is_counted_where_someone_speaks_of_it():
    index = CaseCells()
    index.attach(cells(THREE), "", set())
    noted(index, 0, 1, 2)
    found = index.attach(cells(THREE[:1]), "", {1, 2})
    assert (found.found.tolist(), found.lost) == ([0], 1)
    assert index.label(3) == 3
    assert index.rows([1, 2, 3]) == [0]


def test_planes_keep_apart():
    index = CaseCells()
    index.attach(cells(THREE), "0", set())
    noted(index, 0)
    found = index.attach(cells(THREE), "1", {1})
    assert (found.found.tolist(), found.lost) == ([], 0)
    assert noted(index, 0) == [2]
    assert index.attach(cells(THREE), "0", {1, 2}).found.tolist() == [0]


def test_cells_of_another_program_are_looked_for():
    index = CaseCells()
    index.attach(cells(THREE), "", set())
    index.learn([StoredCell(1, 9, 50.0, 10.0, 210.0, "")])
    assert index.cell(1) == 1
    assert len(index) == 1


def test_learning_before_anything_is_attached():
    index = CaseCells()
    index.learn([StoredCell(1, 9, 50.0, 10.0, 210.0, "")])
    assert index.attach(cells(THREE), "", {1}).found.tolist() == [1]


@pytest.mark.parametrize("row", [-1, 3])
def test_a_row_that_is_no_cell_is_refused(row):
    index = CaseCells()
    index.attach(cells(THREE), "", set())
    with pytest.raises(InputError, match=f"Row {row} is none of the 3 cells"):
        index.draft(row, 0)


def test_a_row_of_nothing_is_refused():
    with pytest.raises(InputError, match="none of the 0 cells"):
        CaseCells().draft(0, 0)
