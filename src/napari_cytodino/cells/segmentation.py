"""Find stained nucleated cells in Romanowsky or Pappenheim pictures, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi
from skimage.measure import regionprops

from napari_cytodino.cells._nuclei import close_gaps, drop_small, join_lobes, split
from napari_cytodino.cells.staining import (
    Readable,
    StainModel,
    estimate_stain,
    nuclei_in,
    stain_of,
)
from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_cytodino.cells._nuclei import Labels, Mask


WORKING_DIAMETER = 64
"""Cell diameter in pixels at which objects are split and joined."""

TILE = 1024
"""Side of a tile at the working scale, in pixels."""


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
    setting = estimate_stain(source, _checked_diameter(diameter))
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
    setting = estimate_stain(source, _checked_diameter(diameter))
    if setting is None:
        return np.zeros(source.shape, np.bool_)
    stain = stain_of(source.read(0, 0, *source.shape), setting.background)
    return nuclei_in(stain, setting.threshold, setting.diameter)


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


def _find_in(
    rgb: NDArray[np.uint8], setting: StainModel, step: int, edges: tuple[bool, ...]
) -> Labels:
    """Label the cells of one window at the working scale and scale back."""
    small = rgb[: len(rgb) // step * step, : rgb.shape[1] // step * step]
    if step > 1:
        shape = (len(small) // step, step, small.shape[1] // step, step, 3)
        small = small.reshape(shape).mean((1, 3)).astype(np.uint8)
    diameter = setting.diameter / step
    mask = nuclei_in(stain_of(small, setting.background), setting.threshold, diameter)
    mask = close_gaps(
        ndi.binary_opening(mask, iterations=max(1, round(diameter / 40))), 0
    )
    labels = join_lobes(split(mask, diameter), diameter)
    labels = drop_small(labels, diameter, edges)
    if step > 1:
        labels = labels.repeat(step, 0).repeat(step, 1)
        short = [(0, a - b) for a, b in zip(rgb.shape[:2], labels.shape, strict=True)]
        labels = np.pad(labels, short, mode="edge")
    return labels


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
