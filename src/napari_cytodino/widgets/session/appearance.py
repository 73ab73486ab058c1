"""How each classified cell looks, as pure values: colour, visibility, sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cytodino.results import NONE, Colour, colour_keys, palette
from napari_cytodino.taxonomy import NOT_A_CELL

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.taxonomy import Taxonomy


SIGNS = {"auto": "", "lineage_only": "~", "review": "?", "rejected": "×"}
"""What is written beside a cell of each status, so that colour is not all there is."""

OPEN = "stage open: "
"""Begins the group of cells whose lineage is sure and whose stage is not."""

UNSETTLED = "no class"
"""The group of cells that have neither class nor lineage."""

REJECTED = "not a cell"
"""The group of what a reader called no cell."""

BLOCK = 64
"""Rows of pixels that are painted at a time."""


@dataclass(frozen=True)
class Appearance:
    """The look of M classified cells, in the order of the table.

    Attributes
    ----------
    rows : (M,) int64
        Rows of the session's cells.
    values : (M,) uint8
        Place of the colour in `palette`, from 1; 0 where the cell is hidden.
    palette
        The few colours in use; the first one, of place 0, is transparent.
    signs : (M,) object
        One of `SIGNS`; empty where the cell is hidden or needs none.
    """

    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.uint8]
    palette: tuple[Colour, ...]
    signs: npt.NDArray[np.object_]

    @property
    def shown(self) -> npt.NDArray[np.bool_]:
        """True for cells whose class is not hidden."""
        return self.values > 0

    @property
    def colours(self) -> npt.NDArray[np.float64]:
        """Red, green, blue, alpha of each cell."""
        return np.array(self.palette, float)[self.values]


def groups(table: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return the legend entry of each row: class, open stage of a lineage, or none."""
    final = table["final_class"].to_numpy(object)
    names = np.where(final != "", final, UNSETTLED) if len(table) else final.copy()
    status = table["status"].to_numpy(object)
    names[table["reviewed_class"].to_numpy(object) == NOT_A_CELL] = REJECTED
    open_ = (names == UNSETTLED) & (status == "lineage_only")
    stage_open = np.flatnonzero(open_)
    names[stage_open] = OPEN + table["lineage"].to_numpy(object)[stage_open]
    return names


def counts(table: pd.DataFrame) -> dict[str, int]:
    """Return how many cells each legend entry has."""
    codes, names = pd.factorize(groups(table))
    return dict(zip(map(str, names), np.bincount(codes).tolist(), strict=True))


def appearance_of(
    table: pd.DataFrame,
    done: npt.NDArray[np.bool_],
    taxonomy: Taxonomy,
    mode: str,
    hidden: frozenset[str],
) -> Appearance:
    """Return how the rows of the table look in this colour mode.

    Parameters
    ----------
    done
        Which of the session's cells the rows of the table are.
    """
    colours = palette(taxonomy, mode)
    values = _places(colour_keys(table, mode, taxonomy), list(colours)) + 1
    shown = np.ones(len(table), bool)
    if hidden:
        shown = _places(groups(table), sorted(hidden)) == len(hidden)
    signs = np.array([*SIGNS.values(), ""], object)[
        _places(table["status"].to_numpy(object), list(SIGNS))
    ]
    seen = table["reviewed_class"].to_numpy(object) != ""
    signs = np.where(seen, "", signs)
    return Appearance(
        np.flatnonzero(done),
        np.where(shown, values, 0).astype(np.uint8),
        ((0.0, 0.0, 0.0, 0.0), *colours.values(), NONE),
        np.where(shown, signs, "") if len(table) else signs,
    )


def _places(values: npt.NDArray[np.object_], known: list[str]) -> npt.NDArray[np.int64]:
    """Return where each value stands among the known ones; after them if nowhere."""
    # hashing each text once in C: a dictionary asked in Python takes ten times as long
    place = pd.Index(known, dtype=object).get_indexer(pd.Index(values, dtype=object))
    return np.where(place < 0, len(known), place)


class LabelPainter:
    """Turns label ids into values, whatever the ids; made once a label image."""

    def __init__(self, ids: npt.NDArray[np.int64]) -> None:
        self._ids = ids
        last = int(ids.max(initial=0))
        self._dense = last <= 4 * len(ids) + 1_000_000
        self._size = last + 1

    def paint(
        self,
        labels: npt.NDArray[Any],
        values: npt.NDArray[np.uint8],
        out: npt.NDArray[np.uint8] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Return the value of each pixel; 0 where its id is none of the ids.

        Parameters
        ----------
        labels : (H, W) integers
        values : (N,) uint8
            Of each id.
        out : (H, W) uint8, optional
            Written to and returned, instead of an array of its own.
        """
        painted = np.empty(labels.shape, np.uint8) if out is None else out
        table = np.zeros(self._size + 1 if self._dense else 0, np.uint8)
        if self._dense:
            table[self._ids] = values
        # the indices of a whole image would be half a gigabyte of memory to touch
        for top in range(0, len(labels), BLOCK):
            block = labels[top : top + BLOCK]
            if self._dense:
                if block.dtype == np.uint64:
                    block = np.minimum(block, self._size).astype(np.int64)
                np.take(table, block, mode="clip", out=painted[top : top + BLOCK])
            else:
                place = np.searchsorted(self._ids, block)
                place = np.minimum(place, len(self._ids) - 1)
                found = self._ids[place] == block
                painted[top : top + BLOCK] = np.where(found, values[place], 0)
        return painted
