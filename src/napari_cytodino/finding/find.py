"""Find the nucleated cells of any smear, tile by tile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import InputError
from napari_cytodino.finding._readable import as_source
from napari_cytodino.finding.light import measure_light
from napari_cytodino.finding.network import MICRONS, REACH, Rescaled, look, look_at
from napari_cytodino.finding.outlines import (
    magnified,
    nucleated,
    outline,
    seeds_in,
    unread_in,
)
from napari_cytodino.finding.pixel_size import (
    colour_of_the_rest,
    estimate_pixel_size,
)
from napari_cytodino.finding.sizes import SENSITIVITY, PixelSize, as_pixel_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_cytodino.finding._readable import Readable
    from napari_cytodino.finding.network import Window

TILE = 768
"""Side of a tile at the network's scale, in pixels: 307 micrometres."""

MARGIN = REACH + 32
"""Read around a tile: what changes the network's answer, and half a cell."""

BARE, STEP, FEW = 0.15, 3, 10
"""A window is bare glass where, of each third pixel, fewer than ten absorb as much."""


@dataclass(frozen=True)
class Search:
    """How far a search is.

    Attributes
    ----------
    done, total : int
        Tiles.
    cells : int
        Found so far.
    pixel_size : PixelSize
    cell_size : float
        Median diameter of the cells found, in pixels of the image; 0 without any.
    labels : (H, W) int32 array
        0 background, 1..n the cells. It is one array that fills up.
    thick : tuple of (y, x)
        Middles, in pixels of the image, of regions that are too thick to count: clots,
        spicules, heaps of cells.
    """

    done: int
    total: int
    cells: int
    pixel_size: PixelSize
    cell_size: float
    labels: NDArray[np.int32]
    thick: tuple[tuple[float, float], ...] = ()

    def __str__(self) -> str:
        """Return what was found, in words."""
        many = "1 cell" if self.cells == 1 else f"{self.cells} cells"
        wide = f", about {self.cell_size:.0f} px wide" if self.cells else ""
        many_thick = len(self.thick)
        thick = "1 region is" if many_thick == 1 else f"{many_thick} regions are"
        left = f"; {thick} too thick to count" if self.thick else ""
        return f"{many}{wide}{left}; {self.pixel_size}"


def find_cells(
    image: NDArray[np.uint8] | Readable,
    *,
    diameter: float | None = None,
    pixel_size: float | PixelSize | None = None,
    sensitivity: float = SENSITIVITY,
) -> NDArray[np.int32]:
    """Label the nucleated cells of a smear, nucleus and cytoplasm of each.

    White cells, blasts, plasma cells and erythroblasts are found, in blood and in
    marrow; red cells, platelets and stain grains are not.

    Parameters
    ----------
    image : (H, W, 3) uint8 array, or an object with ``shape`` and ``read``
        Bright-field RGB picture.
    diameter : float, optional
        Diameter of a typical nucleated cell in pixels, where it is known.
    pixel_size : float or PixelSize, optional
        Size of a pixel in micrometres, where it is known; else it is estimated.
    sensitivity : float
        0 to 1: more finds fainter cells and makes more mistakes.

    Returns
    -------
    (H, W) int32 array
        0 background, 1..n the cells, without gaps; all 0 where nothing is found.

    Raises
    ------
    InputError
        If the image is not RGB uint8, has no pixels or no bright background, or a
        number is out of range.
    """
    steps = search(
        image, diameter=diameter, pixel_size=pixel_size, sensitivity=sensitivity
    )
    for step in steps:
        labels = step.labels
    return labels


def search(
    image: NDArray[np.uint8] | Readable,
    *,
    diameter: float | None = None,
    pixel_size: float | PixelSize | None = None,
    sensitivity: float = SENSITIVITY,
) -> Iterator[Search]:
    """Find cells as `find_cells` does, and say after each tile how far it is.

    The result is the same whatever the tiles are: all that is measured of the whole
    picture, its light, the size of its pixels and the colour of its red cells, is
    measured before the first.
    """
    if not 0 < sensitivity < 1:
        raise InputError(
            f"the sensitivity is {sensitivity}; give a number between 0 and 1"
        )
    picture, known = _at_scale(image, as_pixel_size(pixel_size, diameter))
    labels = np.zeros(picture.source.shape, np.int32)
    every = list(_tiles(picture.shape, TILE))
    step = Search(0, len(every), 0, known, 0.0, labels)
    yield step
    sizes: list[float] = []
    thick: list[tuple[float, float]] = []
    rest = colour_of_the_rest(picture)
    for done, (core, window) in enumerate(every, 1):
        cells, unread = _found_in(picture, core, window, 1 - sensitivity, rest)
        thick += unread
        for (top, left, bottom, right), mask in cells:
            target = labels[top:bottom, left:right]
            free = mask & (target == 0)
            if 2 * free.sum() > mask.sum():
                sizes.append(2 * float(np.sqrt(mask.sum() / np.pi)))
                target[free] = len(sizes)
        size = float(np.median(sizes)) if sizes else 0.0
        yield replace(
            step, done=done, cells=len(sizes), cell_size=size, thick=tuple(thick)
        )


def nucleus_mask(
    image: NDArray[np.uint8] | Readable,
    *,
    diameter: float | None = None,
    pixel_size: float | PixelSize | None = None,
) -> NDArray[np.bool_]:
    """Return where nuclei of nucleated cells lie, as (H, W) bool.

    Parameters and errors are those of `find_cells`.
    """
    picture, _ = _at_scale(image, as_pixel_size(pixel_size, diameter))
    mask = np.zeros(picture.source.shape, np.bool_)
    down, across = picture.factors
    for core, window in _tiles(picture.shape, TILE):
        maps = look(picture, window)
        top, bottom = (min(round(v / down), len(mask)) for v in core[::2])
        left, right = (min(round(v / across), mask.shape[1]) for v in core[1::2])
        box = np.array([top * down, left * across, bottom * down, right * across])
        box -= np.tile(window[:2], 2)
        fine = magnified(maps.nucleus, tuple(box), (bottom - top, right - left))
        mask[top:bottom, left:right] = fine > 0
    return mask


def _at_scale(
    image: NDArray[np.uint8] | Readable, known: PixelSize | None
) -> tuple[Rescaled, PixelSize]:
    """Return the picture as the network sees it; its scale is estimated if need be."""
    source = as_source(image)
    light = measure_light(source)
    if not light.bright:
        raise InputError(
            f"the background of this picture is dark ({light.level:.0f} of 255); cells "
            "are found in bright-field pictures of stained smears"
        )
    if known is None or known.origin == "cell size":
        known = estimate_pixel_size(source, light, known)
    return Rescaled(source, light, known.microns / MICRONS), known


def _found_in(
    picture: Rescaled,
    core: Window,
    window: Window,
    least: float,
    rest: NDArray[Any] | None,
) -> tuple[list[tuple[Window, NDArray[np.bool_]]], list[tuple[float, float]]]:
    """Return box and mask, in pixels of the image, of each cell centred in a tile.

    With them the middles of regions there that are too thick to count.
    """
    absorbance = picture.absorbance(window)
    if (absorbance[::STEP, ::STEP].max(-1) > BARE).sum() < FEW:
        return [], []
    maps = look_at(absorbance)
    seeds = seeds_in(maps.white, maps.size[0], least)
    seeds = nucleated(seeds, maps.nucleus, absorbance, rest)

    def inside(places: NDArray[Any]) -> NDArray[np.bool_]:
        here = places + np.array(window[:2])
        found: NDArray[np.bool_] = (here >= core[:2]).all(1) & (here < core[2:]).all(1)
        return found

    rows = np.flatnonzero(inside(seeds.at)).tolist()
    cells = (outline(picture, maps.cell, seeds, row, window) for row in rows)
    unread = unread_in(maps.cell, seeds)
    places = (unread[inside(unread)] + window[:2]) / picture.factors
    thick = [(float(y), float(x)) for y, x in places]
    return [cell for cell in cells if cell is not None], thick


def _tiles(shape: tuple[int, int], side: int) -> Iterator[tuple[Window, Window]]:
    """Yield the core of each tile, and the window that is read for it."""
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            core = top, left, min(top + side, shape[0]), min(left + side, shape[1])
            window = (
                max(0, top - MARGIN),
                max(0, left - MARGIN),
                min(shape[0], core[2] + MARGIN),
                min(shape[1], core[3] + MARGIN),
            )
            yield core, window
