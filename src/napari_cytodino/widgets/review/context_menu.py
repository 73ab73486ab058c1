"""Right click on a cell: the same verdicts as the keys give."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import QMenu

from napari_cytodino.common import InputError
from napari_cytodino.results import class_colours
from napari_cytodino.widgets.canvas import picking as pointer
from napari_cytodino.widgets.canvas import unwrap
from napari_cytodino.widgets.controllers import OTHER_PLANE
from napari_cytodino.widgets.controls import notices, ui

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qtpy.QtWidgets import QWidget

    from napari_cytodino.widgets.controllers import Controller


RIGHT = 2


class CellMenu:
    """Opens a menu where a cell is clicked with the right button, in a review.

    Parameters
    ----------
    parent
        The widget that the menu belongs to.
    """

    def __init__(self, controller: Controller, parent: QWidget) -> None:
        self._controller, self._parent = controller, parent
        self._mouse = pointer.click_callback(self.open_at, button=RIGHT)
        controller.viewer.mouse_drag_callbacks.append(self._mouse)

    def close(self) -> None:
        """Let go of the viewer."""
        callbacks = self._controller.viewer.mouse_drag_callbacks
        if self._mouse in callbacks:
            callbacks.remove(self._mouse)

    def open_at(self, position: Sequence[float]) -> None:
        """Open the menu for the cell at a place in world coordinates."""
        reviewing, session = self._controller.review, self._controller.session
        image = session.image
        if not reviewing.is_open or image is None:
            return
        if unwrap(image) not in self._controller.viewer.layers:
            return
        if not self._controller.canvas.in_plane(self._controller.point()):
            notices.info(OTHER_PLANE)
            return
        try:
            row = pointer.row_at(session, position)
        except InputError as error:
            notices.error(error)
            return
        if row is None:
            return
        if row not in session.selected_rows:
            reviewing.select(np.array([row]))
        cell_menu(self._controller, self._parent).popup(QCursor.pos())


def cell_menu(controller: Controller, parent: QWidget) -> QMenu:
    """Return the menu for the cells that are selected."""
    actions, session = controller.actions, controller.session
    keys, taxonomy = controller.keys, session.taxonomy
    menu = QMenu(parent)
    menu.setTitle(_what(session))
    menu.addSection(_what(session))
    plain: list[tuple[str, str, Callable[[], None]]] = [
        ("Accept", "accept", actions.accept),
        ("Not a cell", "not_a_cell", actions.not_a_cell),
        ("Take the verdict back", "withdraw", actions.withdraw),
        ("Find a class…", "search", actions.search),
    ]
    for text, name, act in plain:
        _add(menu, text, keys.actions[name] if keys else "", act)
    menu.addSeparator()
    if taxonomy is not None:
        colours = class_colours(taxonomy)
        ink = menu.palette().text().color()
        side = ui.line_height(menu)
        for lineage in taxonomy.lineages:
            inside = menu.addMenu(lineage.title)
            for cell in taxonomy.classes_of(lineage.name):
                key = keys.classes.get(cell.code, "") if keys else ""
                text = f"{cell.code}  {cell.name}"
                act = partial(actions.set_class, cell.code)
                entry = _add(inside, text, key, act)
                entry.setIcon(ui.swatch(colours[cell.code], side, ink))
    menu.setEnabled(controller.review.writable)
    menu.aboutToHide.connect(menu.deleteLater)
    return menu


def _add(menu: Any, text: str, key: str, act: Callable[[], None]) -> Any:
    # the key is shown as text: a shortcut of an entry would fight the real one
    entry = menu.addAction(f"{text}\t{key}" if key else text)
    entry.triggered.connect(lambda checked=False: act())
    return entry


def _what(session: Any) -> str:
    rows = session.selected_rows
    if len(rows) == 1 and session.cells is not None:
        return f"Cell {session.cells.label[rows[0]]}"
    return f"{len(rows):,} cells"
