"""One synthetic cell at a time: nucleated cells, red cells and platelets as sprites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_cytodino.core.synthetic_classes import optical_density
from napari_cytodino.core.synthetic_drawing import (
    disc,
    dots,
    edge,
    make_patch,
    outline,
    segment,
    texture,
)
from napari_cytodino.core.synthetic_nuclei import draw_nucleus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.core.synthetic_classes import Morphology, Range
    from napari_cytodino.core.synthetic_drawing import Field, Patch

RED_CELL_DIAMETER = 78.0
"""Mean diameter of a red cell in pixels at scale 1."""
RED_CELL_COLOUR = "#DDB9B4"
PLATELET_COLOUR = "#9A6CB8"


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


def draw(rng: np.random.Generator, bounds: Range) -> float:
    """Draw a value from a range."""
    return float(rng.uniform(*bounds))


def draw_count(rng: np.random.Generator, bounds: Range) -> int:
    """Draw a whole number from a range, both ends included."""
    return int(rng.integers(int(bounds[0]), int(bounds[1]) + 1))


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
        radius=draw(rng, morphology.diameter) / 2,
        elongation=draw(rng, morphology.elongation),
        outline=draw(rng, morphology.outline),
        hairs=(draw_count(rng, morphology.hairs), draw(rng, morphology.hair_length)),
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
    blur = draw(rng, morphology.blur) * scale
    patch = make_patch(body.reach + 3 * blur / scale, scale, rng.uniform(0, 2 * np.pi))
    stretch = np.float32(np.sqrt(body.elongation))
    patch = type(patch)(scale, patch.u / stretch, patch.v * stretch)
    distance = outline(patch, body.radius, body.outline, rng, body.hairs)
    whole = edge(distance, patch.softness)
    mask = _largest(whole > 0.5)
    density, coverage = _cytoplasm(morphology, patch, distance, whole, rng)
    nucleus = draw_nucleus(morphology.nucleus, patch, body.radius, distance, rng)
    if morphology.cytoplasm.halo[1] > 0:
        density *= (
            1 - _halo(morphology, nucleus.centre, patch, body.radius, rng)[..., None]
        )
    density = _over(density, nucleus.density, nucleus.coverage)
    coverage = np.maximum(coverage, nucleus.coverage)
    density = _granules(morphology, patch, whole, nucleus.coverage, density, rng)
    density = _rods(
        morphology, patch, body.radius, whole, nucleus.coverage, density, rng
    )
    if morphology.cytoplasm.vacuoles[1] > 0:
        density *= (
            1 - _vacuoles(morphology, patch, distance, nucleus.coverage, rng)[..., None]
        )
    # No two cells take up the stain alike: strength, and a little of the hue.
    stain = rng.uniform(0.88, 1.12) * np.exp(rng.normal(0, 0.035, 3))
    density = density * (coverage[..., None] * stain.astype(np.float32))
    if blur > 0:
        density = ndimage.gaussian_filter(density, (blur, blur, 0))
        coverage = ndimage.gaussian_filter(coverage, blur)
    return Sprite(density, coverage, mask)


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
    stretch = np.float32(np.sqrt(rng.uniform(1, 1.2)))
    patch = type(patch)(scale, patch.u / stretch, patch.v * stretch)
    distance = outline(patch, radius, 0.025, rng)
    coverage = edge(distance, patch.softness * 1.6)
    inner = np.clip(1 + distance / np.float32(radius), 0, 1)
    pallor = rng.uniform(0.15, 0.75)
    hollow = pallor * np.exp(-((inner / rng.uniform(0.4, 0.55)) ** 4))
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


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the biggest connected piece: tips of hairs may come loose from a cell."""
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept: NDArray[np.bool_] = pieces == sizes.argmax()
    return kept


def _over(below: Field, above: Field, coverage: Field) -> Field:
    result: Field = below + (above - below) * coverage[..., None]
    return result


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
    amount = draw(rng, style.mottling)
    coarse = texture(patch.shape, 5 * patch.scale, rng)
    fine = texture(patch.shape, 1.2 * patch.scale, rng)
    density = density * np.exp(np.float32(amount) * (coarse + 0.5 * fine))[..., None]
    return density.astype(np.float32), whole * np.float32(draw(rng, style.opacity))


def _halo(
    morphology: Morphology,
    centre: tuple[float, float],
    patch: Patch,
    radius: float,
    rng: np.random.Generator,
) -> Field:
    """Pale Golgi zone between the nucleus and the middle of the cell."""
    strength = draw(rng, morphology.cytoplasm.halo)
    reach = draw(rng, morphology.nucleus.lobe_radius) * radius
    place = (centre[0] - 0.95 * reach, centre[1] + rng.uniform(-0.15, 0.15) * reach)
    spread = disc(patch.u, patch.v, place, 0) / np.float32(0.55 * reach)
    return (strength * np.exp(-(spread**2))).astype(np.float32)


def _granules(
    morphology: Morphology,
    patch: Patch,
    whole: Field,
    nucleus: Field,
    density: Field,
    rng: np.random.Generator,
) -> Field:
    inside = whole > 0.9
    for kind in morphology.granules:
        share = draw(rng, kind.over_nucleus)
        count = draw_count(rng, kind.count)
        radius = draw(rng, kind.radius) * patch.scale
        region = inside & (nucleus < 0.5) if share == 0 else inside
        cover = dots(region, count, radius, rng)
        cover *= 1 - (1 - np.float32(share)) * nucleus
        density = _over(density, optical_density(kind.colour), cover * np.float32(0.9))
    return density


def _rods(
    morphology: Morphology,
    patch: Patch,
    radius: float,
    whole: Field,
    nucleus: Field,
    density: Field,
    rng: np.random.Generator,
) -> Field:
    """Needles in bundles: a few places, each with near-parallel needles that cross."""
    count = draw_count(rng, morphology.rods)
    if count == 0:
        return density
    nearest = np.full(patch.shape, np.inf, np.float32)
    bundles = [
        (rng.uniform(-0.75, 0.1), rng.uniform(-0.5, 0.5), rng.uniform(0, np.pi))
        for _ in range(3)
    ]
    for number in range(count):
        along, across, angle = bundles[number % len(bundles)]
        u, v = rng.normal((along * radius, across * radius), 0.07 * radius)
        half = draw(rng, morphology.rod_length) / 2
        angle += rng.normal(0, 0.28)
        du, dv = half * np.cos(angle), half * np.sin(angle)
        needle = segment(patch.u, patch.v, (u - du, v - dv), (u + du, v + dv))
        np.minimum(nearest, needle, out=nearest)
    cover = edge(nearest - np.float32(1.1), patch.softness) * (whole > 0.9)
    cover = cover * (1 - np.float32(0.35) * nucleus)
    return _over(density, optical_density(morphology.rod_colour), cover)


def _vacuoles(
    morphology: Morphology,
    patch: Patch,
    distance: Field,
    nucleus: Field,
    rng: np.random.Generator,
) -> Field:
    """Share of the stain that round holes in the cytoplasm take away."""
    hole = np.zeros(patch.shape, np.float32)
    places = np.argwhere((distance < -6) & (nucleus < 0.1))
    if len(places) == 0:
        return hole
    for row, column in places[
        rng.integers(0, len(places), draw_count(rng, morphology.cytoplasm.vacuoles))
    ]:
        size = draw(rng, morphology.cytoplasm.vacuole_radius)
        centre = float(patch.u[row, column]), float(patch.v[row, column])
        np.maximum(hole, edge(disc(patch.u, patch.v, centre, size), 2.4), out=hole)
    return hole * np.float32(0.85) * (1 - nucleus)
