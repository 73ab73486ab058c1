"""What lies between the nucleated cells of a synthetic smear: red cells, platelets."""

from __future__ import annotations

import numpy as np

from napari_cytodino.core.synthetic_cells import Sprite
from napari_cytodino.core.synthetic_classes import optical_density
from napari_cytodino.core.synthetic_drawing import (
    edge,
    make_patch,
    outline,
    stretched,
    texture,
)

RED_CELL_DIAMETER = 78.0
"""Mean diameter of a red cell in pixels at scale 1."""
RED_CELL_COLOUR = "#DBB6BA"
PLATELET_COLOUR = "#9A6CB8"


def draw_red_cell(rng: np.random.Generator, scale: float = 1.0) -> Sprite:
    """Draw a biconcave red cell, paler in the middle.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of its size, form and pallor.
    scale : float
        Pixels per pixel at scale 1.

    Returns
    -------
    Sprite
        The red cell.
    """
    radius = RED_CELL_DIAMETER / 2 * rng.normal(1, 0.055)
    patch = make_patch(radius * 1.25, scale, rng.uniform(0, 2 * np.pi))
    patch = stretched(patch, rng.uniform(1, 1.2))
    distance = outline(patch, radius, 0.025, rng)
    coverage = edge(distance, patch.softness * 1.6)
    inner = np.clip(1 + distance / np.float32(radius), 0, 1)
    pallor = rng.uniform(0.35, 0.95)
    hollow = pallor * np.exp(-((inner / rng.uniform(0.42, 0.58)) ** 4))
    rim = 0.16 * np.exp(-(((inner - 0.9) / 0.08) ** 2))
    amount = (1 - hollow + rim).astype(np.float32) * np.float32(rng.uniform(0.85, 1.15))
    density = (coverage * amount)[..., None] * optical_density(RED_CELL_COLOUR)
    return Sprite(density, coverage, coverage > 0.5)


def draw_platelet(rng: np.random.Generator, scale: float = 1.0) -> Sprite:
    """Draw a platelet: a small granular violet speck.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of its size and form.
    scale : float
        Pixels per pixel at scale 1.

    Returns
    -------
    Sprite
        The platelet.
    """
    radius = rng.uniform(8, 14)
    patch = make_patch(radius * 1.7, scale, rng.uniform(0, 2 * np.pi))
    distance = outline(patch, radius, 0.12, rng)
    coverage = edge(distance, 4.0) * np.float32(0.85)
    grain = np.exp(0.35 * texture(patch.shape, 1.2 * scale, rng))
    core = 0.55 + 0.75 * np.exp(-((np.hypot(patch.u, patch.v) / radius / 0.6) ** 2))
    amount = (coverage * grain * core).astype(np.float32)
    density = amount[..., None] * optical_density(PLATELET_COLOUR)
    return Sprite(density, coverage, coverage > 0.5)
