"""The glass slide: where cells lie, and what is laid on it as absorbance, then lit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.synthetic._drawing import texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.synthetic._cells import Sprite


LIGHTS = ((252, 236, 216), (250, 240, 240), (242, 236, 244), (226, 226, 218))
"""Colours of empty glass seen in real smears: cream, pinkish, lilac, greyish."""


class Canvas:
    """A slide of the given shape, its light and stain chosen by the generator.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    rng : numpy.random.Generator
        Chooses colour of the light, strength of the stain and unevenness.
    """

    def __init__(self, shape: tuple[int, int], rng: np.random.Generator) -> None:
        self.shape = shape
        share = rng.dirichlet((1.6, 0.9, 0.6, 0.35))
        self._light = (share @ np.array(LIGHTS)).astype(np.float32)
        self._stain = np.float32(rng.uniform(0.88, 1.12))
        self._slope = rng.normal(0, 0.018, 2)
        self._vignette = rng.uniform(0.0, 0.05)
        self._density = np.zeros((*shape, 3), np.float32)

    def lay_over(self, sprite: Sprite, centre: tuple[int, int]) -> None:
        """Lay a sprite so that it hides what lies below.

        Parameters
        ----------
        sprite : Sprite
            What to lay.
        centre : tuple of int
            Row and column of its middle pixel; parts outside the slide are cut off.
        """
        here, there = self._windows(sprite, centre)
        view = self._density[here]
        view *= 1 - sprite.coverage[there][..., None]
        view += sprite.density[there]

    def add(self, sprite: Sprite, centre: tuple[int, int]) -> None:
        """Lay a sprite so that its stain adds to what lies below.

        Parameters
        ----------
        sprite : Sprite
            What to lay.
        centre : tuple of int
            Row and column of its middle pixel; parts outside the slide are cut off.
        """
        here, there = self._windows(sprite, centre)
        self._density[here] += sprite.density[there]

    def mark(
        self,
        labels: NDArray[np.int32],
        sprite: Sprite,
        centre: tuple[int, int],
        label: int,
    ) -> None:
        """Write the label of a sprite's mask.

        Parameters
        ----------
        labels : ndarray of int32
            Label image of the slide's shape, changed in place.
        sprite : Sprite
            Whose mask to write.
        centre : tuple of int
            Row and column of its middle pixel.
        label : int
            The label.
        """
        here, there = self._windows(sprite, centre)
        labels[here][sprite.mask[there]] = label

    def render(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Light the slide and take its picture; the slide is used up by it.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of mottling and sensor noise.

        Returns
        -------
        ndarray of uint8, shape (H, W, 3)
            The picture.
        """
        rows = np.linspace(-1, 1, self.shape[0], dtype=np.float32)[:, None]
        columns = np.linspace(-1, 1, self.shape[1], dtype=np.float32)[None, :]
        gain = (
            1 + np.float32(self._slope[0]) * rows + np.float32(self._slope[1]) * columns
        )
        gain -= np.float32(self._vignette / 2) * (rows**2 + columns**2)
        gain += np.float32(0.008) * texture(self.shape, 30.0, rng)
        # In place, since a large slide's absorbance fills gigabytes.
        picture = self._density
        picture *= -self._stain
        np.exp(picture, out=picture)
        picture *= gain[..., None]
        picture *= self._light
        for channel in range(3):
            picture[..., channel] += np.float32(1.6) * texture(self.shape, 0.5, rng)
        np.clip(picture, 0, 255, out=picture)
        pixels: NDArray[np.uint8] = picture.astype(np.uint8)
        return pixels

    def _windows(
        self, sprite: Sprite, centre: tuple[int, int]
    ) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where a sprite lies on the slide, and which part of it does."""
        here, there = [], []
        for side, length, middle in zip(
            self.shape, sprite.mask.shape, centre, strict=True
        ):
            first = middle - length // 2
            start, stop = max(first, 0), max(min(first + length, side), 0)
            start = min(start, stop)
            here.append(slice(start, stop))
            there.append(slice(start - first, stop - first))
        return (here[0], here[1]), (there[0], there[1])


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
