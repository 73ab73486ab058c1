"""Find stained nucleated cells in Romanowsky or Pappenheim pictures, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu
from skimage.measure import regionprops
from skimage.segmentation import relabel_sequential, watershed

from napari_cytodino.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

Mask: TypeAlias = NDArray[np.bool_]
Map: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int32]

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
WORKING_DIAMETER = 64
"""Cell diameter in pixels at which objects are split and joined."""
TILE = 1024
"""Side of a tile at the working scale, in pixels."""
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
MIN_AREA = 0.12
"""Smallest nuclear area of a cell, as a share of the disc of the cell diameter."""
MIN_AREA_BORDER = 0.05
"""The same where the image border cuts the object."""
MAX_AREA = 0.7
"""Largest nuclear area that lobes may add up to, as the same share."""
WHOLE_AREA = 0.2
"""From this share on a round piece is a nucleus of its own, not a lobe."""
ROUND = (0.6, 0.9)
"""Least ratio of the axes and least solidity of a round piece."""
MAX_GAP = 0.2
"""Widest gap between lobes of one nucleus, in cell diameters."""
MAX_EXTENT = 1.15
"""Largest side of the box around joined lobes, in cell diameters."""


@runtime_checkable
class Readable(Protocol):
    """What finding needs of an image that is read in parts."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""

    def read(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """Return the window as (h, w, 3) uint8."""


@dataclass(frozen=True)
class FoundCell:
    """One cell cut out around a click.

    Attributes
    ----------
    mask : (h, w) bool array
        The cell inside its box.
    bbox : tuple of int
        Top, left, bottom, right in pixels of the image, half open.
    segmented : bool
        False where nothing stained was found and the mask is a plain disc.
    """

    mask: Mask
    bbox: tuple[int, int, int, int]
    segmented: bool


@dataclass(frozen=True)
class _Setting:
    """What one image shares over all its tiles."""

    background: NDArray[np.float64]
    threshold: float
    diameter: float


class _ArrayImage:
    """An array behind the same door as an image source."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self._array = array
        self.shape: tuple[int, int] = (array.shape[0], array.shape[1])

    def read(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        return self._array[top:bottom, left:right]


def find_cells(
    image: NDArray[np.uint8] | Readable, *, diameter: float | None = None
) -> Labels:
    """Label the stained nucleated cells of an image, one nucleus per label.

    White cells, blasts and erythroblasts are found; red cells and platelets are
    not. Lobes of one nucleus get one label, touching nuclei are split at necks.

    Parameters
    ----------
    image : (H, W, 3) uint8 array, or an object with ``shape`` and ``read``
        Bright-field RGB picture.
    diameter : float, optional
        Expected cell diameter in pixels; estimated from the picture if None.

    Returns
    -------
    (H, W) int32 array
        0 background, 1..n the cells, without gaps; all 0 where nothing is found.

    Raises
    ------
    InputError
        If the image is not RGB uint8 or has no pixels, or the diameter is not a
        positive number.

    Notes
    -----
    Absorbance relative to the background (Lambert-Beer), Otsu thresholds (1979)
    chosen by edge strength, watershed on the distance transform. Large images are
    worked in tiles, at the scale where a cell is about 64 pixels wide.
    """
    source = _source(image)
    setting = _setting(source, _checked_diameter(diameter))
    labels = np.zeros(source.shape, np.int32)
    if setting is None:
        return labels
    largest = max(1, min(source.shape) // 8)
    step = int(np.clip(setting.diameter // WORKING_DIAMETER, 1, largest))
    count = 0
    for core, window in _tiles(
        source.shape, TILE * step, round(1.5 * setting.diameter)
    ):
        found = _find_in(source.read(*window), setting, step, _edges(window, source))
        count = _keep_core(labels, found, core, window, count)
    return labels


def nucleus_mask(
    image: NDArray[np.uint8] | Readable, *, diameter: float | None = None
) -> Mask:
    """Return where nuclear stain lies, at full resolution.

    Parameters
    ----------
    image : (H, W, 3) uint8 array, or an object with ``shape`` and ``read``
        Bright-field RGB picture; it is read whole.
    diameter : float, optional
        Expected cell diameter in pixels; estimated from the picture if None.

    Returns
    -------
    (H, W) bool array
        True inside nuclei.

    Raises
    ------
    InputError
        As `find_cells`.
    """
    source = _source(image)
    setting = _setting(source, _checked_diameter(diameter))
    if setting is None:
        return np.zeros(source.shape, np.bool_)
    stain = _stain(source.read(0, 0, *source.shape), setting.background)
    return _nuclei(stain, setting.threshold, setting.diameter)


def cell_at(
    image: NDArray[np.uint8] | Readable, y: float, x: float, diameter: float
) -> FoundCell:
    """Cut out the cell under a click; a disc where no nucleus is found.

    Parameters
    ----------
    image : (H, W, 3) uint8 array, or an object with ``shape`` and ``read``
        Bright-field RGB picture; only the surroundings of the click are read.
    y, x : float
        Click position in pixels.
    diameter : float
        Expected cell diameter in pixels.

    Returns
    -------
    FoundCell
        The nucleus under or nearest to the click (within half a diameter), or a
        disc of the given diameter around it.

    Raises
    ------
    InputError
        If the click lies outside the image, or as `find_cells`.
    """
    source = _source(image)
    size = _checked_diameter(diameter)
    height, width = source.shape
    if size is None or not (0 <= y < height and 0 <= x < width):
        raise InputError(
            f"the click at y={y}, x={x} lies outside the image of {height} x {width} "
            "pixels; click inside the image"
        )
    top, left = max(0, int(y - 1.5 * size)), max(0, int(x - 1.5 * size))
    bottom = min(height, int(y + 1.5 * size) + 1)
    right = min(width, int(x + 1.5 * size) + 1)
    labels = find_cells(source.read(top, left, bottom, right), diameter=size)
    distance, nearest = ndi.distance_transform_edt(labels == 0, return_indices=True)
    at = int(y) - top, int(x) - left
    segmented = bool(labels.any() and distance[at] <= size / 2)
    if segmented:
        mask = labels == labels[nearest[0][at], nearest[1][at]]
    else:
        rows, columns = np.ogrid[: labels.shape[0], : labels.shape[1]]
        mask = (rows - at[0]) ** 2 + (columns - at[1]) ** 2 <= (size / 2) ** 2
    rows, columns = ndi.find_objects(mask.astype(np.uint8))[0]
    box = (top + rows.start, left + columns.start, top + rows.stop, left + columns.stop)
    return FoundCell(mask[rows, columns], box, segmented)


def _source(image: NDArray[np.uint8] | Readable) -> Readable:
    """Return the image behind one door, or say what is wrong with it."""
    if not isinstance(image, np.ndarray):
        if 0 in image.shape:
            raise InputError(f"the image has shape {image.shape}; give one with pixels")
        return image
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f"the image has shape {image.shape}, but finding cells needs colour; "
            "give an RGB array of shape (H, W, 3)"
        )
    if image.dtype != np.uint8:
        nan = np.issubdtype(image.dtype, np.floating) and bool(np.isnan(image).any())
        what = f"{image.dtype}, with NaN" if nan else f"{image.dtype}"
        raise InputError(
            f"the image has values of type {what}; "
            "scale them to 0..255 without NaN and convert to uint8"
        )
    if image.size == 0:
        raise InputError(
            f"the image has shape {image.shape}, so no pixels; give a larger region"
        )
    return _ArrayImage(image)


def _checked_diameter(diameter: float | None) -> float | None:
    if diameter is not None and not (np.isfinite(diameter) and diameter > 0):
        raise InputError(
            f"the diameter is {diameter}; give a cell diameter in pixels above 0, "
            "or None to have it estimated"
        )
    return diameter


def _setting(source: Readable, diameter: float | None) -> _Setting | None:
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
    stains = [_stain(w, background)[::thin, ::thin] for w in windows]
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
    return _Setting(background, threshold, diameter)


def _stain(rgb: NDArray[np.uint8], background: NDArray[np.float64]) -> Map:
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
            closed = _closed(mask, share * radius)
            labels, count = ndi.label(closed)
            index = np.arange(1, count + 1)
            radii.append(ndi.maximum(_depth(closed), labels, index))
            areas.append(ndi.sum_labels(closed, labels, index))
        area = np.concatenate(areas)
        if not area.size:
            return 0.0
        size = np.concatenate(radii) ** (1 - mix) * np.sqrt(area / np.pi) ** mix
        order = np.argsort(size)
        below = np.cumsum(area[order])
        radius = float(size[order][np.searchsorted(below, below[-1] / 2)])
    return 2 * radius


def _depth(mask: Mask) -> NDArray[np.float64]:
    """Return the distance to the background; the image border is not background."""
    padded = np.pad(mask, 1, mode="edge")
    return np.asarray(ndi.distance_transform_edt(padded))[1:-1, 1:-1]


def _closed(mask: Mask, radius: float) -> Mask:
    """Close gaps up to twice the radius and fill holes."""
    if radius >= 1:
        pad = int(radius) + 2
        grown = np.pad(mask, pad)
        grown = ndi.distance_transform_edt(~grown) <= radius
        grown = ndi.distance_transform_edt(grown) > radius
        mask = mask | grown[pad:-pad, pad:-pad]
    filled: Mask = ndi.binary_fill_holes(mask)
    return filled


def _nuclei(stain: Map, threshold: float, diameter: float) -> Mask:
    """Refine the coarse mask object by object with the threshold of sharpest edge."""
    slope = ndi.gaussian_gradient_magnitude(stain, 1.0)
    closed = ndi.binary_dilation(
        stain > threshold, iterations=max(1, int(0.05 * diameter))
    )
    labels = _split(closed, diameter)
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


def _find_in(
    rgb: NDArray[np.uint8], setting: _Setting, step: int, edges: tuple[bool, ...]
) -> Labels:
    """Label the cells of one window at the working scale and scale back."""
    small = rgb[: len(rgb) // step * step, : rgb.shape[1] // step * step]
    if step > 1:
        shape = (len(small) // step, step, small.shape[1] // step, step, 3)
        small = small.reshape(shape).mean((1, 3)).astype(np.uint8)
    diameter = setting.diameter / step
    mask = _nuclei(_stain(small, setting.background), setting.threshold, diameter)
    mask = _closed(ndi.binary_opening(mask, iterations=max(1, round(diameter / 40))), 0)
    labels = _join(_split(mask, diameter), diameter)
    labels = _drop_small(labels, diameter, edges)
    if step > 1:
        labels = labels.repeat(step, 0).repeat(step, 1)
        short = [(0, a - b) for a, b in zip(rgb.shape[:2], labels.shape, strict=True)]
        labels = np.pad(labels, short, mode="edge")
    return labels


def _split(mask: Mask, diameter: float) -> Labels:
    """Cut touching nuclei and lobes apart at their necks."""
    depth = _depth(mask)
    smooth = ndi.gaussian_filter(depth, 0.03 * diameter)
    reach = 2 * max(1, round(0.14 * diameter)) + 1
    peaks = (smooth == ndi.maximum_filter(smooth, reach)) & (depth > 0.06 * diameter)
    markers, _ = ndi.label(peaks, np.ones((3, 3)))
    isolated, count = ndi.label(mask)
    bare = np.setdiff1d(np.arange(1, count + 1), isolated[markers > 0])
    markers = np.where(np.isin(isolated, bare), isolated + markers.max(), markers)
    pieces: Labels = relabel_sequential(watershed(-smooth, markers, mask=mask))[0]
    return pieces


def _pairs(pieces: Labels, reach: float) -> list[tuple[float, int, int]]:
    """Return neighbouring pieces with the gap between them in pixels, nearest first."""
    depth, (rows, columns) = ndi.distance_transform_edt(
        pieces == 0, return_indices=True
    )
    owner = pieces[rows, columns]
    gaps: dict[tuple[int, int], float] = {}
    for one, other in (
        (np.s_[1:], np.s_[:-1]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        gap = depth[one] + depth[other]
        meet = (owner[one] != owner[other]) & (gap <= reach)
        ends = np.sort(np.stack([owner[one][meet], owner[other][meet]]), axis=0)
        for low, high, width in zip(*ends, gap[meet], strict=True):
            key = int(low), int(high)
            gaps[key] = min(float(width), gaps.get(key, np.inf))
    return sorted((gap, low, high) for (low, high), gap in gaps.items())


def _join(pieces: Labels, diameter: float) -> Labels:
    """Join lobes that together make one nucleus of plausible area and extent."""
    if not pieces.any():
        return pieces
    disc = np.pi / 4 * diameter**2
    area = np.bincount(pieces.ravel()).astype(float)
    boxes = [(0, 0, 0, 0)] + [
        (r.start, c.start, r.stop, c.stop) for r, c in ndi.find_objects(pieces)
    ]
    parent = np.arange(len(area))
    shape = [False] + [_is_round(r) for r in regionprops(pieces)]
    for _, low, high in _pairs(pieces, MAX_GAP * diameter):
        one, other = parent[low], parent[high]
        if one == other:
            continue
        total = area[one] + area[other]
        a, b = boxes[one], boxes[other]
        box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
        extent = max(box[2] - box[0], box[3] - box[1])
        whole = min(area[one], area[other]) > WHOLE_AREA * disc
        if (
            (whole and shape[one] and shape[other])
            or total > MAX_AREA * disc
            or extent > MAX_EXTENT * diameter
        ):
            continue
        parent[parent == other] = one
        area[one], boxes[one] = total, box
        shape[one] = False
    joined: Labels = parent[pieces].astype(np.int32)
    return joined


def _is_round(region: Any) -> bool:
    return bool(
        region.axis_minor_length > ROUND[0] * region.axis_major_length
        and region.solidity > ROUND[1]
    )


def _drop_small(labels: Labels, diameter: float, edges: tuple[bool, ...]) -> Labels:
    """Remove what is too small for a nucleus, more leniently where the image ends."""
    disc = np.pi / 4 * diameter**2
    area = np.bincount(labels.ravel())
    at_border = np.zeros(len(area), np.bool_)
    sides = labels[0], labels[:, 0], labels[-1], labels[:, -1]
    for side, is_edge in zip(sides, edges, strict=True):
        at_border[side] |= is_edge
    keep = area >= disc * np.where(at_border, MIN_AREA_BORDER, MIN_AREA)
    keep[0] = False
    number = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return np.asarray(number[labels])


def _tiles(
    shape: tuple[int, int], side: int, margin: int
) -> Iterator[tuple[tuple[int, int, int, int], tuple[int, int, int, int]]]:
    """Yield the core of each tile and the window with its margin."""
    height, width = shape
    for top in range(0, height, side):
        for left in range(0, width, side):
            bottom, right = min(top + side, height), min(left + side, width)
            yield (
                (top, left, bottom, right),
                (
                    max(0, top - margin),
                    max(0, left - margin),
                    min(height, bottom + margin),
                    min(width, right + margin),
                ),
            )


def _edges(window: tuple[int, int, int, int], source: Readable) -> tuple[bool, ...]:
    """Say which sides of the window (top, left, bottom, right) end the image."""
    top, left, bottom, right = window
    return top == 0, left == 0, bottom == source.shape[0], right == source.shape[1]


def _keep_core(
    labels: Labels,
    found: Labels,
    core: tuple[int, int, int, int],
    window: tuple[int, int, int, int],
    count: int,
) -> int:
    """Write the objects centred in the core of a tile; return the new count."""
    for region in regionprops(found):
        y, x = region.centroid[0] + window[0], region.centroid[1] + window[1]
        if not (core[0] <= y < core[2] and core[1] <= x < core[3]):
            continue
        rows, columns = region.slice
        target = labels[
            window[0] + rows.start : window[0] + rows.stop,
            window[1] + columns.start : window[1] + columns.stop,
        ]
        free = region.image & (target == 0)
        if free.any():
            count += 1
            target[free] = count
    return count
