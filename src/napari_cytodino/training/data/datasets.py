"""Cells for fine-tuning: read one by one, in an order of seed and epoch alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset, Sampler

from napari_cytodino.common import InputError
from napari_cytodino.training.data.crops import read_crop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.training.data.crops import CellFile


Key = tuple[int, int, int]
"""Index of a cell, epoch, and position in the epoch's order."""


@dataclass(frozen=True)
class CellSet:
    """The cells of one part; their crops are read when asked for.

    Attributes
    ----------
    files : tuple of CellFile
        Where each crop comes from.
    targets : NDArray[np.int64]
        (N,) class index in the taxonomy.
    field : int
        Side S of a crop in image pixels.
    folder : Path, optional
        The data folder.
    pixels : NDArray[np.uint8], optional
        (N, S, S, 3) crops that are in memory already.
    """

    files: tuple[CellFile, ...]
    targets: NDArray[np.int64]
    field: int
    folder: Path | None = None
    pixels: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: NDArray[np.int64]) -> CellSet:
        """Return some of the cells, in the order of ``rows``."""
        files = tuple(self.files[i] for i in rows)
        pixels = None if self.pixels is None else self.pixels[rows]
        return CellSet(files, self.targets[rows], self.field, self.folder, pixels)

    @property
    def sources(self) -> NDArray[np.str_]:
        """(N,) the data set of each cell."""
        return np.array([file.source for file in self.files], np.str_)

    def crop(self, index: int) -> NDArray[np.uint8]:
        """Return one crop, (S, S, 3), as inference would cut it."""
        if self.pixels is not None:
            crop: NDArray[np.uint8] = self.pixels[index]
            return crop
        if self.folder is None:
            raise InputError(f"{self.files[index].path} has no folder: add --data DIR.")
        return read_crop(self.files[index], self.folder, self.field)


def cell_set(
    files: Sequence[CellFile],
    taxonomy: Taxonomy,
    field: int,
    *,
    folder: Path | None = None,
    pixels: NDArray[np.uint8] | None = None,
) -> CellSet:
    """Gather cells of one part, with the class index of each."""
    targets = np.array([taxonomy.index(file.code) for file in files], np.int64)
    return CellSet(tuple(files), targets, field, folder, pixels)


class CellDataset(Dataset[dict[str, Any]]):
    """Cells as the trainer takes them: by index, or by a `Key` with epoch and position.

    Only a cell asked for by key is augmented; what it is augmented with is no matter of
    this class, so that workers need no chance of their own.
    """

    def __init__(self, cells: CellSet) -> None:
        self.cells = cells

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, key: int | Key) -> dict[str, Any]:
        """Return pixels (S, S, 3) uint8, target, and epoch and position if known."""
        index, *rest = key if isinstance(key, tuple) else (key,)
        # a copy: decoded files are read-only, which torch warns of
        pixels = np.array(self.cells.crop(index))
        item = {"pixels": pixels, "targets": self.cells.targets[index]}
        return item | ({"keys": np.array(rest, np.int64)} if rest else {})


class EpochSampler(Sampler[Key]):
    """Gives each epoch its own order, the same after a resume and on every rank.

    Parameters
    ----------
    order : callable
        Epoch -> (M,) indices; M is the same for every epoch.
    """

    def __init__(self, order: Callable[[int], NDArray[np.int64]]) -> None:
        self.order = order
        self.epoch = 0
        self.length = len(order(0))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Key]:
        epoch = self.epoch
        for position, index in enumerate(self.order(epoch)):
            yield int(index), epoch, position
