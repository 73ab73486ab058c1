"""Predictions of cells whose class is known."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
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
    from napari_cytodino.uncertainty.novelty import NoveltyDetector
    from napari_cytodino.uncertainty.probabilities import ClassProbabilities


def decisions_of(
    cells: LabelledPredictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    evidence: ClassProbabilities | None = None,
) -> Decisions:
    """Return what the plugin would decide of these cells, none of them at a border."""
    predictions = as_predictions(cells.logits, cells.unfamiliarity)
    inside = np.zeros(len(cells), np.bool_)
    return decide(predictions, taxonomy, policy, inside, evidence)


def sources_of(cells: LabelledPredictions) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield "all" and, where there are several, each data set with its members."""
    yield "all", np.ones(len(cells), np.bool_)
    names = np.unique(cells.sources)
    if len(names) > 1:
        for name in names:
            yield str(name), cells.sources == name


@dataclass(frozen=True)
class LabelledPredictions:
    """Predictions on cells whose class is known.

    Attributes
    ----------
    targets : NDArray[np.int64]
        (N,) class indices given by experts.
    logits : NDArray[np.float32]
        (N, C); of a method that gives probabilities, their logarithms.
    sources : NDArray[np.str_]
        (N,) data set, that is laboratory, of each cell.
    embeddings : NDArray, optional
        (N, D) of the head; a calibration and the map need them.
    groups : NDArray[np.str_], optional
        (N,) patient or slide; cells of one are then not taken as independent.
    paths : tuple of str, optional
        The file of each cell.
    unfamiliarity : NDArray[np.float32], optional
        (N,) distance to the training cells, as in `Predictions`.

    Raises
    ------
    InputError
        When there is no cell, or these differ in length.
    """

    targets: NDArray[np.int64]
    logits: NDArray[np.float32]
    sources: NDArray[np.str_]
    embeddings: NDArray[Any] | None = None
    groups: NDArray[np.str_] | None = None
    paths: tuple[str, ...] | None = None
    unfamiliarity: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n = len(self.targets)
        if n == 0:
            raise InputError("There are 0 labelled cells; give a folder with some.")
        for name, value in self._given():
            if len(value) != n:
                raise InputError(
                    f"There are {len(value)} {name} for {n} cells; give one each."
                )

    def __len__(self) -> int:
        return len(self.targets)

    def _given(self) -> list[tuple[str, Any]]:
        values = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, value) for name, value in values if value is not None]

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

    def compared_with(self, familiarity: NoveltyDetector | None) -> LabelledPredictions:
        """Return the same with distances to training cells, none where there are none.

        Raises
        ------
        InputError
            When there are no embeddings to compare, or they do not fit.
        """
        if familiarity is None:
            return replace(self, unfamiliarity=None)
        # stored in half precision wherever the plugin compares them
        half = self.embedded.astype(np.float16)
        return replace(self, unfamiliarity=familiarity.novelty_score(half))

    @property
    def embedded(self) -> NDArray[Any]:
        """The embeddings, where there have to be some.

        Raises
        ------
        InputError
            When there are none.
        """
        if self.embeddings is None:
            raise InputError("These cells have no embeddings: give them too.")
        return self.embeddings

    def take(self, rows: NDArray[Any]) -> LabelledPredictions:
        """Return the predictions of some rows."""
        kept = np.arange(len(self))[rows]
        taken: dict[str, Any] = {
            name: tuple(value[i] for i in kept) if name == "paths" else value[kept]
            for name, value in self._given()
        }
        return LabelledPredictions(**taken)


@dataclass(frozen=True)
class OodCells:
    """Predictions on pictures that show no known cell, or cells from elsewhere.

    Attributes
    ----------
    unfamiliarity : (M,) float32
        As in `Predictions`.
    logits : (M, C) float32, optional
        With them it is counted how many would be accepted.
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
                f"There are {len(self.logits)} logits for {n} cells; give one each."
            )
        unknown = int(np.isnan(self.unfamiliarity).sum())
        if n == 0 or unknown:
            raise InputError(
                f"Unfamiliarity is not known for {unknown} of {n} cells; give at "
                "least one, answered by a checkpoint with training cells to compare."
            )
