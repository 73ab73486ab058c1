"""A map of embeddings, and how pure the neighbourhoods are, on it and before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


NEIGHBOURS = 10
"""Nearest cells that are looked at."""

MOST = 3000
"""Cells on a map; more take minutes and cover each other."""

PURITY = (
    f"share of a cell's {NEIGHBOURS} nearest cells (Euclidean) that are of its class "
    "or lineage, mean over cells"
)
"""What `purity` computes, in words."""


@dataclass(frozen=True)
class EmbeddingMap:
    """Cells in two dimensions.

    Attributes
    ----------
    rows : NDArray[np.int64]
        (M,) which of the cells are on the map.
    points : NDArray[np.float32]
        (M, 2); directions and distances between clusters mean nothing.
    """

    rows: NDArray[np.int64]
    points: NDArray[np.float32]


def purity(
    points: NDArray[Any], kinds: NDArray[np.int64], k: int = NEIGHBOURS
) -> float:
    """Return the mean share of each cell's nearest others that are of its kind.

    Parameters
    ----------
    points : NDArray
        (N, D) embeddings, or places on a map.
    kinds : NDArray[np.int64]
        (N,) class or lineage of each.
    k : int
        Neighbours; all others where there are fewer.
    """
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(points) - 1)
    if k < 1:
        return float("nan")
    # without an argument a cell is no neighbour of its own, twins included
    near = NearestNeighbors(n_neighbors=k).fit(np.asarray(points, np.float32))
    found = near.kneighbors(return_distance=False)
    return float((kinds[found] == kinds[:, None]).mean())


def chance_purity(kinds: NDArray[np.int64]) -> float:
    """Return the purity that cells in no order have: sum of n(n-1) over N(N-1)."""
    counts = np.bincount(kinds).astype(np.float64)
    total = counts.sum()
    return float((counts * (counts - 1)).sum() / (total * (total - 1)))


def map_embeddings(embeddings: NDArray[Any], *, seed: int = 0) -> EmbeddingMap:
    """Return a t-SNE map (van der Maaten & Hinton 2008), begun from PCA.

    Parameters
    ----------
    embeddings : NDArray
        (N, D); at most `MOST` cells, drawn evenly, are mapped.
    seed : int
        Of the cells drawn and of the map.

    Raises
    ------
    InputError
        When there are fewer than five cells, or a value is not finite.
    """
    from sklearn.manifold import TSNE

    n = len(embeddings)
    if n < 5:
        raise InputError(f"{n} cells make no map of embeddings; give at least 5.")
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(n)[:MOST])
    chosen = np.asarray(embeddings[rows], np.float32)
    if not np.isfinite(chosen).all():
        raise InputError(f"Some of {n} embeddings are not finite; check the model.")
    perplexity = min(30.0, (len(rows) - 1) / 3)
    start = "pca" if min(chosen.shape) >= 2 else "random"
    maker = TSNE(perplexity=perplexity, init=start, random_state=seed)
    return EmbeddingMap(rows, np.asarray(maker.fit_transform(chosen), np.float32))


def map_figures(
    made: EmbeddingMap,
    embeddings: NDArray[Any],
    targets: NDArray[np.int64],
    lineage_index: NDArray[np.int64],
) -> dict[str, Any]:
    """Return the purity by class and by lineage: embeddings, map, and chance.

    Parameters
    ----------
    made : EmbeddingMap
        Of these embeddings.
    embeddings, targets : NDArray
        (N, D) and (N,), of all cells.
    lineage_index : NDArray[np.int64]
        (C,) lineage of each class, as in `Taxonomy`.
    """
    own, classes = embeddings[made.rows], targets[made.rows]
    out: dict[str, Any] = {
        "n": len(made.rows),
        "neighbours": min(NEIGHBOURS, len(made.rows) - 1),
        "definition": PURITY,
    }
    for name, kinds in (("class", classes), ("lineage", lineage_index[classes])):
        out[f"purity_{name}"] = round(purity(own, kinds), 6)
        out[f"purity_{name}_on_map"] = round(purity(made.points, kinds), 6)
        out[f"purity_{name}_by_chance"] = round(chance_purity(kinds), 6)
    return out
