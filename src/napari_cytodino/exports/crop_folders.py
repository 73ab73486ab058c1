"""Pictures of single cells in class folders, as `training` reads them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from napari_cytodino.cells import crops_of
from napari_cytodino.common import InputError, atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt
    import pandas as pd

    from napari_cytodino.cells import Cells, CropSeries
    from napari_cytodino.images import ImageSource


_NAME = re.compile(r"(?P<case>[^/]*)_cell(?P<label>\d+)_y-?\d+_x-?\d+\.png")


@dataclass(frozen=True)
class CropsWritten:
    """What came of an export of crops.

    Attributes
    ----------
    counts : dict
        Pictures written of each class.
    unreadable : tuple of int
        Labels of cells whose pixels could not be read; they have no picture.
    finished : bool
        False when it was cancelled; what is written is whole.
    """

    counts: dict[str, int]
    unreadable: tuple[int, ...]
    finished: bool


def export_crops(
    source: ImageSource | CropSeries,
    cells: Cells,
    table: pd.DataFrame,
    folder: Path | str,
    *,
    side: int,
    case: str,
    reviewed_only: bool = True,
    batch_size: int = 32,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> CropsWritten:
    """Write one lossless PNG for each cell into the folder of its class.

    A folder may hold many cases. Pictures of this case that an earlier export put
    into a class which the cell no longer has are removed, for a cell has one class:
    when its new picture is there, or at the end for a cell that gets none.

    Parameters
    ----------
    source
        The image, or ready-made crops in the order of `cells`.
    table
        Its `label` says which cell a line is of, its `final_class` which folder.
        Cells without one, and what is no cell, are left out.
    side
        Of the pictures, in image pixels (`crops.crop_side`); not scaled.
    case
        Begins the file names; not empty.
    reviewed_only
        Leave out what no reader gave a class.
    progress
        Called with pictures done and in all, after each batch.
    cancelled
        Asked before each batch.

    Raises
    ------
    InputError
        When the case has no name, no cell can be written, or the disk refuses.
    """
    if not case:
        raise InputError(
            "Crops of a case without a name cannot be distinguished; name it."
        )
    folder = Path(folder)
    classes = _classes(table, reviewed_only=reviewed_only)
    rows = np.flatnonzero(np.isin(cells.label, list(classes)))
    paths = {
        int(row): folder / classes[int(cells.label[row])] / _name(case, cells, int(row))
        for row in rows
    }
    old = _earlier(folder, case, set(paths.values()))
    counts: Counter[str] = Counter()
    unreadable: list[int] = []
    done, finished = 0, True
    for batch in crops_of(source, cells, rows, side, batch_size):
        if cancelled():
            finished = False
            break
        for row, pixels, readable in zip(
            rows[batch.rows], batch.pixels, batch.readable, strict=True
        ):
            if readable:
                _write(pixels, paths[int(row)])
                counts[paths[int(row)].parent.name] += 1
                _remove(old.pop(int(cells.label[row]), []))
            else:
                unreadable.append(int(cells.label[row]))
        done += len(batch.rows)
        progress(done, len(rows))
    if finished:
        _remove(path for paths_left in old.values() for path in paths_left)
    return CropsWritten(dict(counts), tuple(sorted(unreadable)), finished)


def _classes(table: pd.DataFrame, *, reviewed_only: bool) -> dict[int, str]:
    """Return the class of each label that gets a picture."""
    chosen = table["final_class"] != ""
    if reviewed_only:
        chosen &= table["reviewed_class"] != ""
    if not chosen.any():
        raise InputError(
            f"None of the {len(table)} cells has a {'reviewed ' * reviewed_only}class; "
            "review some first."
        )
    kept = table.loc[chosen, ["label", "final_class"]]
    return {int(label): str(code) for label, code in kept.to_numpy(object)}


def _name(case: str, cells: Cells, row: int) -> str:
    y, x = np.rint(cells.centre[row]).astype(int)
    return f"{_quoted(case)}_cell{cells.label[row]}_y{y}_x{x}.png"


def _quoted(case: str) -> str:
    """Leave what every file system takes; a dot in front would hide the file."""
    quoted = quote(case, safe="", errors="surrogatepass")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


def _earlier(folder: Path, case: str, wanted: set[Path]) -> dict[int, list[Path]]:
    """Return the pictures of a case that an export does not write, by label."""
    earlier: dict[int, list[Path]] = {}
    for path in folder.glob("*/*.png"):
        found = _NAME.fullmatch(path.name)
        if found and found["case"] == _quoted(case) and path not in wanted:
            earlier.setdefault(int(found["label"]), []).append(path)
    return earlier


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
        # training takes a class folder without a picture for a mistake
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def _write(pixels: npt.NDArray[Any], path: Path) -> None:
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
