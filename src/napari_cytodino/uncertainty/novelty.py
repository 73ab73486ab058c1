"""How unlike the training cells a cell is, by its embedding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


NEIGHBOURS = 5
"""The distance to this many-th nearest training cell counts (Sun et al. 2022,
arXiv 2204.06507)."""

CHUNK = 4096
"""Embeddings that are compared at a time."""


@dataclass(frozen=True)
class NoveltyDetector:
    """Training cells and how they scatter, to compare new cells with.

    Attributes
    ----------
    references : (M, D) float16
        Embeddings of training cells, of length 1.
    classes : (M,) int64
        Their classes, in logit order.
    means : (K, D) float32
        Mean embedding of each class that has training cells.
    whitening : (D, D) float32
        Turns a difference of embeddings into one with unit covariance within classes.
    limits : (2,) float64
        The largest cosine distance and the largest Mahalanobis distance that count as
        familiar.
    """

    references: NDArray[np.float16]
    classes: NDArray[np.int64]
    means: NDArray[np.float32]
    whitening: NDArray[np.float32]
    limits: NDArray[np.float64]

    def __post_init__(self) -> None:
        m, d = self.references.shape if self.references.ndim == 2 else (0, 0)
        parts = (self.references, self.means, self.whitening, self.limits)
        good = (
            m > 0
            and self.classes.shape == (m,)
            and self.means.ndim == 2
            and self.means.shape[1:] == (d,)
            and len(self.means) > 0
            and self.whitening.shape == (d, d)
            and self.limits.shape == (2,)
            and all(bool(np.isfinite(part).all()) for part in parts)
            and bool((self.limits > 0).all())
        )
        if not good:
            raise InputError(
                "These are no training cells to compare with: shapes disagree or "
                "values are no finite numbers; calibrate the checkpoint again."
            )

    @property
    def width(self) -> int:
        """Numbers in an embedding."""
        return int(self.references.shape[1])

    @cached_property
    def _units(self) -> NDArray[np.float32]:
        return self.references.astype(np.float32)

    def distances(self, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """Return cosine and Mahalanobis distance of each embedding, (N, 2).

        The first is that to the 5th nearest training cell, the second that to the
        nearest class with the covariance that all classes share. NaN for an embedding
        that is not finite.
        """
        x = np.asarray(embeddings, np.float32)
        if x.ndim != 2 or x.shape[1] != self.width:
            raise InputError(
                f"Embeddings of shape {x.shape} do not fit training cells of width "
                f"{self.width}; classify with the checkpoint they came with."
            )
        out = np.full((len(x), 2), np.nan)
        centres = self.means @ self.whitening.T
        for start in range(0, len(x), CHUNK):
            part = x[start : start + CHUNK]
            rows = start + np.flatnonzero(np.isfinite(part).all(axis=1))
            near = np.sort(self._cosine(x[rows]), axis=1)[:, : self._neighbours]
            out[rows, 0] = near[:, -1]
            apart = (x[rows] @ self.whitening.T)[:, None] - centres
            out[rows, 1] = np.sqrt((apart**2).sum(axis=2).min(axis=1))
        return out

    @property
    def _neighbours(self) -> int:
        return min(NEIGHBOURS, len(self.references))

    def _cosine(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        distance: NDArray[np.float32] = 1 - unit(x) @ self._units.T
        return np.maximum(distance, 0)

    def novelty_score(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """Return the larger of both distances in units of its limit, (N,).

        Above 1 a cell is unlike the training cells.
        """
        ratio = self.distances(embeddings) / self.limits
        return np.asarray(ratio.max(axis=1), np.float32)

    def nearest(
        self, embedding: NDArray[Any], count: int = NEIGHBOURS
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return classes and cosine distances of the nearest training cells."""
        distance = self._cosine(np.asarray(embedding, np.float32)[None])[0]
        order = np.argsort(distance, kind="stable")[:count]
        return self.classes[order], distance[order]

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return arrays as a safetensors file holds them."""
        names = ("references", "classes", "means", "whitening", "limits")
        return {name: np.ascontiguousarray(getattr(self, name)) for name in names}

    @staticmethod
    def from_tensors(tensors: dict[str, NDArray[Any]]) -> NoveltyDetector:
        """Build from what `to_tensors` gave.

        Raises
        ------
        InputError
            When arrays are missing, unknown, or contradict each other.
        """
        names = {"references", "classes", "means", "whitening", "limits"}
        if set(tensors) != names:
            raise InputError(
                f"Training cells to compare with need {', '.join(sorted(names))}, "
                f"but there are {', '.join(sorted(tensors))}; calibrate again."
            )
        return NoveltyDetector(**tensors)


def unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of length 1; rows of zeros stay."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.maximum(length, 1e-12), np.float32)


def shrunk_covariance(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance of centred rows, shrunk towards a multiple of 1.

    By as much as Ledoit and Wolf (2004) give, so that it can be inverted however few
    the rows are.
    """
    n, d = x.shape
    plain = x.T @ x / n
    scale = np.trace(plain) / d
    apart = ((plain - scale * np.eye(d)) ** 2).sum()
    noise = (((x**2).T @ (x**2)) / n - plain**2).sum() / n
    share = min(1.0, noise / apart) if apart > 0 else 1.0
    return np.asarray((1 - share) * plain + share * scale * np.eye(d))


def fit_novelty_detector(
    embeddings: NDArray[Any],
    targets: NDArray[np.int64],
    other: NDArray[Any],
    *,
    quantile: float,
) -> NoveltyDetector:
    """Compare with these training cells, and take limits from other known cells.

    Parameters
    ----------
    embeddings, targets : (M, D), (M,)
        Of the training cells to keep.
    other : (N, D)
        Of calibration cells, which the model was not fitted to.
    quantile
        The share of them that stays within both limits is at least this.

    Raises
    ------
    InputError
        When there are too few training cells to tell how they scatter.
    """
    # not above: the dock opens without it
    from scipy.linalg import cholesky, solve_triangular

    x = np.asarray(embeddings, np.float64)
    present, place = np.unique(targets, return_inverse=True)
    means = np.stack([x[place == k].mean(axis=0) for k in range(len(present))])
    try:
        lower = cholesky(shrunk_covariance(x - means[place]), lower=True)
    except np.linalg.LinAlgError as error:
        raise InputError(
            f"{len(x)} training cells of {len(present)} classes do not show how cells "
            "of a class scatter; calibrate with more cells of each class."
        ) from error
    whitening = solve_triangular(lower, np.eye(x.shape[1]), lower=True)
    open_ended = NoveltyDetector(
        unit(x.astype(np.float32)).astype(np.float16),
        np.asarray(targets, np.int64),
        means.astype(np.float32),
        whitening.astype(np.float32),
        np.ones(2),
    )
    return with_limits(open_ended, other, quantile)


def with_limits(
    familiarity: NoveltyDetector, other: NDArray[Any], quantile: float
) -> NoveltyDetector:
    """Return the same training cells with limits taken from other known cells.

    Parameters
    ----------
    other : (N, D)
        Embeddings of cells that the model was not fitted to.
    quantile
        At least this share of them stays within both limits.
    """
    # each of the two may turn away half of the cells that both together may
    each = (1 + quantile) / 2
    limits = np.quantile(familiarity.distances(other), each, axis=0, method="higher")
    arrays = familiarity.to_tensors() | {"limits": np.maximum(limits, 1e-6)}
    return NoveltyDetector.from_tensors(arrays)
