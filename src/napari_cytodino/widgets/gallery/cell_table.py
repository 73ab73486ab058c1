"""All cells as lines of a table, sorted by any column, linked with the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QModelIndex, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_cytodino.results import class_colours
from napari_cytodino.widgets.controls import ui

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.widgets.controllers import Controller
    from napari_cytodino.widgets.session import Session


SHOWN = {
    "label": "Cell",
    "final_class": "Class",
    "cell_class": "Model",
    "confidence": "Sure",
    "status": "Status",
    "reason": "Reason",
    "reviewed_class": "Verdict",
    "reviewer": "Reader",
    "area": "Area, px²",
}
"""Columns of the table, and what their headers say."""

NAMES = tuple(SHOWN)

ROLE = Qt.ItemDataRole


class CellTableModel(QAbstractTableModel):
    """The session's table in an order of its own; nothing is copied but the order."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._by, self._falling = "label", False
        self.rows = np.zeros(0, np.int64)
        self._lines = np.zeros(0, np.int64)
        self.refresh()

    def refresh(self) -> None:
        """Take the table anew, as after other cells, another reader or threshold."""
        self.beginResetModel()
        session = self._session
        done = session.predictions.done if session.predictions is not None else None
        all_rows = np.zeros(0, np.int64) if done is None else np.flatnonzero(done)
        self._lines = self._order() if len(all_rows) else all_rows
        self.rows = all_rows[self._lines]
        self.endResetModel()

    def touch(self, rows: object) -> None:
        """Show verdicts; lines keep their places until someone sorts again."""
        if len(self.rows):
            last = self.index(len(self.rows) - 1, len(NAMES) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many cells there are."""
        inside = parent is not None and parent.isValid()
        return 0 if inside else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many columns there are."""
        return 0 if parent is not None and parent.isValid() else len(NAMES)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = ROLE.DisplayRole
    ) -> Any:
        """Return the title of a column."""
        if role == ROLE.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return SHOWN[NAMES[section]]
        return None

    def data(self, index: QModelIndex, role: int = ROLE.DisplayRole) -> Any:
        """Return the text of a cell, its colour, or how it is aligned."""
        name = NAMES[index.column()]
        value = self._session.table[name].iat[self._lines[index.row()]]
        if role == ROLE.DisplayRole:
            return words(name, value)
        if role == ROLE.TextAlignmentRole and name in ("label", "confidence", "area"):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        taxonomy = self._session.taxonomy
        if role == ROLE.DecorationRole and name == "final_class" and value and taxonomy:
            return ui.qcolor(class_colours(taxonomy)[value])
        return None

    def sort(
        self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder
    ) -> None:
        """Sort by a column; cells that are alike stay in the order of their labels."""
        self._by = NAMES[column]
        self._falling = order == Qt.SortOrder.DescendingOrder
        self.refresh()

    def _order(self) -> npt.NDArray[np.int64]:
        values = self._session.table[self._by].to_numpy()
        if values.dtype == object:
            values = np.unique(values.astype(str), return_inverse=True)[1]
        values = np.nan_to_num(values.astype(float), nan=-1.0)
        return np.argsort(-values if self._falling else values, kind="stable")


class CellTable(QTableView):
    """The table, and what is selected in it."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._session = controller.session
        self.cells = CellTableModel(controller.session)
        self.setModel(self.cells)
        self.setAccessibleName("Table of all cells")
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(
            NAMES.index("reason"), QHeaderView.ResizeMode.Stretch
        )
        self._own = False
        session = controller.session
        ui.listen(self, session.results, self.refresh)
        ui.listen(self, session.verdicts_changed, self.cells.touch)
        ui.listen(self, session.selected, self.follow)
        self.selectionModel().selectionChanged.connect(self._choose)
        self.activated.connect(self._go)

    def refresh(self) -> None:
        """Take the table anew, and keep what is selected."""
        self._own = True
        self.cells.refresh()
        self._own = False
        self.follow()

    def follow(self) -> None:
        """Select what is selected elsewhere, and bring it into view."""
        if self._own:
            return
        lines = np.flatnonzero(np.isin(self.cells.rows, self._session.selected_rows))
        chosen = QItemSelection()
        # one range for neighbours: thousands of single lines would take seconds
        for block in np.split(lines, np.flatnonzero(np.diff(lines) > 1) + 1):
            if len(block):
                first = self.cells.index(int(block[0]), 0)
                last = self.cells.index(int(block[-1]), len(NAMES) - 1)
                chosen.select(first, last)
        self._own = True
        flags = self.selectionModel().SelectionFlag
        self.selectionModel().select(chosen, flags.ClearAndSelect | flags.Rows)
        self._own = False
        if len(lines):
            self.scrollTo(self.cells.index(int(lines[0]), 0))

    def _choose(self, *changes: object) -> None:
        if self._own:
            return
        lines = [index.row() for index in self.selectionModel().selectedRows()]
        self._own = True
        self._controller.review.select(self.cells.rows[sorted(lines)])
        self._own = False

    def _go(self, index: QModelIndex) -> None:
        self._controller.review.select([int(self.cells.rows[index.row()])])
        self._controller.canvas.show_at_scale()


def words(name: str, value: Any) -> str:
    """Return a value of the table as it is shown."""
    if name == "confidence":
        return "" if value != value else f"{100 * value:.1f} %"
    if name == "area":
        return f"{value:,.0f}"
    return str(value).replace("_", " ")
