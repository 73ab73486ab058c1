"""Where synthetic cells lie: discs dropped at random that keep clear of each other."""

from __future__ import annotations

import numpy as np


class Layout:
    """A field on which discs are dropped without overlap.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the field.
    margin : float
        How far outside the field a centre may lie.
    step : int
        Distance between places considered, in pixels.
    """

    def __init__(self, shape: tuple[int, int], margin: float, step: int) -> None:
        self._shape = shape
        self._step = step
        self._margin = int(np.ceil(margin / step)) * step
        rows, columns = ((side + 2 * self._margin) // step + 1 for side in shape)
        self._clear = np.full((rows, columns), np.inf, np.float32)

    def block(self, centre: tuple[float, float], radius: float, reach: float) -> None:
        """Mark a disc as taken.

        Parameters
        ----------
        centre : tuple of float
            Row and column in pixels of the field.
        radius : float
            Its radius.
        reach : float
            Largest radius that will be asked for later; farther away nothing changes.
        """
        around = radius + reach + self._step
        slices, lines = [], []
        for axis, middle in enumerate(centre):
            first = (middle + self._margin - around) / self._step
            last = (middle + self._margin + around) / self._step
            start = max(0, int(np.ceil(first)))
            stop = max(start, min(self._clear.shape[axis], int(last) + 1))
            slices.append(slice(start, stop))
            lines.append(np.arange(start, stop) * self._step - self._margin - middle)
        distance = np.hypot(lines[0][:, None], lines[1][None, :]) - radius
        view = self._clear[tuple(slices)]
        np.minimum(view, distance, out=view)

    def find(
        self,
        radius: float,
        rng: np.random.Generator,
        *,
        inside: float,
        thorough: bool = True,
    ) -> tuple[int, int] | None:
        """Find a free place for a disc.

        Parameters
        ----------
        radius : float
            Its radius.
        rng : numpy.random.Generator
            Chooses among the free places.
        inside : float
            Least distance of its centre from the field's edge; negative for outside.
        thorough : bool
            Look at every place when guessing fails.

        Returns
        -------
        tuple of int or None
            Row and column in pixels, or None where no place is left.
        """
        low = int(np.ceil((self._margin + inside) / self._step))
        high = [
            int(np.floor((self._margin + side - 1 - inside) / self._step))
            for side in self._shape
        ]
        if low > min(high):
            return None
        rows, columns = (rng.integers(low, last + 1, 48) for last in high)
        hits = np.flatnonzero(self._clear[rows, columns] >= radius)
        if hits.size:
            return self._pixel(int(rows[hits[0]]), int(columns[hits[0]]))
        if not thorough:
            return None
        free = np.argwhere(self._clear[low : high[0] + 1, low : high[1] + 1] >= radius)
        if len(free) == 0:
            return None
        row, column = free[rng.integers(len(free))]
        return self._pixel(int(row) + low, int(column) + low)

    def _pixel(self, row: int, column: int) -> tuple[int, int]:
        return row * self._step - self._margin, column * self._step - self._margin
