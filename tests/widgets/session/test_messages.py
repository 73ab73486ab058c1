"""Frozen values of the worker."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from napari_cytodino.cells.cells import cells_from_points
from napari_cytodino.images.source import ImageSource
from napari_cytodino.widgets.session.messages import CellsReading, ClassifyRequest, join

CELLS = cells_from_points(np.array([[5.0, 5], [9, 9]]), (20, 20), diameter=4)


def request() -> ClassifyRequest:
    source = ImageSource(np.zeros((20, 20, 3), np.uint8))
    reading = CellsReading(CELLS, source)
    return ClassifyRequest(1, reading, "demo", None, "cpu", 4, CELLS.take([0]))


def test_a_request_cannot_change() -> None:
    with pytest.raises(FrozenInstanceError):
        request().generation = 2  # type: ignore[misc]


def test_clicked_cells_follow_those_of_the_layer() -> None:
    made = request()
    assert isinstance(made.reading, CellsReading)
    cells = made.cells_with_clicks(made.reading)
    assert cells.label.tolist() == [1, 2, 3]
    assert cells.centre.tolist() == [[5, 5], [9, 9], [5, 5]]


def test_nothing_to_join_changes_nothing() -> None:
    assert join(CELLS, None) is CELLS
    assert join(CELLS, CELLS.take(np.zeros(0, int))) is CELLS
