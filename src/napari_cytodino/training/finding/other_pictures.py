"""SYNTHETIC pictures of something else than a smear, drawn in code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 384
"""Of a picture, in pixels."""


def other_pictures(count: int, seed: int) -> list[NDArray[np.uint8]]:
    """Return pictures without cells: clouds, fibres, walls and pages.

    Parameters
    ----------
    count : int
    seed : int
        The same seed draws the same pictures.

    Returns
    -------
    list of (384, 384, 3) uint8 arrays
    """
    chance = np.random.default_rng(seed)
    kinds = (_clouds, _fibres, _walls, _page)
    return [kinds[number % len(kinds)](chance) for number in range(count)]


def _clouds(chance: np.random.Generator) -> NDArray[np.uint8]:
    """Draw what is rough at several scales: skin, cloth, gravel, sky."""
    return _coloured(_rough(chance, (1, 1)), chance)


def _fibres(chance: np.random.Generator) -> NDArray[np.uint8]:
    """Draw what runs one way: grass, wood, hair."""
    plane = _rough(chance, (chance.uniform(4, 15), 1))
    turned = ndi.rotate(plane, chance.uniform(0, 180), reshape=False, mode="reflect")
    return _coloured(turned, chance)


def _walls(chance: np.random.Generator) -> NDArray[np.uint8]:
    """Draw corners and flat sides: bricks, houses, tools, labels of slides."""
    image = Image.new("RGB", (SIDE, SIDE), _colour(chance))
    draw = ImageDraw.Draw(image)
    for _ in range(int(chance.integers(5, 80))):
        middle, reach = chance.uniform(0, SIDE, 2), chance.uniform(4, 120)
        corners = middle + chance.normal(0, reach, (int(chance.integers(2, 5)), 2))
        places = [(float(x), float(y)) for x, y in corners]
        if len(places) == 2:
            draw.line(places, _colour(chance), int(chance.integers(1, 9)))
        else:
            draw.polygon(places, _colour(chance))
    rough = 12 * _rough(chance, (1, 1))[..., None]
    return np.clip(np.asarray(image, float) + rough, 0, 255).astype(np.uint8)


def _page(chance: np.random.Generator) -> NDArray[np.uint8]:
    """Draw lines of letters, small or large, dark on light or the other way round."""
    image = Image.new("L", (SIDE, SIDE), 255)
    draw = ImageDraw.Draw(image)
    size = float(chance.uniform(9, 40))
    for top in np.arange(4, SIDE, 1.4 * size):
        letters = chance.integers(33, 123, int(2 * SIDE / size))
        draw.text((4, float(top)), "".join(map(chr, letters)), 20, font_size=size)
    ink, paper = np.array(_colour(chance)), np.array(_colour(chance))
    share = np.asarray(image, float)[..., None] / 255
    return np.asarray(share * paper + (1 - share) * ink, np.uint8)


def _rough(chance: np.random.Generator, along: tuple[float, float]) -> NDArray[Any]:
    """Return noise of several sizes together, of about one in deviation."""
    plane = np.zeros((SIDE, SIDE))
    for size in (0.8, 2.0, 5.0, 12.0, 30.0):
        wide = (size * along[0], size * along[1])
        noise = ndi.gaussian_filter(chance.normal(0, 1, (SIDE, SIDE)), wide)
        plane += chance.uniform(0, 1) * noise / noise.std()
    return np.asarray(plane / plane.std())


def _coloured(plane: NDArray[Any], chance: np.random.Generator) -> NDArray[np.uint8]:
    """Give a plane two colours that shade into each other."""
    share = np.clip(0.5 + chance.uniform(0.15, 0.6) * plane, 0, 1)[..., None]
    one, other = np.array(_colour(chance)), np.array(_colour(chance))
    return np.asarray(share * one + (1 - share) * other, np.uint8)


def _colour(chance: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = chance.integers(0, 256, 3).tolist()
    return red, green, blue
