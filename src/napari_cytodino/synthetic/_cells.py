"""What lies on a synthetic smear, one sprite at a time: cells, red cells, platelets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_cytodino.synthetic._cytoplasm import (
    Interior,
    lay_granules,
    lay_rods,
    overlay,
    pallor,
)
from napari_cytodino.synthetic._drawing import (
    edge,
    make_patch,
    outline,
    stretched,
    texture,
)
from napari_cytodino.synthetic._morphology import optical_density, sample, sample_count
from napari_cytodino.synthetic._nuclei import draw_nucleus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.synthetic._drawing import Field, Patch
    from napari_cytodino.synthetic._morphology import Morphology


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


@dataclass(frozen=True)
class Sprite:
    """A drawn object: absorbance times coverage, coverage, and its exact mask."""

    density: Field
    coverage: Field
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Body:
    """Size of one cell, known before it is drawn so that it can be placed."""

    radius: float
    elongation: float
    outline: float
    hairs: tuple[int, float]

    @property
    def reach(self) -> float:
        """Distance from the centre that the cell's mask never exceeds, at scale 1."""
        stretch = float(np.sqrt(self.elongation))
        return (self.radius * (1 + 2 * self.outline) + self.hairs[1]) * stretch


def make_body(morphology: Morphology, rng: np.random.Generator) -> Body:
    """Choose the size of a cell.

    Parameters
    ----------
    morphology : Morphology
        The cell's class.
    rng : numpy.random.Generator
        Source of the choice.

    Returns
    -------
    Body
        Its size, in pixels at scale 1.
    """
    return Body(
        radius=sample(rng, morphology.diameter) / 2,
        elongation=sample(rng, morphology.elongation),
        outline=sample(rng, morphology.outline),
        hairs=(
            sample_count(rng, morphology.hairs),
            sample(rng, morphology.hair_length),
        ),
    )


def draw_cell(
    morphology: Morphology, body: Body, rng: np.random.Generator, scale: float = 1.0
) -> Sprite:
    """Draw a nucleated cell.

    Parameters
    ----------
    morphology : Morphology
        How the class looks.
    body : Body
        The size chosen for this cell.
    rng : numpy.random.Generator
        Source of its variation.
    scale : float
        Pixels per pixel at scale 1.

    Returns
    -------
    Sprite
        With the cell's centre in the middle pixel.
    """
    blur = sample(rng, morphology.blur) * scale
    patch = make_patch(body.reach + 3 * blur / scale, scale, rng.uniform(0, 2 * np.pi))
    patch = stretched(patch, body.elongation)
    distance = outline(patch, body.radius, body.outline, rng, body.hairs)
    whole = edge(distance, patch.softness)
    density, coverage = _cytoplasm(morphology, patch, distance, whole, rng)
    nucleus = draw_nucleus(morphology.nucleus, patch, body.radius, distance, rng)
    inside = Interior(patch, body.radius, distance, nucleus)
    density *= 1 - pallor(morphology, inside, rng)[..., None]
    density = overlay(density, nucleus.density, nucleus.coverage)
    coverage = np.maximum(coverage, nucleus.coverage)
    density, coverage = lay_granules(morphology, inside, density, coverage, rng)
    density = lay_rods(morphology, inside, density, rng)
    # No two cells take up the stain alike: strength, and a little of the hue.
    stain = rng.uniform(0.88, 1.12) * np.exp(rng.normal(0, 0.035, 3))
    density = density * (coverage[..., None] * stain.astype(np.float32))
    if blur > 0:
        density = ndimage.gaussian_filter(density, (blur, blur, 0))
        coverage = ndimage.gaussian_filter(coverage, blur)
    return Sprite(density, coverage, _largest(distance < 0))


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the biggest connected piece: tips of hairs may come loose from a cell."""
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept: NDArray[np.bool_] = pieces == sizes.argmax()
    return kept


def _cytoplasm(
    morphology: Morphology,
    patch: Patch,
    distance: Field,
    whole: Field,
    rng: np.random.Generator,
) -> tuple[Field, Field]:
    """Absorbance and coverage of the cell body, bluer and denser toward its edge."""
    style = morphology.cytoplasm
    inner, rim = optical_density(style.colour), optical_density(style.edge)
    depth = np.exp(np.minimum(distance, 0) / np.float32(9))[..., None]
    density = inner + (rim - inner) * depth
    amount = sample(rng, style.mottling)
    coarse = texture(patch.shape, 5 * patch.scale, rng)
    fine = texture(patch.shape, 1.2 * patch.scale, rng)
    density = density * np.exp(np.float32(amount) * (coarse + 0.5 * fine))[..., None]
    return density.astype(np.float32), whole * np.float32(sample(rng, style.opacity))
