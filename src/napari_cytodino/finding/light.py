"""The light of a picture: colour and fall-off of what shines where nothing lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.finding._readable import Readable

Plane: TypeAlias = "NDArray[Any]"

DARK = 8.0
"""Added to light before its logarithm is taken, so that black is no infinity."""

BRIGHT = 35
"""Light, of 255, from which on a picture can be a bright field."""

LARGEST_FIELD = 4096
"""Sides in pixels up to which a picture is one field of one camera. A larger one is
put together from many, by software that has evened the light."""

SAMPLE = 1024
"""Side of a sample of a larger picture, in pixels."""

OVERVIEW = 160
"""Longer side of the picture that light is measured on, in pixels."""

CLEAR = 0.85
"""Quantile of brightness, place by place, that is taken for bare glass at first."""

NEAR = 0.07
"""Distance from it, as natural logarithm, within which light is bare glass."""

STIFF = 0.02
"""Cost of unevenness, as a share of the weight of all pixels."""


@dataclass(frozen=True)
class Light:
    """The light of a picture, a smooth surface for each channel.

    Attributes
    ----------
    terms : (3, 6) array
        Of log(light + 8): 1, y, x, y^2, xy, x^2 over -1 to 1 of the picture's sides.
    shape : tuple of int
        Height and width of the picture.
    clear : float
        Share of the picture that is bare glass.
    """

    terms: Plane
    shape: tuple[int, int]
    clear: float

    @property
    def level(self) -> float:
        """The light in the middle, mean of the channels, 0 to 255."""
        return float(np.exp(self.terms[:, 0]).mean() - DARK)

    @property
    def bright(self) -> bool:
        """Whether this can be a bright field."""
        return self.level >= BRIGHT

    def absorbance(self, rgb: Plane, rows: Plane, columns: Plane) -> Plane:
        """Return the absorbance (natural log) of pixels at rows and columns.

        Parameters
        ----------
        rgb : (h, w, 3) array, 0 to 255
        rows, columns : (h,) and (w,) arrays
            Where they lie in the picture, in its pixels.
        """
        y = 2 * np.asarray(rows, np.float32) / self.shape[0] - 1
        x = 2 * np.asarray(columns, np.float32) / self.shape[1] - 1
        found = np.empty((*rgb.shape[:2], 3), np.float32)
        for channel, (a, b, c, d, e, f) in enumerate(self.terms.astype(np.float32)):
            surface = (a + b * y + d * y * y)[:, None] + (c * x + f * x * x)[None]
            surface += e * y[:, None] * x[None]
            found[..., channel] = surface - np.log(rgb[..., channel] + np.float32(DARK))
        return found


def absorbance_of(rgb: Plane, background: Plane) -> Plane:
    """Return how much light is absorbed (Lambert-Beer), 0 where it is the background's.

    Parameters
    ----------
    rgb : (h, w, 3) array, 0 to 255
    background : array that fits it
        The light where nothing lies.
    """
    light = np.asarray(rgb, np.float32) + DARK
    return np.asarray(-np.log(light / (np.asarray(background) + DARK)), np.float32)


def measure_light(source: Readable) -> Light:
    """Measure the light of a picture, robust to one that is mostly cells.

    Notes
    -----
    A quadratic surface is fitted to a high quantile of brightness (Koenker & Bassett
    1978), then each channel to the pixels near it. Of a picture larger than a camera's
    field a constant is measured on samples.
    """
    views = overviews(source)
    field = len(views) == 1
    terms = np.concatenate([_terms(view.shape[:2]) for view in views])
    if not field:
        terms = terms[:, :1]
    light = np.log(np.concatenate([v.reshape(-1, 3) for v in views]) + DARK)
    bright = light.mean(1)
    level = _quantile_surface(terms, bright)
    off = bright - terms @ level
    glass = np.abs(off) < NEAR
    for _ in range(3):
        weights = glass.astype(np.float64)
        level = _fit(terms, bright, weights)
        off = bright - terms @ level
        glass = np.abs(off) < NEAR
    found = np.zeros((3, 6))
    for channel in range(3):
        fitted = _fit(terms, light[:, channel], glass.astype(np.float64))
        found[channel, : len(fitted)] = fitted
    return Light(found, source.shape, float(glass.mean()))


def overviews(source: Readable) -> list[Plane]:
    """Return the picture small, or samples of one that is larger than a field."""
    height, width = source.shape
    if max(height, width) <= LARGEST_FIELD:
        return [_small(source, 0, 0, height, width)]
    side = min(SAMPLE, height, width)
    tops = np.linspace(0, height - side, 4).astype(int)
    lefts = np.linspace(0, width - side, 4).astype(int)
    return [_small(source, t, s, t + side, s + side) for t in tops for s in lefts]


def _small(source: Readable, top: int, left: int, bottom: int, right: int) -> Plane:
    image = Image.fromarray(source.read(top, left, bottom, right))
    factor = max(1.0, max(image.size) / OVERVIEW)
    sides = [max(1, round(side / factor)) for side in image.size]
    small = image.resize((sides[0], sides[1]), Image.Resampling.BOX)
    return np.asarray(ndi.median_filter(np.asarray(small, np.float32), (3, 3, 1)))


def _terms(shape: tuple[int, ...]) -> Plane:
    y, x = np.meshgrid(*[np.linspace(-1, 1, side) for side in shape], indexing="ij")
    y, x = y.ravel(), x.ravel()
    return np.stack([np.ones_like(y), y, x, y * y, x * y, x * x], 1)


def _fit(terms: Plane, values: Plane, weights: Plane) -> Plane:
    if weights.sum() < 1:
        weights = np.ones_like(weights)
    weighted = terms * weights[:, None]
    stiff = STIFF * weights.sum() * np.eye(terms.shape[1])
    stiff[0, 0] = 0
    return np.asarray(np.linalg.solve(weighted.T @ terms + stiff, weighted.T @ values))


def _quantile_surface(terms: Plane, values: Plane) -> Plane:
    level = np.zeros(terms.shape[1])
    level[0] = np.quantile(values, CLEAR)
    for _ in range(8):
        off = values - terms @ level
        weights = np.where(off > 0, CLEAR, 1 - CLEAR) / np.maximum(np.abs(off), 0.01)
        level = _fit(terms, values, weights)
    return level
