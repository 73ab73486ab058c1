"""The cells of one image file, found and written as a label image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tifffile

from napari_cytodino.common import atomic_write
from napari_cytodino.finding import Search, in_file, search
from napari_cytodino.images import read_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_found(
    image: Path,
    out: Path,
    *,
    pixel_size: float | None = None,
    cell_size: float | None = None,
    sensitivity: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Search:
    """Find the cells of an image and write their labels, whole or not at all.

    Parameters
    ----------
    image, out : Path
        The picture, and the TIFF file of its labels.
    pixel_size : float, optional
        In micrometres; without it and a cell size that of the file, if it has one.
    cell_size : float, optional
        Diameter of a typical nucleated cell in pixels.
    sensitivity : float
        0 to 1, as for `find_cells`.
    progress : callable
        Called with the number of tiles done and of all.

    Raises
    ------
    InputError
        As `read_image` and `find_cells`.
    """
    source = read_image(image)
    steps = search(
        source,
        diameter=cell_size,
        pixel_size=pixel_size or (None if cell_size else in_file(source)),
        sensitivity=sensitivity,
    )
    for step in steps:
        progress(step.done, step.total)
    with atomic_write(out) as path:
        tifffile.imwrite(path, step.labels, compression="zlib")
    return step
