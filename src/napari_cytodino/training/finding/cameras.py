"""The same smear under another stain, lamp, focus and camera."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image
from scipy import ndimage as ndi
from skimage.morphology import disk, reconstruction

from napari_cytodino.finding import DARK, absorbance_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colours: TypeAlias = "NDArray[Any]"

_PALLOR = 9
"""Widest pale middle of a red cell that is filled, in pixels of 0.4 um."""


def seen_by_a_camera(
    rgb: Colours, background: Colours, cell: Colours, chance: np.random.Generator
) -> Colours:
    """Return the absorbance that another laboratory would measure of a scene.

    Parameters
    ----------
    rgb : (h, w, 3) array, 0 to 255
    background : (3,) array
    cell : (h, w) array
        Where nucleated cells are, 0 to 1: others may be stained otherwise.
    chance : Generator
    """
    stained = absorbance_of(rgb, background)
    stained = _stained_anew(stained, cell, chance)
    if chance.random() < 0.25:
        stained = stained + _debris(cell.shape[0], chance)
    light = np.clip(
        chance.uniform(90, 252) * np.exp(chance.normal(0, 0.12, 3)), 50, 253
    )
    uneven = (
        np.exp(_smooth(cell.shape[0], 0.08, chance)) if chance.random() < 0.5 else 1.0
    )
    seen = (light + DARK) * np.exp(-stained) * np.asarray(uneven)[..., None] - DARK
    if chance.random() < 0.5:
        blur = chance.uniform(0.2, 1.1)
        seen = ndi.gaussian_filter(seen, (blur, blur, 0))
    elif chance.random() < 0.2:
        seen += chance.uniform(0.3, 1.2) * (seen - ndi.gaussian_filter(seen, (1, 1, 0)))
    seen = seen + chance.normal(0, chance.uniform(0, 4.5), seen.shape)
    if chance.random() < 0.3:
        grain = chance.normal(0, chance.uniform(0, 9), seen.shape)
        seen = seen + ndi.gaussian_filter(grain, (0.7, 0.7, 0))
    seen = np.clip(seen, 0, 255).astype(np.uint8)
    if chance.random() < 0.4:
        seen = _as_jpeg(seen, int(chance.integers(30, 92)))
    # the background is never measured exactly
    measured = light * np.exp(chance.normal(0, 0.05) + chance.normal(0, 0.02, 3))
    return absorbance_of(seen, measured)


def _stained_anew(
    stained: Colours, cell: Colours, chance: np.random.Generator
) -> Colours:
    mixed = stained @ _mixing(chance, 0.2, 0.1).T
    if chance.random() < 0.7:
        # red cells and plasma take their own colour and strength, from pale to dark
        others = stained @ _mixing(chance, 0.3, 0.2).T * np.exp(chance.normal(0, 0.45))
        if chance.random() < 0.35:
            # thick red cells have no pallor, and are as dark as nuclei
            others = _without_pallor(others) * np.exp(chance.uniform(0, 0.9))
        edge = ndi.gaussian_filter(cell, 1.0)[..., None]
        mixed = edge * mixed + (1 - edge) * others
    return np.asarray(
        mixed * np.clip(np.exp(chance.normal(0, 0.3)), 0.45, 2.0), np.float32
    )


def _without_pallor(stained: Colours) -> Colours:
    """Return absorbance whose small pale middles are as dark as what is around them."""
    total = stained.sum(-1)
    seed = np.full_like(total, total.max())
    seed[[0, -1]], seed[:, [0, -1]] = total[[0, -1]], total[:, [0, -1]]
    filled = reconstruction(seed, total, method="erosion")
    filled = np.minimum(filled, ndi.grey_closing(total, footprint=disk(_PALLOR // 2)))
    share = filled / np.maximum(total, 0.05)
    return np.asarray(stained * np.clip(share, 1, 4)[..., None])


def _mixing(chance: np.random.Generator, own: float, across: float) -> Colours:
    mixing = np.clip(chance.normal(0, across, (3, 3)), -0.2, 0.5)
    mixing[np.diag_indices(3)] = np.exp(chance.normal(0, own, 3))
    return mixing.astype(np.float32)


def _debris(side: int, chance: np.random.Generator) -> Colours:
    """Return stain grains, or the smear of a broken cell, as absorbance."""
    purple = np.array([0.9, 1.2, 0.5]) * np.exp(chance.normal(0, 0.25, 3))
    if chance.random() < 0.6:
        spots = np.zeros((side, side), np.float32)
        many = int(chance.choice([1, 3, 10, 40]))
        middle, spread = chance.uniform(0, side, 2), chance.uniform(3, side)
        at = chance.normal(middle, spread, (many, 2)).astype(int)
        at = at[(at >= 0).all(1) & (at < side).all(1)]
        spots[at[:, 0], at[:, 1]] = 1
        wide = chance.uniform(0.5, 1.6)
        plane = ndi.gaussian_filter(spots, wide) * 2 * np.pi * wide**2
        plane = np.minimum(plane, 1.2) * chance.uniform(0.3, 1.2)
    else:
        streaks = ndi.gaussian_filter(
            chance.normal(0, 1, (side, side)),
            (chance.uniform(0.7, 2), chance.uniform(4, 12)),
        )
        rows, columns = np.mgrid[:side, :side]
        y, x = chance.uniform(0, side, 2)
        away = ((rows - y) ** 2 + (columns - x) ** 2) / (2 * chance.uniform(6, 20) ** 2)
        plane = (
            np.clip(streaks / streaks.std(), 0, 2)
            * np.exp(-away)
            * chance.uniform(0.1, 0.4)
        )
    return plane[..., None] * purple


def _smooth(side: int, strength: float, chance: np.random.Generator) -> Colours:
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    a, b, c = chance.normal(0, strength, 3)
    return np.asarray(a * rows + b * columns + 0.5 * c * (rows**2 + columns**2))


def _as_jpeg(rgb: Colours, quality: int) -> Colours:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
