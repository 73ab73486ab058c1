"""Cells with the class that a reader gave them, as a head is taught with them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Lessons:
    """Taught cells, in an order that depends on nothing but the cells.

    Attributes
    ----------
    features : (N, F) float16
        Of the frozen backbone, as `Predictions.features`.
    logits : (N, C) float32
        The checkpoint's own answer.
    unfamiliarity : (N,) float32
        As `Predictions.unfamiliarity`.
    codes : tuple of str
        The class of each.
    keys : tuple of str
        What tells the pixels of a cell from all others.
    groups : tuple of str
        Patient or image that each is from.
    drawn : (N,) bool
        True for cells that were drawn at random: they measure, as well as teach.
    """

    features: NDArray[np.float16]
    logits: NDArray[np.float32]
    unfamiliarity: NDArray[np.float32]
    codes: tuple[str, ...]
    keys: tuple[str, ...]
    groups: tuple[str, ...]
    drawn: NDArray[np.bool_]

    def __post_init__(self) -> None:
        counts = {len(getattr(self, field.name)) for field in fields(self)}
        if len(counts) != 1 or self.features.ndim != 2 or self.logits.ndim != 2:
            raise InputError(
                f"Taught cells are given in parts of {sorted(counts)} cells; give as "
                "many features, answers and classes as cells."
            )

    def __len__(self) -> int:
        return len(self.codes)

    @staticmethod
    def none(features: int, classes: int) -> Lessons:
        """Return no lessons, of so many features and classes of the checkpoint."""
        return Lessons(
            np.zeros((0, features), np.float16),
            np.zeros((0, classes), np.float32),
            np.zeros(0, np.float32),
            (),
            (),
            (),
            np.zeros(0, np.bool_),
        )

    def take(self, rows: NDArray[Any] | Sequence[int]) -> Lessons:
        """Return some of them, in the order given."""
        rows = np.asarray(rows, np.int64)
        places = rows.tolist()
        return Lessons(
            self.features[rows],
            self.logits[rows],
            self.unfamiliarity[rows],
            tuple(self.codes[i] for i in places),
            tuple(self.keys[i] for i in places),
            tuple(self.groups[i] for i in places),
            self.drawn[rows],
        )

    def counts(self) -> dict[str, int]:
        """Return how many cells each class has, by code."""
        found, counts = np.unique(np.array(self.codes, str), return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True)
class Merged:
    """Lessons of several sources in one.

    Attributes
    ----------
    lessons : Lessons
        Each cell once, sorted by the pixels.
    contradictions : tuple of (str, tuple of str)
        Key and classes of cells that were given more than one: they teach nothing.
    """

    lessons: Lessons
    contradictions: tuple[tuple[str, tuple[str, ...]], ...]


def merge(parts: Iterable[Lessons]) -> Merged:
    """Join lessons; a cell that was called differently is left out and named.

    Raises
    ------
    InputError
        When they are of different checkpoints, or there are none.
    """
    given = list(parts)
    kinds = {(p.features.shape[1], p.logits.shape[1]) for p in given}
    if len(kinds) != 1:
        raise InputError(
            "The taught cells are not of one checkpoint (features and classes: "
            f"{sorted(kinds)}); teach them again from their images."
        )
    whole = Lessons(
        np.concatenate([p.features for p in given]),
        np.concatenate([p.logits for p in given]),
        np.concatenate([p.unfamiliarity for p in given]),
        tuple(code for p in given for code in p.codes),
        tuple(key for p in given for key in p.keys),
        tuple(group for p in given for group in p.groups),
        np.concatenate([p.drawn for p in given]),
    )
    rows_of: dict[str, dict[str, list[int]]] = {}
    for row, (key, code) in enumerate(zip(whole.keys, whole.codes, strict=True)):
        rows_of.setdefault(key, {}).setdefault(code, []).append(row)
    agreed = [
        min(rows, key=lambda row: (not whole.groups[row], whole.groups[row]))
        for key in sorted(rows_of)
        if len(rows_of[key]) == 1
        for rows in rows_of[key].values()
    ]
    for kept in agreed:
        # drawn once is drawn
        rows = rows_of[whole.keys[kept]][whole.codes[kept]]
        whole.drawn[kept] = whole.drawn[rows].any()
    split = (
        (key, tuple(sorted(rows_of[key])))
        for key in sorted(rows_of)
        if len(rows_of[key]) > 1
    )
    return Merged(whole.take(agreed), tuple(split))
