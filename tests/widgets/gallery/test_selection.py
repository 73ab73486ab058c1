"""The selection: one, some, a run, and what others select."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cytodino.widgets.gallery._model import GalleryModel
from napari_cytodino.widgets.gallery._selection import GallerySelection


@pytest.fixture
def choice(pictured: Any) -> GallerySelection:
    model = GalleryModel(pictured.session, pictured.review)
    model.rebuild()
    return GallerySelection(model, pictured.session, pictured.review)


def test_one_cell_is_what_the_card_shows(
    pictured: Any, choice: GallerySelection
) -> None:
    choice.one(9)
    assert pictured.session.selected_row == 9
    assert pictured.session.selected_rows.tolist() == [9]
    assert choice.holds(9)
    assert not choice.holds(8)
    assert not choice.holds(1000)


def test_a_run_follows_the_order_of_the_gallery(
    pictured: Any, choice: GallerySelection
) -> None:
    choice.one(8)
    choice.through(16)
    assert choice.rows.tolist() == [16, 8, 12], "the current one first"
    choice.through(0)
    assert choice.rows.tolist() == [0, 4, 8], "the anchor stays"
    choice.one(1)
    choice.through(5)
    choice.toggle(30)
    choice.through(34, add=True)
    assert sorted(choice.rows.tolist()) == [1, 5, 30, 34]
    assert pictured.session.selected_row == 34


def test_toggle(choice: GallerySelection) -> None:
    choice.one(8)
    choice.toggle(20)
    assert choice.rows.tolist() == [20, 8]
    choice.toggle(20)
    assert choice.rows.tolist() == [8]
    assert (choice.current, choice.anchor) == (20, 20), "the focus stays there"
    choice.toggle(8)
    assert not len(choice.rows)


def test_the_first_in_the_gallery_becomes_current(choice: GallerySelection) -> None:
    choice.take(np.array([44, 12, 56]))
    assert choice.current == 12
    assert choice.rows.tolist() == [12, 44, 56]
    choice.take(np.zeros(0, np.int64))
    assert not len(choice.rows)


def test_what_is_selected_elsewhere(pictured: Any, choice: GallerySelection) -> None:
    came: list[int] = []
    changed: list[bool] = []
    choice.came.connect(came.append)
    choice.changed.connect(lambda: changed.append(True))
    pictured.session.select(33)
    assert came == [33]
    assert choice.current == choice.anchor == 33
    assert choice.holds(33)
    choice.one(2)
    choice.focus(4)
    assert came == [33], "what is selected here does not come from elsewhere"
    pictured.session.select(None)
    assert not choice.holds(2)
    assert changed


def test_cells_may_vanish(pictured: Any, choice: GallerySelection) -> None:
    choice.one(50)
    pictured.session.clear_cells()
    choice._model.rebuild()
    choice.refresh()
    assert choice.current is None
    assert not choice.holds(50)


def test_closed_it_follows_no_more(pictured: Any, choice: GallerySelection) -> None:
    choice.close()
    choice.close()
    pictured.session.select(3)
    assert not choice.holds(3)
