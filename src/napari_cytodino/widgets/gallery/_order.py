"""Which cells stand in which section of the gallery, in which order; no Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_cytodino.common import InputError
from napari_cytodino.results import NONE, Colour, class_colours, lineage_colours
from napari_cytodino.taxonomy import NOT_A_CELL
from napari_cytodino.widgets.session import OPEN, UNSETTLED, groups

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.cells import Cells
    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty import Predictions


SORTS = ("confidence", "size", "similarity", "position")
"""What cells of a section may be sorted by: least sure, largest, most alike first."""

PENDING = "not classified yet"
"""The section of cells that the model has not answered for."""

OTHER_TAXONOMY = "class of another taxonomy"
"""The section of verdicts whose class this checkpoint does not know."""

_PART = 8192
"""Embeddings are compared in parts of so many cells, to spare memory."""


@dataclass(frozen=True)
class SectionKind:
    """What the cells of a section have in common.

    Attributes
    ----------
    key
        Class code, or one of `OPEN` + lineage, `UNSETTLED`, `NOT_A_CELL`, `PENDING`,
        `OTHER_TAXONOMY`.
    code
        The class that a cell dropped here is given; empty where none is.
    lineage
        Name of the lineage; empty outside.
    critical
        True where each cell demands a look of its own.
    counted
        True where the class is part of the differential.
    """

    key: str
    code: str
    name: str
    lineage: str
    colour: Colour
    critical: bool = False
    counted: bool = False

    @property
    def is_class(self) -> bool:
        """True for a class of the taxonomy."""
        return bool(self.lineage) and self.code == self.key

    @property
    def word(self) -> str:
        """The code of a class, else the name: as short as possible."""
        return self.code if self.is_class else self.name


@dataclass(frozen=True)
class Section:
    """A run of cells of one kind: places `start` to `stop` of `Order.rows`.

    `percent` is of all cells in the differential; NaN for kinds outside of it.
    """

    kind: SectionKind
    start: int
    stop: int
    percent: float

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Order:
    """All N cells, section by section.

    Attributes
    ----------
    sections
        Those that hold a cell.
    rows : (N,) int64
        The row of the cell at each place; every row stands there once.
    place : (N,) int64
        The place of each row.
    """

    sections: tuple[Section, ...]
    rows: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def section_of(self, place: int) -> int:
        """Return which section a place lies in."""
        stops = [section.stop for section in self.sections]
        return int(np.searchsorted(stops, place, side="right"))


EMPTY = Order((), np.zeros(0, np.int64), np.zeros(0, np.int64))


def kinds(taxonomy: Taxonomy | None, *, blind: bool = False) -> tuple[SectionKind, ...]:
    """Return all sections there can be, in maturation order.

    Cells without class come last; for a blind reader they are what is left to do and
    come first.
    """
    out: list[SectionKind] = []
    if taxonomy is not None:
        colours, lineages = class_colours(taxonomy), lineage_colours(taxonomy)
        for group in taxonomy.lineages:
            out += [
                SectionKind(
                    c.code,
                    c.code,
                    c.name,
                    group.name,
                    colours[c.code],
                    c.risk == "critical",
                    c.counted,
                )
                for c in taxonomy.classes_of(group.name)
            ]
            if not blind:
                key, name = OPEN + group.name, f"{group.title}, stage open"
                out.append(SectionKind(key, "", name, group.name, lineages[group.name]))
    unread = SectionKind(
        UNSETTLED, "", "not yet read" if blind else UNSETTLED, "", NONE
    )
    out = [unread, *out] if blind else [*out, unread]
    return (
        *out,
        SectionKind(NOT_A_CELL, NOT_A_CELL, "not a cell", "", NONE),
        SectionKind(OTHER_TAXONOMY, "", OTHER_TAXONOMY, "", NONE),
        SectionKind(PENDING, "", PENDING, "", NONE),
    )


def kind_places(
    table: pd.DataFrame, known: tuple[SectionKind, ...]
) -> npt.NDArray[np.uint16]:
    """Return for each line of a table which of the kinds it is of."""
    keys = groups(table)
    reviewed = table["reviewed_class"].to_numpy(object)
    keys = np.where(reviewed == NOT_A_CELL, NOT_A_CELL, keys)
    names = pd.Index([kind.key for kind in known], dtype=object)
    place = names.get_indexer(pd.Index(keys, dtype=object))
    other = next(i for i, kind in enumerate(known) if kind.key == OTHER_TAXONOMY)
    return np.where(place < 0, other, place).astype(np.uint16)


def ranking(
    sort: str,
    cells: Cells,
    confidence: npt.NDArray[np.float64],
    *,
    side: int,
    predictions: Predictions | None = None,
    like: int | None = None,
) -> npt.NDArray[np.int64]:
    """Return all rows in the order that holds within every section; ties by row.

    Parameters
    ----------
    confidence : (N,)
        0 to 1; NaN, as of unreadable cells, comes first.
    side
        Height of the bands, in pixels, that are read from left to right when sorted
        by position.
    like
        The row that others are compared with; None sorts by confidence instead.

    Raises
    ------
    InputError
        When the sort is none of `SORTS`.
    """
    if sort not in SORTS:
        raise InputError(f"'{sort}' is no order; choose one of {', '.join(SORTS)}.")
    if sort == "position":
        band = np.floor(cells.centre[:, 0] / side)
        return np.lexsort((cells.centre[:, 1], band)).astype(np.int64)
    key = np.where(np.isnan(confidence), -1.0, confidence)
    if sort == "size":
        key = -cells.area
    elif sort == "similarity" and like is not None and predictions is not None:
        key = -similarity(predictions.embeddings, like)
    return np.argsort(key, kind="stable").astype(np.int64)


def similarity(
    embeddings: npt.NDArray[np.float16], row: int
) -> npt.NDArray[np.float32]:
    """Return the cosine of each cell's embedding with that of one, from -1 to 1.

    That cell itself is given 2, so that it comes first; cells without embedding -2.
    """
    one = embeddings[row].astype(np.float32)
    out = np.full(len(embeddings), -2.0, np.float32)
    for start in range(0, len(embeddings), _PART):
        part = embeddings[start : start + _PART].astype(np.float32)
        norm = np.sqrt(np.einsum("ij,ij->i", part, part)) * np.linalg.norm(one)
        seen = norm > 0
        out[start : start + _PART][seen] = (part @ one)[seen] / norm[seen]
    out[row] = 2.0
    return out


def arrange(
    kind_of: npt.NDArray[np.uint16],
    ranked: npt.NDArray[np.int64],
    known: tuple[SectionKind, ...],
) -> Order:
    """Deal ranked rows out to their sections.

    Parameters
    ----------
    kind_of : (N,)
        Which of the kinds each row is of.
    ranked : (N,)
        All rows, in the order that holds within every section.
    """
    # 16-bit keys are sorted by radix: under a millisecond for 50,000 cells
    rows = ranked[np.argsort(kind_of[ranked], kind="stable")]
    place = np.empty_like(rows)
    place[rows] = np.arange(len(rows))
    sizes = np.bincount(kind_of, minlength=len(known)).tolist()
    counted = sum(n for n, kind in zip(sizes, known, strict=True) if kind.counted)
    sections, start = [], 0
    for count, kind in zip(sizes, known, strict=True):
        if count:
            percent = 100 * count / counted if kind.counted else math.nan
            sections.append(Section(kind, start, start + count, percent))
        start += count
    return Order(tuple(sections), rows, place)
