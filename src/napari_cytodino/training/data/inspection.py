"""Every image is decoded before training: unreadable ones are listed, never black."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cytodino.common import InputError, in_threads, no_progress
from napari_cytodino.training.data.duplicates import ImageHashes, image_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from napari_cytodino.training.data.crops import CellFile


UNREADABLE_LIMIT = 0.001
"""The largest share of unreadable images with which a run goes on."""


@dataclass(frozen=True)
class Unreadable:
    """An image that was left out: its path in the data folder, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class Inspection:
    """What the images of a data folder turned out to be.

    Attributes
    ----------
    files : tuple of CellFile
        The cells whose image can be read, in the order given.
    prints : mapping of str to Fingerprint
        By path: what equal or nearly equal images share.
    unreadable : tuple of Unreadable
        The images that were left out.
    """

    files: tuple[CellFile, ...]
    prints: Mapping[str, ImageHashes]
    unreadable: tuple[Unreadable, ...]


def inspect_files(
    root: Path,
    files: Sequence[CellFile],
    *,
    limit: float = UNREADABLE_LIMIT,
    progress: Callable[[int, int], None] = no_progress,
) -> Inspection:
    """Decode every image to its last pixel.

    The published code turned an unreadable image into a black one that kept its class
    (domain reference, 1.1 number 10); here it is listed and left out.

    Parameters
    ----------
    root : Path
        The data folder.
    files : sequence of CellFile
        An image of several cells is read once.
    limit : float
        Share of the images that may be left out.
    progress : callable
        Called with the number of images done and of all.

    Raises
    ------
    InputError
        When more than `limit` of the images cannot be read.
    """
    paths = list(dict.fromkeys(f.path for f in files))
    found = in_threads(lambda path: _look(root, path), paths, progress)
    seen = dict(zip(paths, found, strict=True))
    prints = {p: v for p, v in seen.items() if isinstance(v, ImageHashes)}
    lost = tuple(v for v in seen.values() if isinstance(v, Unreadable))
    if len(lost) > limit * len(paths):
        raise InputError(
            f"{len(lost)} of {len(paths)} images cannot be read, the first is "
            f"{lost[0].path} ({lost[0].why}): restore or remove them, at most "
            f"{limit:.1%} may be left out."
        )
    return Inspection(tuple(f for f in files if f.path in prints), prints, lost)


def _look(root: Path, path: str) -> ImageHashes | Unreadable:
    try:
        return image_hashes(root / path)
    except Exception as error:
        # A damaged file makes decoders raise nearly anything. An interrupt is no
        # Exception, so it still ends the run.
        return Unreadable(path, str(error).rstrip("."))
