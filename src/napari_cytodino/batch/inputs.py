"""What a batch reads: images, label images, points and folders of crops."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cytodino.common import InputError
from napari_cytodino.images import IMAGE_SUFFIXES, read_image, read_tiff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_cytodino.images import ImageSource


OVERLAY_SUFFIX = ".overlay.png"
"""Appended to the stem of an image for the picture of its result."""

LABELS_SUFFIX = ".labels.tif"
"""Appended to the stem of an image for the cells that were found in it."""

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
        and path.name.endswith((OVERLAY_SUFFIX, LABELS_SUFFIX))
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

    Images that share a stem are in the same part, so that `result_names` names them as
    if all were together.

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


def result_names(images: Sequence[Path]) -> dict[Path, str]:
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

    def source(self, row: int) -> ImageSource:
        """Read one file."""
        return read_image(self.files[row])


def relative(file: Path, folders: Sequence[Path]) -> str:
    """Return a file's path within the folder that holds it, else its name."""
    for folder in folders:
        if file.is_relative_to(folder) and file != folder:
            return file.relative_to(folder).as_posix()
    return file.name
