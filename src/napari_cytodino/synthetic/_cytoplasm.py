"""What synthetic cytoplasm holds: granules, needles, vacuoles and the Golgi zone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.synthetic._drawing import disc, dots, edge, segment
from napari_cytodino.synthetic._morphology import optical_density, sample, sample_count

if TYPE_CHECKING:
    from napari_cytodino.synthetic._drawing import Field, Patch
    from napari_cytodino.synthetic._morphology import Morphology
    from napari_cytodino.synthetic._nuclei import NucleusDrawing


@dataclass(frozen=True)
class Interior:
    """The inside of one cell: its patch, radius, distance to the outline, nucleus."""

    patch: Patch
    radius: float
    distance: Field
    nucleus: NucleusDrawing


def overlay(below: Field, above: Field, coverage: Field) -> Field:
    """Lay one absorbance over another where it covers.

    Parameters
    ----------
    below, above : ndarray of float32, shape (H, W, 3)
        Absorbances; ``above`` may be a single colour.
    coverage : ndarray of float32, shape (H, W)
        Share of ``above`` in each pixel.

    Returns
    -------
    ndarray of float32
        The mixture.
    """
    result: Field = below + (above - below) * coverage[..., None]
    return result


def lay_granules(
    morphology: Morphology,
    inside: Interior,
    density: Field,
    coverage: Field,
    rng: np.random.Generator,
) -> tuple[Field, Field]:
    """Strew the granules of a class over a cell.

    Parameters
    ----------
    morphology : Morphology
        The class.
    inside : Interior
        The cell.
    density, coverage : ndarray of float32
        The cell as drawn so far.
    rng : numpy.random.Generator
        Source of the places.

    Returns
    -------
    tuple of ndarray of float32
        Absorbance and coverage with granules.
    """
    nucleus = inside.nucleus.coverage
    for kind in morphology.granules:
        share = sample(rng, kind.over_nucleus)
        radius = sample(rng, kind.radius)
        region = inside.distance < -radius - 1
        if share == 0:
            region &= nucleus < 0.5
        count = sample_count(rng, kind.count)
        cover = dots(region, count, radius * inside.patch.scale, rng)
        cover *= np.float32(0.9) * (1 - (1 - np.float32(share)) * nucleus)
        density = overlay(density, optical_density(kind.colour), cover)
        coverage = np.maximum(coverage, cover)
    return density, coverage


def lay_rods(
    morphology: Morphology,
    inside: Interior,
    density: Field,
    rng: np.random.Generator,
) -> Field:
    """Lay needles in bundles: a few places, each with nearly parallel needles.

    Parameters
    ----------
    morphology : Morphology
        The class; most have none.
    inside : Interior
        The cell.
    density : ndarray of float32
        The cell as drawn so far.
    rng : numpy.random.Generator
        Source of the places.

    Returns
    -------
    ndarray of float32
        Absorbance with needles.
    """
    count = sample_count(rng, morphology.rods)
    if count == 0:
        return density
    patch = inside.patch
    nearest = np.full(patch.shape, np.inf, np.float32)
    bundles = [
        (rng.uniform(-0.65, 0.0), rng.uniform(-0.5, 0.5), rng.uniform(0, np.pi))
        for _ in range(3)
    ]
    for number in range(count):
        along, across, angle = bundles[number % len(bundles)]
        u, v = inside.radius * rng.normal((along, across), 0.07)
        half = sample(rng, morphology.rod_length) / 2
        angle += rng.normal(0, 0.28)
        du, dv = half * np.cos(angle), half * np.sin(angle)
        needle = segment(patch.u, patch.v, (u - du, v - dv), (u + du, v + dv))
        np.minimum(nearest, needle, out=nearest)
    cover = edge(nearest - np.float32(0.9), patch.softness) * (inside.distance < -2)
    cover = cover * (1 - np.float32(0.45) * inside.nucleus.coverage)
    return overlay(density, optical_density(morphology.rod_colour), cover)


def pallor(morphology: Morphology, inside: Interior, rng: np.random.Generator) -> Field:
    """Share of the cytoplasm's stain that the Golgi zone and vacuoles take away.

    Parameters
    ----------
    morphology : Morphology
        The class.
    inside : Interior
        The cell.
    rng : numpy.random.Generator
        Source of places and sizes.

    Returns
    -------
    ndarray of float32
        0 where nothing is taken, 1 where no stain is left.
    """
    pale = np.zeros(inside.patch.shape, np.float32)
    if morphology.cytoplasm.halo[1] > 0:
        pale = _golgi_zone(morphology, inside, rng)
    if morphology.cytoplasm.vacuoles[1] > 0:
        pale = np.maximum(pale, _vacuoles(morphology, inside, rng))
    return pale


def _golgi_zone(
    morphology: Morphology, inside: Interior, rng: np.random.Generator
) -> Field:
    """Pale crescent on that side of the nucleus that faces the cell's middle."""
    strength = np.float32(sample(rng, morphology.cytoplasm.halo))
    reach = sample(rng, morphology.nucleus.lobe_radius) * inside.radius
    across, along = rng.uniform(-0.15, 0.15) * reach, 0.75 * reach
    place = (inside.nucleus.centre[0] - along, inside.nucleus.centre[1] + across)
    spread = disc(inside.patch.u, inside.patch.v, place, 0) / np.float32(0.75 * reach)
    zone: Field = strength * np.exp(-(spread**4))
    return zone


def _vacuoles(
    morphology: Morphology, inside: Interior, rng: np.random.Generator
) -> Field:
    """Round holes in the cytoplasm."""
    patch = inside.patch
    hole = np.zeros(patch.shape, np.float32)
    places = np.argwhere((inside.distance < -6) & (inside.nucleus.coverage < 0.1))
    if len(places) == 0:
        return hole
    count = sample_count(rng, morphology.cytoplasm.vacuoles)
    for row, column in places[rng.integers(0, len(places), count)]:
        size = sample(rng, morphology.cytoplasm.vacuole_radius)
        centre = float(patch.u[row, column]), float(patch.v[row, column])
        np.maximum(hole, edge(disc(patch.u, patch.v, centre, size), 2.4), out=hole)
    return hole * np.float32(0.85)
