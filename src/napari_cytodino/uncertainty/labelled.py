"""Predictions of cells whose class is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import InputError
from napari_cytodino.uncertainty.decisions import decide
from napari_cytodino.uncertainty.predictions import as_predictions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty.decisions import DecisionPolicy, Decisions
    from napari_cytodino.uncertainty.probabilities import ClassProbabilities


@dataclass(frozen=True)
class Answers:
    """What a model says of cells whose class is known.

    Attributes
    ----------
    logits, embeddings : (N, C), (N, D)
    targets : (N,) int64
    sources : (N,)
        Data set of each cell.
    patients : (N,) or None
        Whose cell it is, where files say so.
    """

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    targets: NDArray[np.int64]
    sources: NDArray[np.str_]
    patients: NDArray[np.str_] | None = None


def decisions_of(
    cells: TestCells,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    evidence: ClassProbabilities | None = None,
) -> Decisions:
    """Return what the plugin would decide of test cells, none of them at a border."""
    predictions = as_predictions(cells.logits, cells.unfamiliarity)
    inside = np.zeros(len(cells), np.bool_)
    return decide(predictions, taxonomy, policy, inside, evidence)


def sources_of(cells: TestCells) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield "all" and, where there are several, each data set with its members."""
    yield "all", np.ones(len(cells), np.bool_)
    names = np.unique(cells.sources)
    if len(names) > 1:
        for name in names:
            yield str(name), cells.sources == name


@dataclass(frozen=True)
class TestCells:
    """A classifier's answers on test cells.

    Attributes
    ----------
    targets : NDArray[np.int64]
        (N,) class indices given by experts.
    logits : NDArray[np.float32]
        (N, C); of a method that gives probabilities, their logarithms.
    paths : tuple of str
        The file of each cell.
    sources : NDArray[np.str_]
        (N,) data set, that is laboratory, of each cell.
    groups : NDArray[np.str_], optional
        (N,) patient or slide; intervals are then over groups, not cells.
    embeddings : NDArray, optional
        (N, D) of the head; needed for the map.
    unfamiliarity : NDArray[np.float32], optional
        (N,) distance to the training cells, as in `Predictions`.

    Raises
    ------
    InputError
        When there is no cell, or these differ in length.
    """

    __test__ = False  # pytest takes a class named Test... for tests

    targets: NDArray[np.int64]
    logits: NDArray[np.float32]
    paths: tuple[str, ...]
    sources: NDArray[np.str_]
    groups: NDArray[np.str_] | None = None
    embeddings: NDArray[Any] | None = None
    unfamiliarity: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n = len(self.targets)
        if n == 0:
            raise InputError("There are 0 test cells; name a data folder with some.")
        optional = ("groups", "embeddings", "unfamiliarity")
        for name in ("logits", "paths", "sources", *optional):
            value = getattr(self, name)
            if value is not None and len(value) != n:
                raise InputError(
                    f"There are {len(value)} {name} for {n} test cells; give one each."
                )

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def guesses(self) -> NDArray[np.int64]:
        """The class called, (N,)."""
        return np.asarray(self.logits.argmax(axis=1), np.int64)

    @cached_property
    def units(self) -> NDArray[np.str_] | None:
        """The groups to draw for intervals; None where there are not two of them."""
        if self.groups is None or len(np.unique(self.groups)) < 2:
            return None
        return self.groups

    def take(self, rows: NDArray[Any]) -> TestCells:
        """Return the answers of some rows."""
        kept = np.arange(len(self))[rows]
        return TestCells(
            self.targets[kept],
            self.logits[kept],
            tuple(self.paths[i] for i in kept),
            self.sources[kept],
            None if self.groups is None else self.groups[kept],
            None if self.embeddings is None else self.embeddings[kept],
            None if self.unfamiliarity is None else self.unfamiliarity[kept],
        )


@dataclass(frozen=True)
class OodCells:
    """Answers on pictures that are no known cells, or cells from elsewhere.

    Attributes
    ----------
    unfamiliarity : (M,) float32
        As in `Predictions`.
    logits : (M, C) float32, optional
        Then it is told how many of them would be accepted.
    what : str
        What they are and where from, in words.
    """

    unfamiliarity: NDArray[np.float32]
    logits: NDArray[np.float32] | None = None
    what: str = ""

    def __post_init__(self) -> None:
        n = len(self.unfamiliarity)
        if self.logits is not None and len(self.logits) != n:
            raise InputError(
                f"There are {len(self.logits)} logits for {n} strangers; give one each."
            )
        unknown = int(np.isnan(self.unfamiliarity).sum())
        if n == 0 or unknown:
            raise InputError(
                f"Unfamiliarity is not known for {unknown} of {n} strangers; give at "
                "least one, answered by a checkpoint with training cells to compare."
            )
