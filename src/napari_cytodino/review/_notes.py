"""What a record tells beside verdicts: cells drawn at random, and classes added."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING

from napari_cytodino.common import InputError
from napari_cytodino.review.tracked_cells import StoredCell
from napari_cytodino.taxonomy import CellClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    import numpy.typing as npt

    from napari_cytodino.review._store import ReviewStore
    from napari_cytodino.review.tracked_cells import CaseCells

DRAWN, CLASS = "drawn ", "class "
"""How the names of such facts begin."""


class CaseNotes:
    """Facts of a case, written when they come about.

    Parameters
    ----------
    file, cells
        Of the case.
    check
        Raises where this reader can record nothing now.
    """

    def __init__(
        self, file: ReviewStore, cells: CaseCells, check: Callable[[str], object]
    ) -> None:
        self._file, self._cells, self._check = file, cells, check

    def note_drawn(
        self, rows: npt.NDArray[np.int64], *, of: int, reviewer: str
    ) -> None:
        """Write which cells were drawn at random to measure by.

        Parameters
        ----------
        rows : (M,) int64
            Of the cells attached.
        of : int
            From how many they were drawn, each with the same chance.
        reviewer : str

        Raises
        ------
        InputError
            When nothing can be recorded.
        """
        self._check(reviewer)
        drafts = [self._cells.draft(int(row), 0) for row in rows]
        fact = {"of": of, "cells": [cell[1:] for cell in drafts]}
        number = sum(name.startswith(DRAWN) for name in self._file.facts)
        self._file.note(f"{DRAWN}{number + 1}", json.dumps(fact), _now())

    def drawn(self) -> tuple[int, ...]:
        """Return the rows of the cells attached that were drawn at random."""
        facts = (v for name, v in self._file.facts.items() if name.startswith(DRAWN))
        cells: list[StoredCell] = []
        for fact in facts:
            # of a file of others it may be anything
            with suppress(ValueError, TypeError, LookupError):
                noted = [StoredCell(0, *cell) for cell in json.loads(fact)["cells"]]
                cells += [c for c in noted if isfinite(c.y + c.x + c.area + c.label)]
        return tuple(self._cells.rows_like(cells))

    def add_classes(self, classes: Iterable[str | CellClass], reviewer: str) -> None:
        """Write classes that were added to those of the checkpoint.

        Raises
        ------
        InputError
            When nothing can be recorded.
        """
        self._check(reviewer)
        for one in classes:
            code = one if isinstance(one, str) else one.code
            fact = "" if isinstance(one, str) else json.dumps(asdict(one))
            self._file.note(f"{CLASS}{code}", fact, _now())

    def classes(self) -> list[str | CellClass]:
        """Return the classes that were added: codes that ship, or the user's own."""
        found: list[str | CellClass] = []
        for name, value in self._file.facts.items():
            if name.startswith(CLASS):
                with suppress(ValueError, TypeError, InputError):
                    own = CellClass(**json.loads(value)) if value else None
                    found.append(own or name.removeprefix(CLASS))
        return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
