"""The model's predictions on each cell: frozen arrays that grow batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from numpy.typing import NDArray


KEY = 16
"""Bytes of what tells the pixels of a cell from all others."""


def as_predictions(
    logits: NDArray[np.float32],
    unfamiliarity: NDArray[np.float32] | None = None,
    embeddings: NDArray[np.float16] | None = None,
) -> Predictions:
    """Wrap logits as predictions of readable, finished cells."""
    n = len(logits)
    yes = np.ones(n, np.bool_)
    unlike = np.full(n, np.nan, np.float32) if unfamiliarity is None else unfamiliarity
    empty = Predictions.empty(n, logits.shape[1], 1)
    return replace(
        empty,
        logits=logits,
        embeddings=empty.embeddings if embeddings is None else embeddings,
        done=yes,
        readable=yes.copy(),
        unfamiliarity=unlike,
    )


@dataclass(frozen=True)
class PredictionBatch:
    """The model's answer for some cells.

    Attributes
    ----------
    rows : (B,) int64
        Which cells these are, as rows of the `Cells` that were asked for.
    logits : (B, C) float32
    embeddings : (B, D) float16
    readable : (B,) bool
        False where the pixels could not be read or the answer is not finite.
    unfamiliarity : (B,) float32 or None
        As in `Predictions`; None where the checkpoint has nothing to compare with.
    features : (B, F) float16 or None
    keys : (B, 16) uint8 or None
        As in `Predictions`.
    """

    rows: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float16]
    readable: npt.NDArray[np.bool_]
    unfamiliarity: npt.NDArray[np.float32] | None = None
    features: npt.NDArray[np.float16] | None = None
    keys: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Predictions:
    """The model's answers for all N cells, complete or not.

    Attributes
    ----------
    logits : (N, C) float32
        NaN where a cell is not done or not readable.
    embeddings : (N, D) float16
    done : (N,) bool
    readable : (N,) bool
    unfamiliarity : (N,) float32
        Distance to the training cells (`NoveltyDetector.novelty_score`), above 1 for a
        cell that is unlike them; NaN where it is not known.
    features : (N, F) float16
        What a taught head reads; F is 0 where none were kept.
    keys : (N, 16) uint8
        What tells the pixels of a cell from all others; 0 where nobody asked.
    """

    logits: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float16]
    done: npt.NDArray[np.bool_]
    readable: npt.NDArray[np.bool_]
    unfamiliarity: npt.NDArray[np.float32]
    features: npt.NDArray[np.float16]
    keys: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.done)

    @staticmethod
    def empty(cells: int, classes: int, width: int, features: int = 0) -> Predictions:
        """Return predictions in which no cell is done yet."""
        return Predictions(
            np.full((cells, classes), np.nan, np.float32),
            np.zeros((cells, width), np.float16),
            np.zeros(cells, bool),
            np.ones(cells, bool),
            np.full(cells, np.nan, np.float32),
            np.zeros((cells, features), np.float16),
            np.zeros((cells, KEY), np.uint8),
        )

    @staticmethod
    def like(batch: PredictionBatch, cells: int) -> Predictions:
        """Return predictions of so many cells, none done yet, of a batch's kind."""
        width = 0 if batch.features is None else batch.features.shape[1]
        return Predictions.empty(
            cells, batch.logits.shape[1], batch.embeddings.shape[1], width
        )

    def with_batches(self, batches: list[PredictionBatch]) -> Predictions:
        """Return predictions with these batches in them, copied once."""
        new = replace(
            self,
            logits=self.logits.copy(),
            embeddings=self.embeddings.copy(),
            done=self.done.copy(),
            readable=self.readable.copy(),
            unfamiliarity=self.unfamiliarity.copy(),
            features=self.features.copy(),
            keys=self.keys.copy(),
        )
        for batch in batches:
            finite = batch.readable & np.isfinite(batch.logits).all(axis=1)
            new.logits[batch.rows] = np.where(finite[:, None], batch.logits, np.nan)
            new.embeddings[batch.rows] = np.where(finite[:, None], batch.embeddings, 0)
            new.done[batch.rows] = True
            new.readable[batch.rows] = finite
            if batch.unfamiliarity is not None:
                new.unfamiliarity[batch.rows] = batch.unfamiliarity
            if batch.features is not None and new.features.shape[1]:
                kept = np.where(finite[:, None], batch.features, 0)
                new.features[batch.rows] = kept
            if batch.keys is not None:
                new.keys[batch.rows] = batch.keys
        return new

    def longer(self, cells: int) -> Predictions:
        """Return these predictions, followed by cells that are not done yet."""
        parts = (self.logits, self.embeddings, self.features)
        more = Predictions.empty(cells - len(self), *(p.shape[1] for p in parts))
        joined = (
            np.concatenate([getattr(self, field.name), getattr(more, field.name)])
            for field in fields(Predictions)
        )
        return Predictions(*joined)

    def probabilities(self, temperature: float = 1.0) -> npt.NDArray[np.float32]:
        """Return softmax(logits / temperature), shape (N, C); NaN where not done."""
        scaled = self.logits.astype(np.float64) / temperature
        with np.errstate(invalid="ignore"):
            scaled -= scaled.max(axis=1, keepdims=True, initial=-np.inf)
            odds = np.exp(scaled)
            share: npt.NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
        return share.astype(np.float32)
