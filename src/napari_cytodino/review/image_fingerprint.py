"""A short name for the pixels of an image, cheap on a slide of any size."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.cells import CropStack

if TYPE_CHECKING:
    from hashlib import _Hash

    from napari_cytodino.images import ImageSource


TILE = 64
"""Side of a tile that is read, in pixels."""

TILES = 8
"""At most so many tiles along each side of an image: all of one up to 512 pixels."""

CROPS = 64
"""At most so many crops of a stack are read."""

_UNREADABLE = b"unreadable"


def fingerprint_pixels(source: ImageSource | CropStack) -> str:
    """Return the same name for the same pixels, whatever the file is called.

    Shape, and tiles spread evenly from corner to corner, go into a SHA-256; of a stack
    of crops, crops spread evenly. An image that differs between the tiles alone has
    the same name, which a slide rescanned never does.

    Parameters
    ----------
    source
        Of an image with time or z, that of the first plane: each plane has its own.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    if isinstance(source, CropStack):
        digest.update(f"crops {source.count}".encode())
        for row in _spread(source.count, 1, CROPS):
            _add(digest, source.source(row))
    else:
        _add(digest, source)
    return digest.hexdigest()


def _add(digest: _Hash, source: ImageSource) -> None:
    height, width = source.shape
    digest.update(f"image {height} {width} {source.colour}".encode())
    for top in _spread(height, TILE, TILES):
        for left in _spread(width, TILE, TILES):
            window = (top, left, min(top + TILE, height), min(left + TILE, width))
            try:
                digest.update(source.read(*window).tobytes())
            except MemoryError:
                raise
            except Exception:
                # Whatever a decoder raises: a broken tile spoils its own cells only.
                digest.update(_UNREADABLE)


def _spread(length: int, size: int, most: int) -> list[int]:
    """Return where windows of a size begin, the first and last at the ends."""
    count = min(most, -(-length // size))
    ends = np.linspace(0, max(length - size, 0), count)
    return [int(start) for start in ends.round()]
