"""From the network's maps to centres and outlines of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.finding.network import Rescaled, Window

Plane: TypeAlias = "NDArray[Any]"

APART = 0.22
"""Distance of two centres, over the sum of both diameters, below which they are one."""

FARTHEST = 0.62
"""How far an outline goes from a cell's centre, in its diameters."""

NUCLEAR = 0.15
"""Least share of a cell that is nucleus. Chosen by hand: below what cells of BCCD and
aslan have, above what dark red cells have."""

ALIKE, DARKEST = 6.0, 30
"""Degrees between the colours, as absorbance, of a cell's darkest 30 % and of the rest
of the picture, below which it is a red cell. Cells of BCCD and aslan are 29 or more."""

THICK = 2500
"""Pixels of cell without a centre, of 0.4 um, that are three cells or more: 400 um2."""

CENTRE = 0.15
"""What belongs to a cell in any case, in its diameters around the centre."""


@dataclass(frozen=True)
class Seeds:
    """Centres of cells.

    Attributes
    ----------
    at : (n, 2) array
        y, x in pixels.
    diameter : (n,) array
        In pixels.
    score : (n,) array
        Probability of being a cell's centre.
    """

    at: Plane
    diameter: Plane
    score: Plane

    def __len__(self) -> int:
        return len(self.at)


def seeds_in(heat: Plane, diameter: Plane, least: float) -> Seeds:
    """Return the peaks of heat, the weaker of two too near each other left out.

    Parameters
    ----------
    heat : (h, w) array
        Probability of being a centre.
    diameter : (h, w) array
        Of the cell that has its centre there.
    least : float
        Smallest probability.
    """
    smooth = ndi.gaussian_filter(heat, 0.7)
    peaks = (ndi.maximum_filter(smooth, 5) == smooth) & (heat >= least)
    at, scores, sizes = np.argwhere(peaks), heat[peaks], diameter[peaks]
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        apart = np.hypot(*(at[kept] - at[i]).T)
        if (apart > APART * (sizes[kept] + sizes[i])).all():
            kept.append(int(i))
    return Seeds(at[kept] + 0.5, sizes[kept], scores[kept])


def nucleated(
    seeds: Seeds, logits: Plane, absorbance: Plane, rest: Plane | None
) -> Seeds:
    """Return those with a nucleus: dark red cells have none, nor a colour of their own.

    Parameters
    ----------
    seeds : Seeds
    logits : (h, w) array
        Of lying in a nucleus.
    absorbance : (h, w, 3) array
    rest : (3,) array, optional
        Absorbance of what is no nucleated cell in this picture.
    """
    kept = []
    for row, ((y, x), diameter) in enumerate(
        zip(seeds.at, seeds.diameter, strict=True)
    ):
        window, away = _around(y, x, diameter / 2, logits.shape)
        inside = away <= diameter / 2
        nuclear = (logits[window] > 0)[inside].mean() >= NUCLEAR
        if nuclear and _angle(absorbance[window][inside], rest) >= ALIKE:
            kept.append(row)
    rows = np.array(kept, np.int64)
    return Seeds(seeds.at[rows], seeds.diameter[rows], seeds.score[rows])


def _angle(pixels: Plane, rest: Plane | None) -> float:
    """Return how far the colour of the darkest pixels is from another, in degrees."""
    if rest is None:
        return 180.0
    total = pixels.sum(axis=1)
    dark = pixels[total >= np.percentile(total, 100 - DARKEST)].mean(axis=0)
    lengths = np.linalg.norm(dark) * np.linalg.norm(rest)
    return float(
        np.degrees(np.arccos(np.clip(dark @ rest / max(lengths, 1e-9), -1, 1)))
    )


def unread_in(logits: Plane, seeds: Seeds) -> Plane:
    """Return the middles of regions that are nucleated cells, but too thick to count.

    Parameters
    ----------
    logits : (h, w) array
        Of lying in a cell.
    seeds : Seeds
        The cells that are counted there.

    Returns
    -------
    (m, 2) array
        y, x in pixels.
    """
    rest = logits > 0
    for (y, x), diameter in zip(seeds.at, seeds.diameter, strict=True):
        window, away = _around(y, x, FARTHEST * diameter, rest.shape)
        rest[window] &= away > FARTHEST * diameter
    pieces, count = ndi.label(ndi.binary_opening(rest, iterations=4))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    thick = 1 + np.flatnonzero(sizes[1:] >= THICK)
    return np.reshape(ndi.center_of_mass(pieces > 0, pieces, thick), (-1, 2))


def outline(
    picture: Rescaled, logits: Plane, seeds: Seeds, row: int, window: Window
) -> tuple[Window, NDArray[np.bool_]] | None:
    """Return box and mask of one cell in pixels of the image, None where it is empty.

    The outline follows the network's at the image's resolution. Two cells that touch
    part where the distances to their centres, over their diameters, are equal.

    Parameters
    ----------
    picture : Rescaled
    logits : (h, w) array
        Of lying in a cell, in the window.
    seeds : Seeds
        Of the window, in its pixels.
    row : int
        Which of them.
    window : tuple of int
        Where the window lies in the picture.
    """
    at, diameter = seeds.at[row], float(seeds.diameter[row])
    corner, factor = np.array(window[:2]), np.array(picture.factors)
    reach = FARTHEST * diameter
    low = np.maximum(0, np.floor((at + corner - reach) / factor)).astype(int)
    high = np.ceil((at + corner + reach) / factor).astype(int)
    high = np.minimum(picture.source.shape, high)
    if (high <= low).any():
        return None
    y, x = ((np.arange(low[i], high[i]) + 0.5) * factor[i] - corner[i] for i in (0, 1))
    start, stop = low * factor - corner, high * factor - corner
    mask = magnified(logits, (*start, *stop), (len(y), len(x))) > 0
    own = np.hypot((y - at[0])[:, None], x - at[1]) / diameter
    mask = mask & (own < FARTHEST) | (own < CENTRE)
    near = np.hypot(*(seeds.at - at).T) < reach + FARTHEST * seeds.diameter
    near[row] = False
    for other in np.flatnonzero(near):
        far = np.hypot((y - seeds.at[other, 0])[:, None], x - seeds.at[other, 1])
        mask &= own < far / seeds.diameter[other]
    mask = _one_piece(mask, own)
    box = int(low[0]), int(low[1]), int(high[0]), int(high[1])
    return (box, mask) if mask.any() else None


def _around(
    y: float, x: float, reach: float, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], Plane]:
    """Return the window around a place, and how far each of its pixels is from it."""
    rows = slice(max(0, int(y - reach)), min(shape[0], int(y + reach) + 1))
    columns = slice(max(0, int(x - reach)), min(shape[1], int(x + reach) + 1))
    down, across = np.ogrid[rows, columns]
    return (rows, columns), np.hypot(down + 0.5 - y, across + 0.5 - x)


def magnified(plane: Plane, box: tuple[float, ...], shape: tuple[int, int]) -> Plane:
    """Return a part of a plane, interpolated to another shape.

    Parameters
    ----------
    plane : (h, w) float32 array
    box : tuple of float
        Top, left, bottom, right in its pixels.
    shape : tuple of int
        Height and width of what is wanted.
    """
    height, width = plane.shape
    top, left, bottom, right = np.clip(box, 0, [height, width] * 2).tolist()
    image, size = Image.fromarray(plane), (shape[1], shape[0])
    part = image.resize(size, Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    return np.asarray(part)


def _one_piece(mask: NDArray[np.bool_], own: Plane) -> NDArray[np.bool_]:
    """Return the piece nearest to the centre, its holes filled."""
    pieces, count = ndi.label(mask)
    if count > 1:
        inside = np.where(mask, own, np.inf)
        mask = pieces == pieces.flat[int(np.argmin(inside))]
    return np.asarray(ndi.binary_fill_holes(mask), np.bool_)
