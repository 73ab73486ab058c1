"""Cell images on disk -> one packed array, decoded once and memory-mapped after."""

from __future__ import annotations

import csv
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_cytodino.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.core.taxonomy import Taxonomy


@dataclass(frozen=True)
class CellFile:
    """One labelled image of a data folder.

    Attributes
    ----------
    path : str
        Relative to the data folder; its first part is the source.
    code : str
        The class given by the data set.
    group : str
        Cells of one group stay in one part of a split; empty where unknown.
    """

    path: str
    code: str
    group: str = ""

    @property
    def source(self) -> str:
        """The data set, which is the laboratory."""
        return self.path.split("/", 1)[0]


@dataclass(frozen=True)
class CropSet:
    """Decoded crops with their classes.

    Attributes
    ----------
    pixels : NDArray[np.uint8]
        (N, S, S, 3) RGB.
    targets : NDArray[np.int64]
        (N,) class index in the taxonomy.
    sources : NDArray[np.str_]
        (N,) data set of each crop.
    paths : tuple of str
        Where each crop came from.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]
    sources: NDArray[np.str_]
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: NDArray[np.int64]) -> CropSet:
        """Return the crops of some rows, in that order."""
        return CropSet(
            self.pixels[rows],
            self.targets[rows],
            self.sources[rows],
            tuple(self.paths[i] for i in rows),
        )


def read_index(data: Path) -> list[CellFile]:
    """Read ``cells.csv`` of a data folder: dataset, path, code, background_group."""
    index = data / "cells.csv"
    if not index.is_file():
        raise InputError(
            f"No cells.csv in {data}: give the folder that holds the labelled cells."
        )
    with index.open(newline="", encoding="utf-8") as file:
        return [
            CellFile(
                f"{row['dataset']}/{row['path']}", row["code"], row["background_group"]
            )
            for row in csv.DictReader(file)
        ]


def decode(path: Path, field: int, side: int) -> NDArray[np.uint8]:
    """Read the central ``field`` pixels of an image, resized to ``side``."""
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read as an image ({error}): restore or remove it."
        ) from error
    width, height = image.size
    left, top = (width - field) / 2, (height - field) / 2
    if left < 0 or top < 0:
        raise InputError(
            f"{path} is {width} x {height} px but the recipe needs {field}: "
            "give larger crops or a smaller field."
        )
    box = (left, top, left + field, top + field)
    small = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    return np.asarray(small, dtype=np.uint8)


def pack(
    data: Path,
    files: Sequence[CellFile],
    taxonomy: Taxonomy,
    *,
    field: int,
    side: int,
    cache: Path | None = None,
) -> CropSet:
    """Decode every file, or map the array an earlier call left in ``cache``.

    Parameters
    ----------
    data : Path
        Folder the files' paths are relative to.
    files : sequence of CellFile
        What to decode.
    taxonomy : Taxonomy
        Gives the class index of each code.
    field : int
        Side of the central square in image pixels.
    side : int
        Side it is resized to.
    cache : Path, optional
        Folder for the packed array; nothing is kept without one.
    """
    key = hashlib.sha256(repr((field, side, [f.path for f in files])).encode())
    stored = cache / f"crops-{key.hexdigest()[:16]}.npy" if cache else None
    if stored is not None and stored.is_file():
        pixels: NDArray[np.uint8] = np.load(stored, mmap_mode="r")
    else:
        pixels = np.empty((len(files), side, side, 3), np.uint8)
        with ThreadPoolExecutor(4) as pool:
            decoded = pool.map(lambda f: decode(data / f.path, field, side), files)
            for i, crop in enumerate(decoded):
                pixels[i] = crop
        if stored is not None:
            stored.parent.mkdir(parents=True, exist_ok=True)
            part = stored.with_suffix(".part.npy")
            np.save(part, pixels)
            part.replace(stored)
    return CropSet(
        pixels,
        np.array([taxonomy.index(f.code) for f in files], np.int64),
        np.array([f.source for f in files], np.str_),
        tuple(f.path for f in files),
    )
