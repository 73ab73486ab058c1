"""How large a pixel is, read off the picture: by red cells, else by its looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_cytodino.finding.light import measure_light
from napari_cytodino.finding.network import MICRONS, Rescaled, look, look_at
from napari_cytodino.finding.outlines import seeds_in
from napari_cytodino.finding.sizes import PixelSize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.finding._readable import Readable
    from napari_cytodino.finding.light import Light
    from napari_cytodino.finding.network import Window

Plane: TypeAlias = "NDArray[Any]"

RED_CELL = 7.5
"""Diameter of a red cell in micrometres: 7 to 8."""

OCTAVES = np.arange(-3.6, 1.01, 0.05)
"""log2 of the sizes that are thought of, over the network's: 0.033 to 0.8 um."""

SEEN = 1.3
"""Octaves around its own scale within which the network tells the scale."""

VIEW, VIEWS = 160, 4
"""Side in pixels, and number, of the windows looked at at each scale."""

LEAST = 24
"""Shortest side of a picture, in pixels, that the scale is read from."""

FINER = -0.7
"""Octaves: finer magnifications than this, over the network's, tell nothing more."""

SURE, NEAR = -2.8, 0.3
"""Logarithm of an answer's variance (0.25 octaves), and octaves from the best size,
within which answers at two magnifications end the search."""

MIN_REDS, RED = 8, 0.4
"""Red cells from which on they give the scale; least probability of one."""

DOUBT = 0.35
"""Uncertainty in octaves (27 %) of an estimate without red cells."""

STAINED, ENOUGH = 0.35, 200
"""Absorbance, of all channels together, of what is no glass; pixels of it needed."""

HUE = 0.03
"""Least difference of two channels' absorbance, over that of all, of what has a hue."""

KNOWN = 0.05
"""The same, in octaves, of red cells' own size: 7.5 um, give or take 0.25."""


def pixel_size_of(source: Readable) -> PixelSize | None:
    """Return the size of a pixel, estimated; None where a picture shows none."""
    if not getattr(source, "colour", True):
        return None
    try:
        light = measure_light(source)
        return estimate_pixel_size(source, light) if light.bright else None
    except Exception:  # each decoder has errors of its own; a block may be unreadable
        return None


def estimate_pixel_size(
    source: Readable, light: Light, near: PixelSize | None = None
) -> PixelSize:
    """Estimate the size of a pixel from the picture.

    Parameters
    ----------
    source : object with ``shape`` and ``read``
    light : Light
        Of the picture.
    near : PixelSize, optional
        Where to begin; it is kept unless red cells within its limits say more.

    Notes
    -----
    The network tells its scale at several magnifications; the size that all agree on is
    taken. There the diameters of red cells are measured, which are 7.5 um.
    """
    octave = (
        _by_looks(source, light)
        if near is None
        else float(np.log2(near.microns / MICRONS))
    )
    doubt, reds = DOUBT, 0
    for _ in range(2):
        every = _red_cells(source, light, octave)
        if len(every) < MIN_REDS:
            break
        # what the microns would be if the median red cell were of its known size
        step = float(np.log2(RED_CELL / MICRONS / np.median(every)))
        spread = 1.25 * float(np.std(np.log2(every))) / np.sqrt(len(every))
        octave, doubt, reds = (
            octave + step,
            float(np.hypot(2 * spread, KNOWN)),
            len(every),
        )
    microns = MICRONS * 2.0**octave
    if near is not None and not (reds and near.low <= microns <= near.high):
        return near
    low, high = microns * 2**-doubt, microns * 2**doubt
    return PixelSize(float(microns), float(low), float(high), "estimated", reds)


def _by_looks(source: Readable, light: Light) -> float:
    """Return the octave that answers at several magnifications agree on."""
    costs, best = np.zeros(len(OCTAVES)), 0.0
    sure: set[int] = set()
    for step in range(4, -1, -1):
        picture = Rescaled(source, light, 2.0**-step)
        if step and min(picture.shape) < LEAST:
            continue
        for window in _views(picture.shape, VIEW, VIEWS):
            octave, spread = look(picture, window).scale.mean((1, 2))
            true = OCTAVES + step
            off = np.maximum(0, 1 - np.abs(octave - true))
            costs -= np.where(np.abs(true) <= SEEN, off * np.exp(-spread), 0)
            best = float(OCTAVES[int(np.argmin(costs))])
            if spread < SURE and abs(octave - step - best) < NEAR:
                sure.add(step)
        # one magnification alone may be sure of what others are sure is wrong
        if len(sure) > 1 and best + step <= FINER:
            break
    return best


def _red_cells(source: Readable, light: Light, octave: float) -> Plane:
    """Return the diameters of red cells in pixels of the network."""
    picture = Rescaled(source, light, 2.0**octave)
    found = []
    for window in _views(picture.shape, 2 * VIEW, VIEWS):
        maps = look(picture, window)
        found.append(seeds_in(maps.red, maps.size[1], RED).diameter)
    return np.concatenate(found)


def colour_of_the_rest(picture: Rescaled) -> Plane | None:
    """Return the absorbance of what is no nucleated cell, mostly red cells.

    Parameters
    ----------
    picture : Rescaled
        At the network's scale.

    Returns
    -------
    (3,) array or None
        The median over windows that are spread over the picture; None where there is
        less of it than one red cell, or where it has no colour.
    """
    found = []
    for window in _views(picture.shape, 2 * VIEW, VIEWS):
        absorbance = picture.absorbance(window)
        maps = look_at(absorbance)
        outside = (maps.cell < 0) & (maps.nucleus < -1)
        found.append(absorbance[outside & (absorbance.sum(axis=-1) > STAINED)])
    every = np.concatenate(found)
    if len(every) < ENOUGH:
        return None
    rest = np.asarray(np.median(every, axis=0))
    return rest if np.ptp(rest) > HUE * rest.sum() else None


def _views(shape: tuple[int, int], side: int, most: int) -> list[Window]:
    """Return windows spread over a picture."""
    counts = [max(1, min(4, -(-length // side))) for length in shape]
    tops, lefts = (
        np.linspace(0, max(0, length - side), count).astype(int)
        for length, count in zip(shape, counts, strict=True)
    )
    every = [
        (int(t), int(s), int(min(t + side, shape[0])), int(min(s + side, shape[1])))
        for t in tops
        for s in lefts
    ]
    places = np.linspace(0, len(every) - 1, min(most, len(every))).round()
    return [every[int(i)] for i in places]
