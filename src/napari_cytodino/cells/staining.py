"""Nuclear stain of a picture: background, threshold, cell size, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu

from napari_cytodino.cells._nuclei import Mask, close_gaps, depth_of, split

Map: TypeAlias = NDArray[np.float32]

BLUE_WEIGHT = 0.7
"""Share of blue absorbance taken off green: haemoglobin absorbs both, nuclei green."""

MIN_STAIN = 0.28
"""Weakest nuclear stain, in absorbance (natural log); red cells reach 0.2."""

FAINT = 0.3
"""Weakest nuclear stain as a share of the darkest tenth of the stained pixels."""

BODY_ABSORBANCE = 0.12
"""Green absorbance from which on a pixel belongs to any cell, red ones included."""

MAX_COVER = 0.6
"""Share of the picture covered by cells up to which single bodies can be measured."""

SAMPLED_WHOLE = 4_000_000
"""Pixels up to which a picture is measured whole, not in 16 windows."""

MIN_DIAMETER = 12.0
"""Smallest estimate of the cell diameter, in pixels."""

MAX_SHARE = 0.75
"""Largest estimate, as a share of the shorter side: one whole cell is in view."""

CELL_PER_NUCLEUS = 1.5
"""Cell diameter over nuclear diameter, for the estimate of scale."""

CLOSING = 0.4
"""Gap closed between lobes for the estimate of scale, in their radii."""

MIX = 0.5
"""Weight of the circle of equal area against the inscribed one in that estimate."""


@runtime_checkable
class Readable(Protocol):
    """What finding needs of an image that is read in parts."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""

    def read(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """Return the window as (h, w, 3) uint8."""


@dataclass(frozen=True)
class StainModel:
    """What one image shares over all its tiles."""

    background: NDArray[np.float64]
    threshold: float
    diameter: float


def estimate_stain(source: Readable, diameter: float | None) -> StainModel | None:
    """Estimate background, threshold, diameter; None where nothing is stained."""
    height, width = source.shape
    parts = [(0, 0, height, width)]
    if height * width > SAMPLED_WHOLE:
        side = int(SAMPLED_WHOLE**0.5 * 0.4)
        tops = np.linspace(0, max(0, height - side), 4).astype(int)
        lefts = np.linspace(0, max(0, width - side), 4).astype(int)
        parts = [
            (t, s, min(t + side, height), min(s + side, width))
            for t in tops
            for s in lefts
        ]
    windows = [source.read(*part) for part in parts]
    pixels = np.concatenate([w[::2, ::2].reshape(-1, 3) for w in windows])
    background = np.percentile(pixels, 95, axis=0)
    thin = max(1, max(windows[0].shape) // 300)
    stains = [stain_of(w, background)[::thin, ::thin] for w in windows]
    values = np.concatenate([s.ravel() for s in stains])
    if values.max() <= MIN_STAIN:
        return None
    dark = float(np.percentile(values[values > MIN_STAIN], 90))
    threshold = max(MIN_STAIN, FAINT * dark)
    if diameter is None:
        size = _size([s > threshold for s in stains], MIX, CLOSING)
        level = (background[1] + 8) * np.exp(-BODY_ABSORBANCE) - 8
        bodies = [w[::thin, ::thin, 1] < level for w in windows]
        if np.mean([b.mean() for b in bodies]) < MAX_COVER:
            size = max(size, _size(bodies, 0.0, 0.0) / CELL_PER_NUCLEUS)
        diameter = max(thin * size * CELL_PER_NUCLEUS, MIN_DIAMETER)
        diameter = min(diameter, MAX_SHARE * min(source.shape))
    return StainModel(background, threshold, diameter)


def stain_of(rgb: NDArray[np.uint8], background: NDArray[np.float64]) -> Map:
    """Return the nuclear stain of each pixel: green less a share of blue absorbance."""
    table = -np.log(np.arange(256) + 8.0)[:, None] + np.log(background + 8.0)
    table = table.astype(np.float32)
    stain = table[rgb[..., 1], 1] - BLUE_WEIGHT * table[rgb[..., 2], 2]
    smooth: Map = ndi.gaussian_filter(stain, 0.7)
    return smooth


def _size(masks: list[Mask], mix: float, closing: float) -> float:
    """Return the diameter of the typical object, in pixels, half the area above it.

    It lies between those of the inscribed circle (mix 0) and of the circle of equal
    area (mix 1), after gaps within the closing times the radius are closed.
    """
    radius = 0.0
    for share in (0.0, closing) if closing else (0.0,):
        radii, areas = [np.zeros(0)], [np.zeros(0)]
        for mask in masks:
            closed = close_gaps(mask, share * radius)
            labels, count = ndi.label(closed)
            index = np.arange(1, count + 1)
            radii.append(ndi.maximum(depth_of(closed), labels, index))
            areas.append(ndi.sum_labels(closed, labels, index))
        area = np.concatenate(areas)
        if not area.size:
            return 0.0
        size = np.concatenate(radii) ** (1 - mix) * np.sqrt(area / np.pi) ** mix
        order = np.argsort(size)
        below = np.cumsum(area[order])
        radius = float(size[order][np.searchsorted(below, below[-1] / 2)])
    return 2 * radius


def nuclei_in(stain: Map, threshold: float, diameter: float) -> Mask:
    """Refine the coarse mask object by object with the threshold of sharpest edge."""
    slope = ndi.gaussian_gradient_magnitude(stain, 1.0)
    closed = ndi.binary_dilation(
        stain > threshold, iterations=max(1, int(0.05 * diameter))
    )
    labels = split(closed, diameter)
    mask = np.zeros(stain.shape, np.bool_)
    pad = int(0.2 * diameter)
    for label, (rows, columns) in enumerate(ndi.find_objects(labels), 1):
        window = (
            slice(max(0, rows.start - pad), rows.stop + pad),
            slice(max(0, columns.start - pad), columns.stop + pad),
        )
        own = labels[window] == label
        level = _sharpest(stain[window], slope[window], own)
        mask[window] |= own & (stain[window] > max(threshold, level))
    return mask


def _sharpest(stain: Map, slope: Map, own: Mask) -> float:
    """Return the Otsu threshold, or the one above it where its outline is sharper."""
    low = float(threshold_otsu(stain))
    inside = stain[stain > low]
    if inside.size < 2 or inside.min() == inside.max():
        return low
    high = float(threshold_otsu(inside))
    edges = []
    for level in (low, high):
        mask = stain > level
        outline = own & mask & ~ndi.binary_erosion(mask, border_value=1)
        edges.append(float(slope[outline].mean()) if outline.any() else 0.0)
    return high if edges[1] > edges[0] else low
