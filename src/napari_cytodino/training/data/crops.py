"""Cell images on disk -> crops: one at a time, or packed once and memory-mapped."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_cytodino.cells import Cells, iter_crops
from napari_cytodino.common import InputError, atomic_write, in_threads, no_progress
from napari_cytodino.images import ImageSource, read_image
from napari_cytodino.synthetic import synthetic_crops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy


@dataclass(frozen=True)
class CellFile:
    """One labelled cell of a data folder.

    Attributes
    ----------
    path : str
        Of its image, relative to the data folder, with forward slashes.
    code : str
        The class given by the data set.
    group : str
        Patient, slide or the like: cells of one group stay in one part of a split;
        empty where unknown.
    dataset : str
        The laboratory; empty where it is the first part of the path.
    place : tuple of float, optional
        Centre y, x in pixels of a cell in a whole image; None for an image of one cell.
    """

    path: str
    code: str
    group: str = ""
    dataset: str = ""
    place: tuple[float, float] | None = None

    @property
    def source(self) -> str:
        """The data set, which is the laboratory."""
        return self.dataset or self.path.split("/", 1)[0]

    @property
    def key(self) -> str:
        """The name of the cell in a split: its path, and its place if it has one."""
        if self.place is None:
            return self.path
        return f"{self.path}#{self.place[0]:.1f},{self.place[1]:.1f}"


@dataclass(frozen=True)
class CellSet:
    """The cells of one part; their crops are read when asked for.

    Attributes
    ----------
    files : tuple of CellFile
        Where each crop comes from.
    targets : NDArray[np.int64]
        (N,) class index in the taxonomy.
    field : int
        Side of a crop in image pixels.
    folder : Path, optional
        The data folder.
    pixels : NDArray[np.uint8], optional
        (N, S, S, 3) crops that are decoded already; read-only where they are mapped
        from a file.
    """

    files: tuple[CellFile, ...]
    targets: NDArray[np.int64]
    field: int
    folder: Path | None = None
    pixels: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: NDArray[np.int64]) -> CellSet:
        """Return some of the cells, in the order of ``rows``."""
        files = tuple(self.files[i] for i in rows)
        pixels = None if self.pixels is None else self.pixels[rows]
        return CellSet(files, self.targets[rows], self.field, self.folder, pixels)

    @cached_property
    def sources(self) -> NDArray[np.str_]:
        """(N,) the data set of each cell."""
        return np.array([file.source for file in self.files], np.str_)

    @property
    def paths(self) -> tuple[str, ...]:
        """The name of each cell in a split."""
        return tuple(file.key for file in self.files)

    @property
    def groups(self) -> NDArray[np.str_] | None:
        """(N,) patient or slide of each cell, None unless all of them have one."""
        names = [file.group for file in self.files]
        return np.array(names, np.str_) if all(names) else None

    def crop(self, index: int) -> NDArray[np.uint8]:
        """Return one crop, (S, S, 3), as inference would cut it."""
        if self.pixels is not None:
            crop: NDArray[np.uint8] = self.pixels[index]
            return crop
        if self.folder is None:
            raise InputError(f"{self.files[index].path} has no folder: add --data DIR.")
        return read_crop(self.files[index], self.folder, self.field)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the crops of some rows, (n, S, S, 3), as an array of their own."""
        if self.pixels is not None:
            return np.ascontiguousarray(self.pixels[rows])
        return np.stack(list(in_threads(self.crop, rows.tolist())))


def cell_set(
    files: Sequence[CellFile],
    taxonomy: Taxonomy,
    field: int,
    *,
    folder: Path | None = None,
    pixels: NDArray[np.uint8] | None = None,
) -> CellSet:
    """Gather cells of one part, with the class index of each."""
    targets = np.array([taxonomy.index(file.code) for file in files], np.int64)
    return CellSet(tuple(files), targets, field, folder, pixels)


def drawn_cells(
    taxonomy: Taxonomy, each: int, field: int, *, seed: int, place: str
) -> CellSet:
    """Draw synthetic cells, ``each`` of every class, as if they lay in a folder."""
    pixels, codes = synthetic_crops(taxonomy.codes, each, size=field, seed=seed)
    files = [CellFile(f"synthetic/{place}/{i}", code) for i, code in enumerate(codes)]
    return cell_set(files, taxonomy, field, pixels=pixels)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV as text; missing values are empty.

    Raises
    ------
    InputError
        When it cannot be read as a CSV in UTF-8.
    """
    try:
        # Excel writes a byte order mark
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [
                {name: value or "" for name, value in row.items() if name}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as a table ({error}): save it as a CSV in UTF-8."
        ) from error


def read_index(data: Path) -> list[CellFile]:
    """Read ``cells.csv`` of a data folder: dataset, path, code, background_group."""
    index = data / "cells.csv"
    if not index.is_file():
        raise InputError(
            f"No cells.csv in {data}: give the folder that holds the labelled cells."
        )
    rows = read_rows(index)
    wanted = ("dataset", "path", "code")
    lacking = [name for name in wanted if rows and name not in rows[0]]
    if lacking:
        raise InputError(f"{index} has no column '{lacking[0]}': add it.")
    return [
        CellFile(
            f"{row['dataset']}/{row['path']}",
            row["code"],
            row.get("background_group", ""),
        )
        for row in rows
    ]


def _fits(path: Path, shape: tuple[int, int], field: int) -> None:
    height, width = shape
    if width < field or height < field:
        raise InputError(
            f"{path} is {width} x {height} px but the recipe needs {field}: "
            "give larger crops or a smaller field."
        )


def decode(path: Path, field: int, side: int) -> NDArray[np.uint8]:
    """Read the central ``field`` pixels of an image, resized to ``side``."""
    source = read_image(path)
    height, width = source.shape
    _fits(path, source.shape, field)
    left, top = (width - field) / 2, (height - field) / 2
    image = Image.fromarray(source.read(0, 0, height, width))
    box = (left, top, left + field, top + field)
    return _resized(image, side, box)


def _resized(
    image: Image.Image, side: int, box: tuple[float, float, float, float] | None = None
) -> NDArray[np.uint8]:
    small = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    return np.asarray(small, dtype=np.uint8)


@lru_cache(maxsize=4)
def _whole_image(path: Path, _modified: int) -> ImageSource:
    """Keep the last whole images: their cells are read one after the other."""
    return read_image(path)


def read_crop(cell: CellFile, root: Path, field: int) -> NDArray[np.uint8]:
    """Read one crop as inference would cut it, by `core.crops`.

    Parameters
    ----------
    cell : CellFile
        Its middle is taken, or the square about its place, reflected beyond the image.
    root : Path
        The data folder.
    field : int
        Side S of the square in image pixels.

    Returns
    -------
    NDArray[np.uint8]
        (S, S, 3) RGB.

    Raises
    ------
    InputError
        When the image cannot be read, is smaller than the field, or does not reach to
        the cell's place.
    """
    path = root / cell.path
    if cell.place is None:
        source = read_image(path)
        _fits(path, source.shape, field)
        top, left = ((n - field + 1) // 2 for n in source.shape)
        return source.read(top, left, top + field, left + field)
    modified = path.stat().st_mtime_ns if path.is_file() else 0
    source, (y, x) = _whole_image(path, modified), cell.place
    height, width = source.shape
    if not (-0.5 <= y < height and -0.5 <= x < width):
        raise InputError(
            f"The cell at {y}, {x} lies outside {path} of {height} x {width} px: give "
            "the image that the table was made from."
        )
    one = Cells(
        np.array([1], np.int64),
        np.array([[y, x]], np.float64),
        np.array([[0, 0, height, width]], np.int64),
        np.ones(1),
        np.zeros(1, bool),
    )
    crop = next(iter_crops(source, one, field, 1))
    if not crop.readable[0]:
        raise InputError(f"{path} cannot be read at {y}, {x}: repair or remove it.")
    return crop.pixels[0]


def _packed(cell: CellFile, root: Path, field: int, side: int) -> NDArray[np.uint8]:
    if cell.place is None:
        return decode(root / cell.path, field, side)
    crop = read_crop(cell, root, field)
    return crop if side == field else _resized(Image.fromarray(crop), side)


def pack(
    data: Path,
    files: Sequence[CellFile],
    taxonomy: Taxonomy,
    *,
    field: int,
    side: int,
    cache: Path | None = None,
    progress: Callable[[int, int], None] = no_progress,
) -> CellSet:
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
    progress : callable
        Called with the number of crops done and of all.

    Raises
    ------
    InputError
        When a file cannot be read, a class is not in the taxonomy, or the disk is full;
        no part of an array is left in ``cache`` then.
    """
    cells = cell_set(files, taxonomy, field, folder=data)
    crops = in_threads(lambda f: _packed(f, data, field, side), files, progress)
    shape = (len(files), side, side, 3)
    if cache is None:
        pixels = np.empty(shape, np.uint8)
        for i, crop in enumerate(crops):
            pixels[i] = crop
    else:
        key = hashlib.sha256(repr((field, side, [f.key for f in files])).encode())
        pixels = _stored(cache / f"crops-{key.hexdigest()[:16]}.npy", shape, crops)
    return replace(cells, pixels=pixels)


def _stored(
    path: Path, shape: tuple[int, ...], crops: Iterable[NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Map the array in a file, written first where it is not there."""
    if not path.is_file():
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        # Written crop by crop: a mapped file on a full disk kills the process (SIGBUS),
        # a write raises an error that can be reported.
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for crop in crops:
                file.write(crop.tobytes())
    try:
        pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): remove it to have it written anew."
        ) from error
    return pixels
