"""Taught cells on disk: class folders, tables, reviewed exports, records of cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.batch import CropFolder
from napari_cytodino.cells import (
    CropBatch,
    cells_from_points,
    iter_crops,
    iter_series,
)
from napari_cytodino.common import InputError
from napari_cytodino.images import IMAGE_SUFFIXES, read_image
from napari_cytodino.review import (
    SUFFIX,
    ReviewLog,
    fingerprint_pixels,
    image_of,
)
from napari_cytodino.taxonomy import NOT_A_CELL
from napari_cytodino.training.data import CellFile, data_root, read_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import CellClass, Taxonomy


@dataclass(frozen=True)
class TaughtCells:
    """Cells with their classes, and the folder that their paths are relative to.

    Attributes
    ----------
    files : tuple of CellFile
    root : Path
    classes : tuple of CellClass
        Of the reader's own, as a record holds them.
    """

    files: tuple[CellFile, ...]
    root: Path
    classes: tuple[CellClass, ...] = ()

    def crops(self, side: int, batch: int) -> Iterator[CropBatch]:
        """Yield crops of all cells, rows as in ``files``.

        Parameters
        ----------
        side : int
            In image pixels.
        batch : int
            Cells at a time.
        """
        alone = [i for i, file in enumerate(self.files) if file.place is None]
        series = CropFolder([self.root / self.files[i].path for i in alone])
        yield from _renumbered(iter_series(series, side, batch), np.array(alone))
        fields: dict[str, list[int]] = {}
        for row, file in enumerate(self.files):
            if file.place is not None:
                fields.setdefault(file.path, []).append(row)
        for path, rows in fields.items():
            source = read_image(self.root / path)
            points = np.array([self.files[i].place for i in rows], float)
            cells = cells_from_points(points, source.shape, diameter=side / 2)
            if len(cells) != len(rows):
                raise InputError(
                    f"{len(rows) - len(cells)} taught cells lie outside {path}; teach "
                    "with the image that they were read on."
                )
            yield from _renumbered(
                iter_crops(source, cells, side, batch), np.array(rows)
            )


def read_taught(path: Path, taxonomy: Taxonomy) -> list[TaughtCells]:
    """Read what a reader or a laboratory taught.

    Parameters
    ----------
    path : Path
        A folder of class folders, a CSV of ``Image Path,Label``, a reviewed table, the
        record of a case, or a folder that holds records beside their images.
    taxonomy : Taxonomy
        All classes that may be named; those of a record are checked later.

    Raises
    ------
    InputError
        When there is nothing to learn, a class is unknown, or an image is missing.
    """
    if path.name.endswith(SUFFIX):
        return [_record(path)]
    records = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else []
    if records:
        return [_record(record) for record in records]
    files = read_cells(path, taxonomy, complete=False)
    return [TaughtCells(tuple(files), data_root(path))]


def _record(path: Path) -> TaughtCells:
    """Return the cells of a case that its readers agree on, and those they do not."""
    if not path.is_file():
        raise InputError(f"There is no record {path}; check the path.")
    fingerprint = image_of(path)
    with ReviewLog.open(path, image=fingerprint, read_only=True) as log:
        readings, noted = log.readings(), log.notes.classes()
    stem = path.name.removesuffix(SUFFIX)
    beside = [
        file
        for file in sorted(path.parent.iterdir())
        if file.suffix.lower() in IMAGE_SUFFIXES and file.stem == stem
    ]
    images = [f for f in beside if fingerprint_pixels(read_image(f)) == fingerprint]
    if not images:
        raise InputError(
            f"The image that {path.name} is the record of does not lie beside it; put "
            "it there under the name it had."
        )
    name = images[0].name
    files = tuple(
        CellFile(name, code, name, path.parent.name, (cell.y, cell.x))
        for cell, codes in readings
        for code in codes
        if code != NOT_A_CELL and not cell.plane
    )
    if not files:
        raise InputError(
            f"{path} holds no verdict that names a class; review cells first."
        )
    own = tuple(one for one in noted if not isinstance(one, str))
    return TaughtCells(files, path.parent, own)


def _renumbered(
    batches: Iterator[CropBatch], rows: NDArray[np.int64]
) -> Iterator[CropBatch]:
    for batch in batches:
        yield CropBatch(rows[batch.rows], batch.pixels, batch.readable)


def codes_of(given: Sequence[TaughtCells]) -> list[str]:
    """Return the classes that are named, each once, sorted."""
    return sorted({file.code for cells in given for file in cells.files})
