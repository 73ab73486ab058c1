"""Drawing primitives for synthetic cells: patches, soft shapes, textures, dots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


if TYPE_CHECKING:
    Field = NDArray[np.float32]

TILE = 384
"""Side in pixels of the repeating noise tiles."""

STEPS = 1440
"""Directions in which the outline of a cell is tabulated."""


@dataclass(frozen=True)
class Patch:
    """Coordinates of a square of pixels, in the drawn object's own axes.

    ``u`` and ``v`` are in pixels at scale 1, so that every length in the morphology
    means the same at any scale.
    """

    scale: float
    u: Field
    v: Field

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the patch."""
        return self.u.shape[0], self.u.shape[1]

    @property
    def softness(self) -> float:
        """Width of an anti-aliased edge: at least one and a half image pixels."""
        return max(2.4, 1.5 / self.scale)


def stretched(patch: Patch, elongation: float) -> Patch:
    """Stretch a patch's axes so that a disc drawn on it becomes an oval of its area."""
    factor = np.float32(np.sqrt(elongation))
    return Patch(patch.scale, patch.u / factor, patch.v * factor)


def make_patch(reach: float, scale: float, angle: float) -> Patch:
    """Make a patch that holds everything up to a distance from its centre.

    Parameters
    ----------
    reach : float
        Largest distance drawn, in pixels at scale 1.
    scale : float
        Pixels per pixel at scale 1.
    angle : float
        Rotation of the object's axes, in radians.

    Returns
    -------
    Patch
        Of odd side, its middle pixel at the origin.
    """
    half = int(np.ceil(reach * scale)) + 2
    line = np.arange(-half, half + 1, dtype=np.float32) / np.float32(scale)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = cos * line[None, :] + sin * line[:, None]
    v = cos * line[:, None] - sin * line[None, :]
    return Patch(scale, u, v)


def edge(distance: Field, width: float) -> Field:
    """Turn a signed distance, negative inside, into a soft coverage from 0 to 1."""
    t = np.clip(np.float32(0.5) - distance / np.float32(width), 0, 1)
    cover: Field = t * t * (3 - 2 * t)
    return cover


def merge(first: Field, second: Field, blend: float) -> Field:
    """Unite two signed distances with a rounded seam of the given width."""
    h = np.maximum(np.float32(blend) - np.abs(first - second), 0) / np.float32(blend)
    union: Field = np.minimum(first, second) - h * h * np.float32(blend / 4)
    return union


def disc(u: Field, v: Field, centre: tuple[float, float], radius: float) -> Field:
    """Signed distance to a disc."""
    distance: Field = np.hypot(u - np.float32(centre[0]), v - np.float32(centre[1]))
    return distance - np.float32(radius)


def arc(u: Field, v: Field, radius: float, half_angle: float, width: float) -> Field:
    """Signed distance to a ribbon bent about the origin, symmetric about the u axis."""
    side = np.abs(v)
    cos, sin = np.float32(np.cos(half_angle)), np.float32(np.sin(half_angle))
    # A point lies beside the ribbon when it is inside the sector, else beyond an end.
    beside = np.arctan2(side, u) <= half_angle
    along = np.abs(np.hypot(u, side) - np.float32(radius))
    beyond = np.hypot(u - np.float32(radius) * cos, side - np.float32(radius) * sin)
    return np.where(beside, along, beyond) - np.float32(width)


def segment(
    u: Field, v: Field, start: tuple[float, float], end: tuple[float, float]
) -> Field:
    """Distance to a straight segment."""
    du, dv = end[0] - start[0], end[1] - start[1]
    pu, pv = u - np.float32(start[0]), v - np.float32(start[1])
    along = (pu * np.float32(du) + pv * np.float32(dv)) / np.float32(
        du * du + dv * dv + 1e-6
    )
    along = np.clip(along, 0, 1)
    return np.hypot(pu - along * np.float32(du), pv - along * np.float32(dv))


def outline(
    patch: Patch,
    radius: float,
    amplitude: float,
    rng: np.random.Generator,
    hairs: tuple[int, float] = (0, 0.0),
) -> Field:
    """Signed distance to a wavy closed outline, star-shaped about the origin.

    Parameters
    ----------
    patch : Patch
        Where to draw.
    radius : float
        Mean radius in pixels at scale 1.
    amplitude : float
        Size of the waves as a fraction of the radius.
    rng : numpy.random.Generator
        Source of the waves.
    hairs : tuple of int and float
        Number and length of thin spikes added all round.

    Returns
    -------
    ndarray of float32
        Approximate signed distance; the outline never leaves
        ``radius * (1 + 2 * amplitude) + length of hairs``.
    """
    angles = np.linspace(-np.pi, np.pi, STEPS + 1)
    wave = np.zeros_like(angles)
    for order in range(2, 7):
        phase = rng.uniform(0, 2 * np.pi)
        wave += rng.normal(0, 1 / order) * np.cos(order * angles + phase)
    table = radius * (1 + 2 * amplitude * np.clip(wave, -1, 1))
    count, length = hairs
    if count:
        centres = rng.uniform(-np.pi, np.pi, count)
        turn = np.abs((angles[:, None] - centres + np.pi) % (2 * np.pi) - np.pi)
        width = rng.uniform(1.3, 2.8, count) / radius
        spikes = np.exp(-((turn / width) ** 1.4))
        table += length * (spikes * rng.uniform(0.2, 1, count) ** 0.7).max(1)
    theta = np.arctan2(patch.v, patch.u)
    place = (theta + np.float32(np.pi)) * np.float32(STEPS / (2 * np.pi))
    limits = table.astype(np.float32)[np.clip(place, 0, STEPS).astype(np.int32)]
    distance: Field = np.hypot(patch.u, patch.v) - limits
    return distance


def fibres(patch: Patch, rng: np.random.Generator, width: float) -> Field:
    """Wavy stripes along the u axis, zero mean and about unit variance.

    Parameters
    ----------
    patch : Patch
        Where to draw; the stripes turn with its axes.
    rng : numpy.random.Generator
        Source of their places and waves.
    width : float
        Typical distance between stripes, in pixels at scale 1.

    Returns
    -------
    ndarray of float32
        The stripes.
    """
    total = np.zeros(patch.shape, np.float32)
    for _ in range(6):
        pitch = np.float32(2 * np.pi / (width * rng.uniform(0.7, 4.0)))
        bend = np.float32(2 * np.pi / rng.uniform(30, 140))
        phase, start = rng.uniform(0, 2 * np.pi, 2).astype(np.float32)
        sway = np.float32(rng.uniform(4, 11)) * np.sin(patch.u * bend + phase)
        total += np.cos((patch.v + sway) * pitch + start)
    return total * np.float32(np.sqrt(2 / 6))


@lru_cache(maxsize=48)
def _tile(sigma_rows: float, sigma_columns: float) -> Field:
    """Smooth noise twice over in each direction, so that any piece is a plain slice."""
    noise = np.random.default_rng(20251217).standard_normal((TILE, TILE), np.float32)
    noise = ndimage.gaussian_filter(noise, (sigma_rows, sigma_columns), mode="wrap")
    return np.tile((noise / noise.std()).astype(np.float32), (2, 2))


def texture(
    shape: tuple[int, int],
    sigma: float | tuple[float, float],
    rng: np.random.Generator,
) -> Field:
    """Cut a piece of smooth noise, zero mean and unit variance, from a cached tile.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns wanted; larger than a tile, it repeats.
    sigma : float or tuple of float
        Grain in pixels, the same both ways or by rows and columns.
    rng : numpy.random.Generator
        Chooses the piece.

    Returns
    -------
    ndarray of float32
        The noise.
    """
    pair = (sigma, sigma) if isinstance(sigma, int | float) else sigma
    # Rounded so that scales close to each other share a tile instead of filling memory.
    tile = _tile(round(pair[0] * 2) / 2, round(pair[1] * 2) / 2)
    row, column = (int(start) for start in rng.integers(0, TILE, 2))
    if max(shape) <= TILE:
        piece = tile[row : row + shape[0], column : column + shape[1]]
    else:
        rows = (row + np.arange(shape[0])) % TILE
        columns = (column + np.arange(shape[1])) % TILE
        piece = tile[rows[:, None], columns[None, :]]
    flips = rng.choice((-1, 1), 2)
    return piece[:: flips[0], :: flips[1]]


def dots(
    region: NDArray[np.bool_], count: int, radius: float, rng: np.random.Generator
) -> Field:
    """Coverage of small round dots strewn over a region.

    Parameters
    ----------
    region : ndarray of bool
        Where centres may fall.
    count : int
        Number of dots.
    radius : float
        Radius in pixels of the image.
    rng : numpy.random.Generator
        Source of the places.

    Returns
    -------
    ndarray of float32
        From 0 to 1; dots that touch flow together.
    """
    places = np.flatnonzero(region)
    sparks = np.zeros(region.shape, np.float32)
    if places.size == 0 or count == 0:
        return sparks
    sigma = max(0.45, radius * 0.72)
    peak = 2 * np.pi * sigma * sigma
    # Below half a pixel the sampled kernel is higher than the continuous one.
    peak = max(peak, 1.0)
    chosen = rng.choice(places, count)
    sparks.flat[chosen] = (peak * rng.uniform(0.6, 1.1, count)).astype(np.float32)
    spread = ndimage.gaussian_filter(sparks, sigma, mode="constant", truncate=3)
    cover: Field = np.clip(spread * np.float32(1.5) - np.float32(0.25), 0, 1)
    return cover
