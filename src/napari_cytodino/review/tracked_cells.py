"""The cells that a record knows, and the rows in which they were found again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from napari_cytodino.cells import find_again
from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_cytodino.cells import Cells


class StoredCell(NamedTuple):
    """A cell that was given a verdict; y, x in pixels, area in square pixels.

    `label` is the one it had then; `plane` names the plane of a stack.
    """

    id: int
    label: int
    y: float
    x: float
    area: float
    plane: str


@dataclass(frozen=True)
class Matching:
    """Which cells of a case were found among those of a layer.

    Attributes
    ----------
    found : (n,) int64
        Rows of cells with a verdict, ascending.
    lost : int
        How many cells of the same plane someone speaks of that are not among these.
    """

    found: npt.NDArray[np.int64]
    lost: int


class CaseCells:
    """Cells 1, 2, ... of a record beside the rows of the layer that is attached."""

    def __init__(self) -> None:
        self._known: list[StoredCell] = []
        self._attached: Cells | None = None
        self._plane = ""
        self._row_of: dict[int, int] = {}
        self._cell_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._known)

    def stored(self, cell: int) -> StoredCell:
        """Return a cell of the record by its number, from 1."""
        return self._known[cell - 1]

    def attach(self, cells: Cells, plane: str, reviewed: set[int]) -> Matching:
        """Find the known cells of this plane; `reviewed` have verdicts."""
        self._attached, self._plane = cells, plane
        self._cell_of, self._row_of = {}, {}
        here = [cell for cell in self._known if cell.plane == plane]
        rows = self._places_of(here)
        for cell, row in zip(here, rows.tolist(), strict=True):
            if row >= 0:
                self._link(cell.id, row)
        lost = sum(cell.id in reviewed and cell.id not in self._row_of for cell in here)
        return Matching(np.array(self.rows(reviewed), np.int64), lost)

    def _places_of(self, here: Sequence[StoredCell]) -> npt.NDArray[np.int64]:
        """Return the row of each of these cells, -1 where it is not found."""
        cells = self._attached
        assert cells is not None
        place = np.array([(c.y, c.x, c.area) for c in here], float).reshape(-1, 3)
        return find_again(
            np.array([c.label for c in here], np.int64),
            place[:, :2],
            place[:, 2],
            cells.label,
            cells.centre,
            cells.area,
        )

    def rows_like(self, cells: Sequence[StoredCell]) -> list[int]:
        """Return where cells lie that are known by place and size alone, ascending."""
        attached = self._attached
        here = [cell for cell in cells if cell.plane == self._plane]
        if attached is None or not here:
            return []
        rows = self._places_of(here)
        return sorted(set(rows[rows >= 0].tolist()))

    def learn(self, cells: Sequence[StoredCell]) -> None:
        """Take cells that another program noted, and look for them."""
        self._known += cells
        if cells and self._attached is not None:
            self.attach(self._attached, self._plane, set())

    def take(self, fresh: dict[int, StoredCell]) -> None:
        """Take cells by row that are on the disk now."""
        self._known += fresh.values()
        for row, cell in fresh.items():
            self._link(cell.id, row)

    def draft(self, row: int, ahead: int) -> StoredCell:
        """Return what to note of a row; `ahead` cells are to be noted before it.

        Raises
        ------
        InputError
            When there is no such row.
        """
        cells = self._attached
        if cells is None or not 0 <= row < len(cells):
            count = 0 if cells is None else len(cells)
            raise InputError(
                f"Row {row} is none of the {count} cells of this case; choose another."
            )
        y, x = cells.centre[row].tolist()
        number = len(self._known) + ahead + 1
        return StoredCell(
            number, int(cells.label[row]), y, x, float(cells.area[row]), self._plane
        )

    def cell(self, row: int) -> int:
        """Return the cell in a row; 0 where it never had a verdict."""
        return self._cell_of.get(row, 0)

    def rows(self, cells: Iterable[int]) -> list[int]:
        """Return where these cells are, ascending; those not found are left out."""
        row_of = self._row_of
        return sorted(row_of[cell] for cell in cells if cell in row_of)

    def label(self, cell: int) -> int:
        """Return the label a cell has now, or had when it was noted."""
        row = self._row_of.get(cell)
        if row is None or self._attached is None:
            return self._known[cell - 1].label
        return int(self._attached.label[row])

    def _link(self, cell: int, row: int) -> None:
        self._cell_of[row], self._row_of[cell] = cell, row
