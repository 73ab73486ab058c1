"""Nuclei of synthetic cells: lobes on an arc, joined by a thread, with chromatin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.synthetic._drawing import arc, disc, edge, fibres, merge, texture
from napari_cytodino.synthetic._morphology import optical_density, sample, sample_count

if TYPE_CHECKING:
    from napari_cytodino.synthetic._drawing import Field, Patch
    from napari_cytodino.synthetic._morphology import Nucleus


INSET = 2.5
"""Least distance in pixels at scale 1 from the nucleus to the edge of its cell."""


@dataclass(frozen=True)
class NucleusDrawing:
    """Absorbance and coverage of a nucleus, and its centre on the patch's axes."""

    density: Field
    coverage: Field
    centre: tuple[float, float]


def draw_nucleus(
    style: Nucleus,
    patch: Patch,
    radius: float,
    cell: Field,
    rng: np.random.Generator,
) -> NucleusDrawing:
    """Draw the nucleus of a cell.

    Parameters
    ----------
    style : Nucleus
        Shape and chromatin of the class.
    patch : Patch
        The cell's patch.
    radius : float
        The cell's radius in pixels at scale 1.
    cell : ndarray of float32
        Signed distance to the cell's outline.
    rng : numpy.random.Generator
        Source of variation.

    Returns
    -------
    NucleusDrawing
        Never reaching beyond the cell.
    """
    centre = (sample(rng, style.offset) * radius, 0.0)
    u, v = patch.u - np.float32(centre[0]), patch.v
    shape = _shape(style, u, v, radius, rng)
    size = sample(rng, style.irregular)
    grain = (9 if size < 8 else 14) * patch.scale
    shape = shape + np.float32(size) * texture(patch.shape, grain, rng)
    shape = np.maximum(shape, cell + np.float32(INSET))
    softness = max(sample(rng, style.softness), patch.softness)
    opacity = np.float32(sample(rng, style.opacity))
    chromatin = _chromatin(style, patch, u, v, shape, radius, rng)
    density = optical_density(style.colour) * chromatin[..., None]
    return NucleusDrawing(density, edge(shape, softness) * opacity, centre)


def _shape(
    style: Nucleus, u: Field, v: Field, radius: float, rng: np.random.Generator
) -> Field:
    """Signed distance to lobes spread over an arc and the thread between them."""
    count = sample_count(rng, style.lobes)
    if count == 1:
        stretch = np.float32(np.sqrt(sample(rng, style.elongation)))
        # The long axis of an off-centre nucleus lies across the cell.
        return disc(
            u * stretch, v / stretch, (0, 0), sample(rng, style.lobe_radius) * radius
        )
    half_angle = np.radians(sample(rng, style.arc)) / 2
    bend = sample(rng, style.arc_radius) * radius
    # The middle of a bent nucleus sits in the cell's middle, not that of its bend.
    u = u + np.float32(bend * np.sin(half_angle) / half_angle * 0.7)
    shape = arc(u, v, bend, half_angle, sample(rng, style.thread) * radius)
    scatter = sample(rng, style.scatter)
    for angle in np.linspace(-half_angle, half_angle, count):
        turn = angle + rng.normal(0, scatter)
        out = bend * rng.normal(1, scatter)
        place = (out * np.cos(turn), out * np.sin(turn))
        lobe = disc(u, v, place, sample(rng, style.lobe_radius) * radius)
        shape = merge(shape, lobe, 4.0)
    return shape


def _chromatin(
    style: Nucleus,
    patch: Patch,
    u: Field,
    v: Field,
    shape: Field,
    radius: float,
    rng: np.random.Generator,
) -> Field:
    """Relative strength of the stain inside the nucleus."""
    grain = sample(rng, style.texture_size) * patch.scale
    amount = np.float32(sample(rng, style.texture))
    tone = amount * texture(patch.shape, grain, rng)
    tone += np.float32(0.4) * amount * texture(patch.shape, grain / 2.5, rng)
    streak = np.float32(sample(rng, style.streak))
    if streak > 0:
        tone += streak * np.float32(0.2) * fibres(patch, rng, 5.0)
    # The membrane gathers stain; a nucleus without one has a wide, soft border.
    if style.softness[1] < 4:
        tone += np.float32(0.20) * np.exp(-(((shape + 2.5) / 2.2) ** 2))
    spokes = sample_count(rng, style.spokes)
    size = sample(rng, style.lobe_radius) * radius
    if spokes:
        tone += _clock_face(u, v, size, spokes, rng)
    for _ in range(sample_count(rng, style.nucleoli)):
        angle, out = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.15, 0.6)
        place = (out * np.cos(angle), out * np.sin(angle))
        spot = disc(u, v, place, sample(rng, style.nucleolus_radius) * radius)
        tone += np.float32(0.16) * np.exp(-(((spot - 1) / 1.8) ** 2))
        tone -= np.float32(0.42) * edge(spot, 4.0)
    strength: Field = np.exp(tone).astype(np.float32)
    return strength


def _clock_face(
    u: Field, v: Field, size: float, spokes: int, rng: np.random.Generator
) -> Field:
    """Dark clumps around the rim of the nucleus, like the hours of a clock."""
    wave = np.cos(spokes * np.arctan2(v, u) + rng.uniform(0, 2 * np.pi))
    ring = np.exp(-(((np.hypot(u, v) / size - 0.72) / 0.26) ** 2))
    core = np.exp(-((np.hypot(u, v) / size / 0.22) ** 2))
    face: Field = (0.42 * ring * wave + 0.25 * core - 0.08).astype(np.float32)
    return face
