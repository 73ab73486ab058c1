"""Tables of labelled cells: image lists, our own index, reviewed exports."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path, PurePosixPath

from napari_cytodino.common import InputError
from napari_cytodino.images import IMAGE_SUFFIXES
from napari_cytodino.training.data.crops import CellFile, read_rows

GROUP_COLUMNS = ("group", "patient", "patient_id", "slide", "background_group")
"""Names of a column that says which cells belong together; the first found counts."""

TABLE_SUFFIXES = (".csv", ".parquet")
"""File types that `read_table` reads."""

Row = dict[str, str]

logger = logging.getLogger(__name__)


class DataFolder:
    """The images below a folder; nothing outside it is ever named.

    Parameters
    ----------
    root : Path
        The data folder; paths of cells are relative to it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def inside(self, base: Path, text: str, table: Path) -> str:
        """Return a path of a table as one relative to the data folder.

        Parameters
        ----------
        base : Path
            What relative paths start from.
        text : str
            As written, with forward or backward slashes.
        table : Path
            Named in the error.

        Raises
        ------
        InputError
            When it leads out of the data folder.
        """
        try:
            found = (base / text.replace("\\", "/")).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{text!r} in {table} is no path ({error}): correct it."
            ) from error
        if found == self.root or not found.is_relative_to(self.root):
            raise InputError(
                f"{text!r} in {table} lies outside the data folder {self.root}: write "
                "paths relative to the table, or give the folder that holds the images."
            )
        return found.relative_to(self.root).as_posix()

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """Every image by its path, its file name and its name without suffix."""
        names: dict[str, list[str]] = defaultdict(list)
        for path in images_below(self.root):
            inner = path.relative_to(self.root)
            for name in dict.fromkeys((inner.as_posix(), inner.name, inner.stem)):
                names[name].append(inner.as_posix())
        return names

    def named(self, image: str, table: Path) -> str:
        """Return the path of the only image with this path, name or stem.

        napari names a layer by the stem of its file, the command line by its name.

        Raises
        ------
        InputError
            When there is none, or more than one.
        """
        found = self._by_name.get(str(PurePosixPath(image.replace("\\", "/"))), [])
        if image in found:
            return image
        if len(found) != 1:
            raise InputError(
                f"Image '{image}' of {table} is {len(found)} times in {self.root}: "
                "give the folder in which it is once."
            )
        return found[0]


def images_below(folder: Path) -> list[Path]:
    """Return the image files of a folder and its folders, sorted; hidden ones apart.

    Raises
    ------
    InputError
        When a link leads out of the folder, or to another folder.
    """
    found = []
    for path in folder.rglob("*"):
        inner = path.relative_to(folder).parts
        if any(part.startswith(".") or part == "__MACOSX" for part in inner):
            continue
        if path.is_symlink():
            target = Path(os.path.realpath(path))
            if path.is_dir() or not target.is_relative_to(folder.resolve()):
                raise InputError(
                    f"{path} is a link to {target}: put what it links to in its place, "
                    "such links are not followed."
                )
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            found.append(path)
    return sorted(found)


def read_table(
    table: Path, root: Path | None = None, *, reviewed_only: bool = True
) -> list[CellFile]:
    """Read labelled cells from a table; its columns say which kind it is.

    Parameters
    ----------
    table : Path
        A CSV with ``Image Path`` and ``Label`` (DinoBloom's style, paths relative to
        the table or absolute), our ``cells.csv`` with ``dataset``, ``path`` and
        ``code``, or a cell table that the plugin exported as CSV or Parquet.
    root : Path, optional
        The data folder; the table's own without one.
    reviewed_only : bool
        Of an exported table take only the cells a person gave a class; else every
        cell with a ``final_class``. What a person called no cell has none.

    Raises
    ------
    InputError
        When the table is of no such kind, empty, or names an image outside the folder.
    """
    rows = _read(table)
    if not rows:
        raise InputError(f"{table} holds no row: give a table of labelled cells.")
    folder = DataFolder(root or table.parent)
    columns = set(rows[0])
    if {"Image Path", "Label"} <= columns:
        return [_listed(row, table, folder) for row in rows]
    if {"dataset", "path", "code"} <= columns:
        return [_indexed(row, table, folder) for row in rows]
    if {"image", "reviewed_class", "final_class"} <= columns:
        return _reviewed(rows, table, folder, reviewed_only=reviewed_only)
    raise InputError(
        f"{table} has the columns {', '.join(rows[0])}: give Image Path and Label, or "
        "dataset, path and code, or a cell table that the plugin exported."
    )


def _read(table: Path) -> list[Row]:
    if table.suffix.lower() == ".csv":
        return read_rows(table)
    if table.suffix.lower() != ".parquet":
        raise InputError(
            f"{table} is no table that can be read here: export it as "
            f"{' or '.join(TABLE_SUFFIXES)}."
        )
    import pandas as pd

    try:
        frame = pd.read_parquet(table)
    except ImportError as error:
        raise InputError(
            f"{table} needs the package pyarrow, which is not installed: export the "
            "table as CSV."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{table} cannot be read as Parquet ({error}).") from error
    return [
        {str(name): str(value) for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _group(row: Row) -> str:
    lower = {name.lower().replace(" ", "_"): value for name, value in row.items()}
    return next((lower[c].strip() for c in GROUP_COLUMNS if c in lower), "")


def _listed(row: Row, table: Path, folder: DataFolder) -> CellFile:
    path = folder.inside(table.parent, row["Image Path"], table)
    dataset = row.get("dataset", "").strip() or folder.root.name
    return CellFile(path, row["Label"].strip(), _group(row), dataset)


def _indexed(row: Row, table: Path, folder: DataFolder) -> CellFile:
    inner = f"{row['dataset']}/{row['path']}"
    path = folder.inside(folder.root, inner, table)
    return CellFile(path, row["code"].strip(), _group(row), row["dataset"])


def _reviewed(
    rows: list[Row], table: Path, folder: DataFolder, *, reviewed_only: bool
) -> list[CellFile]:
    column = "reviewed_class" if reviewed_only else "final_class"
    judged = [row for row in rows if row[column]]
    # what a person called no cell is reviewed and has no class
    kept = [row for row in judged if row["final_class"]]
    if not kept:
        raise InputError(
            f"None of the {len(rows)} cells of {table} has a {column} that is a class: "
            "review some cells and export the table again."
        )
    if len(kept) < len(judged):
        left = len(judged) - len(kept)
        logger.warning("%s: %d judged to be no cell are left out.", table, left)
    images = _unescaped([row["image"] for row in kept])
    codes = _unescaped([row["final_class"] for row in kept])
    cells = []
    for row, image, code in zip(kept, images, codes, strict=True):
        path = folder.named(image, table)
        place = _place(row, table)
        # cells of one field are of one slide, so they are never parted
        group = _group(row) or (path if place else "")
        cells.append(CellFile(path, code, group, folder.root.name, place))
    return cells


def _place(row: Row, table: Path) -> tuple[float, float] | None:
    """Return the centre of a cell of a whole image, None for an image of one cell."""
    try:
        corner = min(float(row["bbox_top"]), float(row["bbox_left"]))
        at_border = row["at_border"].lower() == "true"
        place = (float(row["y"]), float(row["x"]))
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{table} lacks the place of a cell ({error}): export it whole again."
        ) from error
    # A box that begins at the corner touches the border, so it says so, unless the
    # image is the crop of one cell (`cells_from_crops`).
    return None if corner <= 0 and not at_border else place


def _unescaped(texts: list[str]) -> list[str]:
    """Undo `core.export.formula_safe`, which puts an apostrophe before formulas."""
    import pandas as pd

    from napari_cytodino.exports import formula_safe

    plain = [text[1:] if text.startswith("'") else text for text in texts]
    escaped = formula_safe(pd.DataFrame({"text": plain}, dtype=object))["text"]
    return [p if e == t else t for p, e, t in zip(plain, escaped, texts, strict=True)]
