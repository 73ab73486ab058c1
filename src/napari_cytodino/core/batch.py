"""Many images, one set of result files each; one fault does not stop the rest."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cytodino.core.cells import cells_from_labels, cells_from_points
from napari_cytodino.core.differential import differential
from napari_cytodino.core.errors import InputError
from napari_cytodino.core.export import Polygon, export, notes_path, outlines
from napari_cytodino.core.files import whole_file
from napari_cytodino.core.finding import find_cells
from napari_cytodino.core.images import IMAGE_SUFFIXES, read_image
from napari_cytodino.core.inference import Classifier, Job, classify
from napari_cytodino.core.overlay import write_overlay
from napari_cytodino.core.table import BOX_COLUMNS
from napari_cytodino.core.tiff_files import read_tiff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_cytodino.core.images import ImageSource

OVERLAY = ".overlay.png"
"""Appended to the stem of an image for the picture of its result."""

FOUND = ".labels.tif"
"""Appended to the stem of an image for the cells that were found in it."""

FORMATS = ("csv", "xlsx", "parquet", "geojson", "h5ad")
"""What `process_image` can write the cell table as."""

CROPS = "cells"
"""Stem of the result of many single-cell images."""

_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class ImageTask:
    """One image to classify, and where its cells come from.

    Attributes
    ----------
    labels, points
        A label image, or a CSV with columns `y` and `x` in pixels; cells are found when
        both are None.
    """

    image: Path
    labels: Path | None = None
    points: Path | None = None


def list_images(paths: Sequence[Path], out: Path | None = None) -> list[Path]:
    """Return the image files among these paths, each once.

    Folders are searched to their depths. A path that does not exist and has ``*``,
    ``?`` or ``[`` in it is a pattern, ``**`` for any folders, as for shells that expand
    none.

    Parameters
    ----------
    out
        Folder of the results: the pictures and label images that we wrote there are
        no images to classify. One named itself, not found by search, is taken all the
        same.

    Raises
    ------
    InputError
        When a path is missing or nothing is found.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += _search(path, out)
        elif path.exists():
            found.append(path)
        elif _MAGIC & set(str(path)):
            for match in _matches(path):
                if match.is_dir():
                    found += _search(match, out)
                elif _is_input(match, out):
                    found.append(match)
        else:
            raise InputError(f"There is no image or folder {path}; check the path.")
    if not found:
        raise InputError(
            f"No image found in {', '.join(map(str, paths))}; "
            f"{', '.join(IMAGE_SUFFIXES)} are read."
        )
    once: dict[Path, Path] = {}
    for path in found:
        once.setdefault(path.resolve(), path)
    return list(once.values())


def _matches(pattern: Path) -> list[Path]:
    inside = pattern.relative_to(pattern.anchor)
    return sorted(Path(pattern.anchor).glob(str(inside)))


def _search(folder: Path, out: Path | None) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if _is_input(path, out))


def _is_input(path: Path, out: Path | None) -> bool:
    ours = (
        out is not None
        and path.name.endswith((OVERLAY, FOUND))
        and path.parent.resolve() == out.resolve()
    )
    return (
        path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
        and not ours
    )


def pair_images(
    images: Sequence[Path], labels: Sequence[Path], points: Path | None = None
) -> list[ImageTask]:
    """Return a task for each image, with its label image where there are some.

    Raises
    ------
    InputError
        When there are label images, but not one for each image.
    """
    if labels and len(labels) != len(images):
        raise InputError(
            f"{len(labels)} label images for {len(images)} images; give one each."
        )
    pairs: Sequence[Path | None] = labels or [None] * len(images)
    return [
        ImageTask(image, label, points)
        for image, label in zip(images, pairs, strict=True)
    ]


def shard(tasks: Sequence[ImageTask], part: str) -> list[ImageTask]:
    """Return part ``i/n`` (from 1) of the tasks, the same for any order of them.

    Images that share a stem are in the same part, so that `stems` names them as if all
    were together.

    Raises
    ------
    InputError
        When `part` is not of this form.
    """
    number, slash, count = part.partition("/")
    whole = number.isdecimal() and count.isdecimal() and slash == "/"
    if not whole or not 1 <= int(number) <= int(count):
        raise InputError(f"'{part}' names no shard; write i/n with 1 <= i <= n.")
    return [
        task
        for task in tasks
        if int(_hash(_stem(task.image)), 16) % int(count) == int(number) - 1
    ]


def stems(images: Sequence[Path]) -> dict[Path, str]:
    """Return a name for the results of each image, no two alike in any case."""
    seen = Counter(_stem(image) for image in images)
    return {
        image: image.stem
        if seen[_stem(image)] == 1
        else f"{image.stem}-{_hash(str(image))[:8]}"
        for image in images
    }


def _stem(image: Path) -> str:
    # macOS and Windows take "A.csv" and "a.csv" for one file
    return image.stem.casefold()


def _hash(text: str) -> str:
    # a file name may hold bytes that are no valid text
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def process_image(
    task: ImageTask,
    classifier: Classifier,
    out: Path,
    *,
    stem: str,
    job: Job,
    formats: Sequence[str] = ("csv",),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Classify one image and write table, differential and overlay picture.

    Nothing is written unless all of it can be computed.

    Returns
    -------
    DataFrame
        The cell table, empty when the image holds no cell; ``attrs["files"]`` names the
        files written.
    """
    source = read_image(task.image)
    labels = None
    if task.points is not None:
        field = job.field_of_view or classifier.checkpoint.preprocessing.field_of_view
        points = read_points(task.points, task.image)
        cells = cells_from_points(points, source.shape, diameter=field / 2)
    else:
        labels = (
            read_labels(task.labels, source.shape)
            if task.labels is not None
            else find_cells(source)
        )
        if not labels.any() and task.labels is None:
            return pd.DataFrame()
        cells = cells_from_labels(labels)
    table = classify(
        source,
        cells,
        classifier.checkpoint,
        job=job,
        name=task.image.name,
        classifier=classifier,
        progress=progress,
    )
    found_by = str(task.labels or task.points or "find_cells")
    table.attrs["provenance"]["settings"]["cells"] = found_by
    polygons = {} if labels is None else outlines(labels, cells)
    names = f"{stem}.cells", f"{stem}.differential"
    written = _write_tables(table, out, names, formats, polygons)
    boxes = table[list(BOX_COLUMNS)].to_numpy(float)
    write_overlay(out / f"{stem}{OVERLAY}", source, table, boxes)
    table.attrs["files"] = [*written, f"{stem}{OVERLAY}"]
    return table


def _write_tables(
    table: pd.DataFrame,
    out: Path,
    names: tuple[str, str],
    formats: Sequence[str],
    polygons: Mapping[int, Polygon] | None = None,
) -> list[str]:
    """Write the cells in each format, and the differential; return all file names.

    Parameters
    ----------
    names
        Of the cells and of the differential, without suffix.
    """
    written = []
    for suffix in formats:
        path = export(table, out / f"{names[0]}.{suffix}", polygons=polygons)
        written.append(path.name)
        if suffix == "csv":
            written.append(notes_path(path).name)
    written.append(f"{names[1]}.csv")
    write_differential(table, out / written[-1])
    return written


def write_differential(table: pd.DataFrame, path: Path) -> None:
    """Write the differential of a table, with image, checkpoint and notice columns."""
    counts = differential(table)
    notes = table.attrs.get("provenance", {})
    counts["image"] = notes.get("image", "")
    counts["checkpoint"] = table["checkpoint"].iloc[0] if len(table) else ""
    counts["created"] = notes.get("created", "")
    counts["notice"] = notes.get("notice", "")
    with whole_file(path) as temporary:
        counts.to_csv(temporary, index=False, lineterminator="\n")


def read_labels(path: Path, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Read a label image: TIFF or PNG of whole numbers, or .npy.

    Raises
    ------
    InputError
        When it is missing, damaged, of another shape, or not of whole numbers.
    """
    if not path.is_file():
        raise InputError(f"There is no label image {path}; check the path.")
    try:
        labels = _label_pixels(path)
    except MemoryError:
        raise
    except Exception as error:  # each decoder has errors of its own
        raise InputError(f"{path} cannot be read as labels ({error}).") from error
    if labels.shape != shape or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path.name} has shape {labels.shape} and type {labels.dtype}, but the "
            f"image has {shape}; give whole-number labels of that shape."
        )
    return np.array(labels)


def _label_pixels(path: Path) -> np.ndarray[Any, Any]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        # mapped, as reading takes the memory that a damaged header asks for
        mapped: np.ndarray[Any, Any] = np.lib.format.open_memmap(path, mode="r")
        return mapped
    if suffix in (".tif", ".tiff"):
        return read_tiff(path)
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture)


def read_points(path: Path, image: Path) -> np.ndarray[Any, Any]:
    """Read the points of an image from a CSV, shape (N, 2): y, x in pixels.

    With a column `image`, only the rows that name this image count. Empty rows are
    skipped.

    Raises
    ------
    InputError
        When it is no such CSV, or a y or x is no finite number.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a CSV ({error}).") from error
    if not {"y", "x"} <= set(table.columns):
        raise InputError(
            f"{path.name} has columns {', '.join(table.columns)}; y and x are needed."
        )
    if not isinstance(table.index, pd.RangeIndex):
        # pandas takes the first one for names of the rows and shifts the others
        raise InputError(
            f"{path.name} has more values in a line than its header names."
        )
    table = table.dropna(how="all")
    if "image" in table:
        table = table[table["image"].astype(str).isin([image.name, str(image)])]
    points = table[["y", "x"]].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    bad = table.index[~np.isfinite(points).all(axis=1)]
    if len(bad):
        others = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise InputError(
            f"{path.name} has no finite number as y or x in line "
            f"{_line(path, bad[0])}{others}; correct or delete it."
        )
    return np.asarray(points)


def _line(path: Path, row: int) -> int:
    """Return the line of a row in a file, from 1; pandas counts no blank lines."""
    lines = path.read_text("utf-8", errors="replace").splitlines()
    filled = [number for number, line in enumerate(lines, 1) if line.strip()]
    return filled[row + 1] if row + 1 < len(filled) else row + 2


class CropFolder:
    """Single-cell image files, read as needed; unreadable ones become rejected rows."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        self.count = len(self.files)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the first file, in pixels."""
        return self.source(0).shape

    def source(self, row: int) -> ImageSource:
        """Read one file."""
        return read_image(self.files[row])


def process_crops(
    files: Sequence[Path],
    classifier: Classifier,
    out: Path,
    *,
    job: Job,
    folders: Sequence[Path] = (),
    formats: Sequence[str] = ("csv",),
    stem: str = CROPS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Classify single-cell images and write one table for all, and its differential.

    The column `image` holds the path relative to the one of `folders` it lies in.

    Parameters
    ----------
    stem
        Of the table, and, where it is another than `CROPS`, of the differential.
    """
    table = classify(
        CropFolder(files),
        None,
        classifier.checkpoint,
        job=job,
        name=", ".join(str(f) for f in folders or files),
        classifier=classifier,
        progress=progress,
    )
    table["image"] = [relative(file, folders) for file in files]
    names = stem, "differential" if stem == CROPS else f"{stem}.differential"
    table.attrs["files"] = _write_tables(table, out, names, formats)
    return table


def relative(file: Path, folders: Sequence[Path]) -> str:
    """Return a file's path within the folder that holds it, else its name."""
    for folder in folders:
        if file.is_relative_to(folder) and file != folder:
            return file.relative_to(folder).as_posix()
    return file.name
