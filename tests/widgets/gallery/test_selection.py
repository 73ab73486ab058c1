"""The selection: one, some, a run, and what others select."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cytodino.widgets.gallery._model import GalleryModel
from napari_cytodino.widgets.gallery._selection import GallerySelection


@pytest.fixture
def selection(pictured: Any) -> GallerySelection:
    model = GalleryModel(pictured.session, pictured.review)
    model.rebuild()
    return GallerySelection(model, pictured.session, pictured.review)


def test_one_cell_is_what_the_card_shows(
    pictured: Any, selection: GallerySelection
) -> None:
    selection.one(9)
    assert pictured.session.selected_row == 9
    assert pictured.session.selected_rows.tolist() == [9]
    assert selection.holds(9)
    assert not selection.holds(8)
    assert not selection.holds(1000)


def test_a_run_follows_the_order_of_the_gallery(
    pictured: Any, selection: GallerySelection
) -> None:
    selection.one(8)
    selection.through(16)
    assert selection.rows.tolist() == [16, 8, 12], "the current one first"
    selection.through(0)
    assert selection.rows.tolist() == [0, 4, 8], "the anchor stays"
    selection.one(1)
    selection.through(5)
    selection.toggle(30)
    selection.through(34, add=True)
    assert sorted(selection.rows.tolist()) == [1, 5, 30, 34]
    assert pictured.session.selected_row == 34


def test_toggle(selection: GallerySelection) -> None:
    selection.one(8)
    selection.toggle(20)
    assert selection.rows.tolist() == [20, 8]
    selection.toggle(20)
    assert selection.rows.tolist() == [8]
    assert (selection.current, selection.anchor) == (20, 20), "the focus stays there"
    selection.toggle(8)
    assert not len(selection.rows)


def test_the_first_in_the_gallery_becomes_current(selection: GallerySelection) -> None:
    selection.take(np.array([44, 12, 56]))
    assert selection.current == 12
    assert selection.rows.tolist() == [12, 44, 56]
    selection.take(np.zeros(0, np.int64))
    assert not len(selection.rows)


def test_what_is_selected_elsewhere(pictured: Any, selection: GallerySelection) -> None:
    came: list[int] = []
    changed: list[bool] = []
    selection.came.connect(came.append)
    selection.changed.connect(lambda: changed.append(True))
    pictured.session.select(33)
    assert came == [33]
    assert selection.current == selection.anchor == 33
    assert selection.holds(33)
    selection.one(2)
    selection.focus(4)
    assert came == [33], "what is selected here does not come from elsewhere"
    pictured.session.select(None)
    assert not selection.holds(2)
    assert changed


def test_cells_may_vanish(pictured: Any, selection: GallerySelection) -> None:
    selection.one(50)
    pictured.session.clear_cells()
    selection._model.rebuild()
    selection.refresh()
    assert selection.current is None
    assert not selection.holds(50)


def test_closed_it_follows_no_more(pictured: Any, selection: GallerySelection) -> None:
    selection.close()
    selection.close()
    pictured.session.select(3)
    assert not selection.holds(3)
