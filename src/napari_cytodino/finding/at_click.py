"""The cell under a click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_cytodino.common import InputError
from napari_cytodino.finding._readable import as_source
from napari_cytodino.finding.find import find_cells
from napari_cytodino.finding.sizes import checked_diameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.finding._readable import Readable

AROUND = 2.5
"""Half the window that is read around a click, in cell diameters."""

EAGER = 0.9
"""Sensitivity around a click: somebody says that there is a cell."""


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
        False where no cell was found and the mask is a plain disc.
    """

    mask: NDArray[np.bool_]
    bbox: tuple[int, int, int, int]
    segmented: bool


def cell_at(
    image: NDArray[np.uint8] | Readable, y: float, x: float, diameter: float
) -> FoundCell:
    """Cut out the cell under a click; a disc where none is found.

    Parameters
    ----------
    image : (H, W, 3) uint8 array, or an object with ``shape`` and ``read``
        Bright-field RGB picture; only the surroundings of the click are read.
    y, x : float
        Click position in pixels.
    diameter : float
        Of a typical nucleated cell, in pixels.

    Returns
    -------
    FoundCell
        The cell under or nearest to the click (within a third of a diameter), or a
        disc of the given diameter around it.

    Raises
    ------
    InputError
        If the click lies outside the image, or as `find_cells`.
    """
    source = as_source(image)
    size = checked_diameter(diameter)
    height, width = source.shape
    if not (0 <= y < height and 0 <= x < width):
        raise InputError(
            f"the click at y={y}, x={x} lies outside the image of {height} x {width} "
            "pixels; click inside the image"
        )
    around = AROUND * size
    top, left = max(0, int(y - around)), max(0, int(x - around))
    bottom = min(height, int(y + around) + 1)
    right = min(width, int(x + around) + 1)
    window = source.read(top, left, bottom, right)
    labels = find_cells(window, diameter=size, sensitivity=EAGER)
    distance, nearest = ndi.distance_transform_edt(labels == 0, return_indices=True)
    at = int(y) - top, int(x) - left
    segmented = bool(labels.any() and distance[at] <= size / 3)
    if segmented:
        mask = labels == labels[nearest[0][at], nearest[1][at]]
    else:
        rows, columns = np.ogrid[: labels.shape[0], : labels.shape[1]]
        mask = (rows - at[0]) ** 2 + (columns - at[1]) ** 2 <= (size / 2) ** 2
    rows, columns = ndi.find_objects(mask.astype(np.uint8))[0]
    box = (top + rows.start, left + columns.start, top + rows.stop, left + columns.stop)
    return FoundCell(mask[rows, columns], box, segmented)
