"""Where the chunks of a lazy array lie, so that each is read once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_TOGETHER = 1024
"""Chunks shorter than this are read together where there are many windows."""

_LARGEST = 2**26
"""Chunks of more pixels than this are read in parts, so that none fills the memory."""

_PART = 2048
"""Side of these parts, in pixels."""


def read_blocks(edges: tuple[Edges, Edges], reach: float) -> tuple[Edges, Edges]:
    """Return the edges, along y and x, of the parts of an image to be read at once.

    Parameters
    ----------
    edges
        Of the chunks.
    reach
        Side of a square as large as all windows together, in pixels: where it is
        short, chunks are read one by one, so that none is read in vain.
    """
    together = int(min(_TOGETHER, reach))
    columns = merged(edges[1], together)
    widest = int(np.diff(columns).max())
    rows = merged(edges[0], min(together, 4 * _TOGETHER**2 // widest))
    if widest * int(np.diff(rows).max()) > _LARGEST:
        return split(rows, _PART), split(columns, _PART)
    return rows, columns


Edges = npt.NDArray[np.int64]
"""Where the intervals along an axis begin, in ascending order, then where they end."""


def full_resolution(data: Any) -> Any:
    """Return the first level of multiscale data, anything else as it is."""
    if type(data).__name__ == "MultiScaleData":
        return data[0]
    if isinstance(data, (list, tuple)) and data and len(np.shape(data[0])) > 1:
        return data[0]
    return data


def chunk_edges(array: Any, axis: int) -> Edges | None:
    """Return the edges of the chunks along an axis.

    Parameters
    ----------
    array
        dask, zarr, h5py or xarray; for anything without chunks the answer is None.
    """
    try:
        chunks = array.chunks
    except (AttributeError, NotImplementedError):
        return None
    if not isinstance(chunks, (tuple, list)) or len(chunks) != len(array.shape):
        return None
    sizes, length = chunks[axis], int(array.shape[axis])
    if isinstance(sizes, (tuple, list)):
        inner = np.cumsum([size for size in sizes if size])
    else:
        inner = np.arange(int(sizes), length + int(sizes), int(sizes))
    return np.concatenate([[0], np.minimum(inner, length)]).astype(np.int64)


def merged(edges: Edges, least: int) -> Edges:
    """Join neighbours until each interval but the last has at least this length."""
    kept = [int(edges[0])]
    for edge in edges[1:-1]:
        if edge - kept[-1] >= least:
            kept.append(int(edge))
    return np.array([*kept, int(edges[-1])], np.int64)


def split(edges: Edges, most: int) -> Edges:
    """Cut each interval into about equal parts of at most this length."""
    parts = [
        np.linspace(low, high, -(-(high - low) // most) + 1)[:-1].astype(np.int64)
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    return np.concatenate([*parts, edges[-1:]])


class LastChunkCache:
    """An array that keeps the chunk along its first axis which was read last.

    Parameters
    ----------
    array
        With chunks along its first axis.
    edges
        Of these chunks.
    """

    def __init__(self, array: Any, edges: Edges) -> None:
        self._array, self._edges = array, edges
        self.shape, self.dtype = tuple(array.shape), array.dtype
        self._at, self._block = -1, np.zeros(0)

    def __getitem__(self, place: tuple[Any, ...]) -> npt.NDArray[Any]:
        at = int(np.searchsorted(self._edges, place[0], "right")) - 1
        start, end = self._edges[at : at + 2].tolist()
        if at != self._at:
            self._at, self._block = -1, np.zeros(0)
            self._block = np.asarray(self._array[start:end])
            self._at = at
        return np.asarray(self._block[(place[0] - start, *place[1:])])
