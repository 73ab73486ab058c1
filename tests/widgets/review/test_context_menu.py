"""The menu of a cell; a real right click is in `test_review_dock`."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtWidgets import QWidget

from napari_cytodino.review.keys import read_keys
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL
from napari_cytodino.widgets.controllers.clicks import OTHER_PLANE
from napari_cytodino.widgets.review import context_menu as module
from napari_cytodino.widgets.review.context_menu import CellMenu, cell_menu


@pytest.fixture
def parent(qtbot: Any) -> QWidget:
    made = QWidget()
    qtbot.addWidget(made)
    return made


@pytest.fixture
def menu(read_bench: Any, parent: QWidget) -> CellMenu:
    read_bench.controller.keys = read_keys(read_bench.session.taxonomy)
    return CellMenu(read_bench.controller, parent)


@pytest.mark.usefixtures("menu")
def test_every_class_is_there_with_its_key(read_bench: Any, parent: QWidget) -> None:
    read_bench.session.select(0)
    shown = cell_menu(read_bench.controller, parent)
    assert shown.title() == "Cell 1"
    entries = [a for m in shown.actions() if m.menu() for a in m.menu().actions()]
    assert len(entries) == len(read_bench.session.taxonomy)
    blast = next(a for a in entries if a.text().startswith("BLA"))
    assert blast.text().endswith("\tB")
    blast.trigger()
    assert read_bench.session.table["reviewed_class"][0] == "BLA"


@pytest.mark.usefixtures("menu")
def test_it_is_about_all_that_are_selected(read_bench: Any, parent: QWidget) -> None:
    read_bench.controller.review.select([1, 2, 5])
    shown = cell_menu(read_bench.controller, parent)
    assert shown.title() == "3 cells"
    next(a for a in shown.actions() if a.text().startswith("Not a cell")).trigger()
    said = read_bench.session.table["reviewed_class"]
    assert said[said == NOT_A_CELL].index.tolist() == [1, 2, 5]


def test_no_review_no_menu(
    read_bench: Any, menu: CellMenu, monkeypatch: Any, told: list[str]
) -> None:
    opened: list[int] = []
    monkeypatch.setattr(module, "cell_menu", lambda *args: opened.append(1))
    y, x = read_bench.session.cells.centre[0]
    menu.open_at((-50.0, -50.0))
    with monkeypatch.context() as patch:
        patch.setattr(read_bench.controller.canvas, "in_plane", lambda point: False)
        menu.open_at((float(y), float(x)))
    assert OTHER_PLANE in told
    read_bench.controller.review.stop()
    menu.open_at((float(y), float(x)))
    assert opened == []
    callbacks = list(read_bench.viewer.mouse_drag_callbacks)
    menu.close()
    assert len(read_bench.viewer.mouse_drag_callbacks) == len(callbacks) - 1
