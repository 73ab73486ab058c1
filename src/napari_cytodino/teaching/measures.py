"""How well a taught head reads cells that it was not taught with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.stats import wilson
from napari_cytodino.teaching.head import FOLDS, fit_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_cytodino.teaching.head import Taught
    from napari_cytodino.teaching.lessons import Lessons

WANTED = 10
"""Cells of a class from which on it no longer lacks examples."""


@dataclass(frozen=True)
class Share:
    """How many of how many, with the 95 % Wilson interval.

    Attributes
    ----------
    right, cells : int
    """

    right: int
    cells: int

    def __str__(self) -> str:
        """Return it in words."""
        if not self.cells:
            return "not measured yet"
        low, high = wilson(self.right, self.cells)
        share = f"{self.right} of {self.cells} right"
        value = 100 * self.right / self.cells
        return f"{share}: {value:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def called(taught: Taught) -> NDArray[np.int64]:
    """Return the class that each lesson was given without it, -1 where none was."""
    known = np.asarray(np.isfinite(taught.held_out).all(axis=1))
    best = np.where(known[:, None], taught.held_out, 0).argmax(axis=1)
    return np.asarray(np.where(known, best, -1), np.int64)


def accuracy(taught: Taught, lessons: Lessons, codes: Sequence[str]) -> Share:
    """Return how many of the cells drawn at random are right, each left out in turn."""
    index = {code: place for place, code in enumerate(codes)}
    targets = np.array([index[code] for code in lessons.codes], np.int64)
    classes = called(taught)
    asked = lessons.drawn & (classes >= 0)
    return Share(int((classes == targets)[asked].sum()), int(asked.sum()))


def agreement(
    taught: Taught, lessons: Lessons, codes: Sequence[str]
) -> dict[str, Share]:
    """Return for each taught class how many of its cells were called so, left out."""
    classes = called(taught)
    names = np.array(lessons.codes)
    found = {}
    for place, code in enumerate(codes):
        own = (names == code) & (classes >= 0)
        if own.any():
            found[code] = Share(int((classes[own] == place).sum()), int(own.sum()))
    return found


def lacking(lessons: Lessons) -> list[str]:
    """Return the taught classes with few examples, the fewest first."""
    counts = lessons.counts()
    few = [code for code, n in counts.items() if n < WANTED]
    return sorted(few, key=lambda code: (counts[code], code))


def learning_curve(
    lessons: Lessons,
    codes: Sequence[str],
    own_codes: Sequence[str],
    temperature: float = 1.0,
    steps: int = 4,
) -> list[tuple[int, Share]]:
    """Return verdicts, and accuracy with so many, for growing parts of the lessons.

    The parts hold cells by their pixels, whatever the order of the verdicts was. Each
    cell is judged by a head that was taught without it.
    """
    found = []
    for step in range(1, steps + 1):
        part = lessons.take(np.arange(len(lessons))[: len(lessons) * step // steps])
        if len(set(part.codes)) < 2 or len(part) < FOLDS:
            continue
        taught = fit_head(part, codes, own_codes, temperature)
        shares = list(agreement(taught, part, codes).values())
        right, cells = sum(s.right for s in shares), sum(s.cells for s in shares)
        found.append((len(part), Share(right, cells)))
    return found
