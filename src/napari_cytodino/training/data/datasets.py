"""Cells for fine-tuning: read one by one, in an order of seed and epoch alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset, Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_cytodino.training.data.crops import CellSet


Key = tuple[int, int, int]
"""Index of a cell, epoch, and position in the epoch's order."""


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
