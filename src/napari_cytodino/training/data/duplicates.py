"""Images with equal bytes or equal difference hash are one cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_cytodino.common import sha256
from napari_cytodino.images import read_image

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class ImageHashes:
    """What equal or nearly equal images share.

    Attributes
    ----------
    sha256 : str
        Of the file's bytes, 64 hexadecimal digits.
    looks : str
        Difference hash of the decoded image, 16 hexadecimal digits.
    """

    sha256: str
    looks: str


def difference_hash(image: Image.Image) -> str:
    """Return a 64-bit hash that near-identical images share.

    Each bit says whether a pixel of the image at 9 x 8 is brighter than its left
    neighbour. Source: N. Krawetz, "Kind of Like That", 2013 (dHash).
    """
    grey = image.convert("L").resize((9, 8), Image.Resampling.BILINEAR)
    pixels = np.asarray(grey, dtype=np.int16)
    bits = (pixels[:, 1:] > pixels[:, :-1]).ravel()
    return np.packbits(bits).tobytes().hex()


def image_hashes(path: Path) -> ImageHashes:
    """Decode the whole of an image and return its fingerprint.

    Raises
    ------
    InputError
        When the image cannot be read.
    """
    source = read_image(path)
    pixels = source.read(0, 0, *source.shape)
    return ImageHashes(sha256(path), difference_hash(Image.fromarray(pixels)))


def joined(keys: Sequence[Iterable[Hashable]]) -> list[int]:
    """Give the items that have a key in common the same number.

    Sharing is passed on: where A shares a key with B and B another with C, all three
    have one number. Numbers are indices of first members.
    """
    parent = list(range(len(keys)))
    first: dict[Hashable, int] = {}
    for i, own in enumerate(keys):
        for key in own:
            a, b = _root(parent, i), _root(parent, first.setdefault(key, i))
            parent[max(a, b)] = min(a, b)
    return [_root(parent, i) for i in range(len(keys))]


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i
