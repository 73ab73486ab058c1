"""Any layout of labelled cells on disk -> one sorted list of `CellFile`."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_cytodino.common import InputError
from napari_cytodino.images import IMAGE_SUFFIXES
from napari_cytodino.training.data._tables import images_below, read_table
from napari_cytodino.training.data.crops import CellFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari_cytodino.taxonomy import Taxonomy


def data_root(source: Path) -> Path:
    """Return the folder that the paths of `read_cells` are relative to."""
    return source if source.is_dir() else source.parent


def read_cells(
    source: Path,
    taxonomy: Taxonomy,
    *,
    root: Path | None = None,
    complete: bool = True,
    left_out: Sequence[str] = (),
    reviewed_only: bool = True,
    group_pattern: str = "",
) -> list[CellFile]:
    """Read labelled cells, whatever their layout.

    Parameters
    ----------
    source : Path
        A folder of class folders, nested as the MLL data set has them or not; a folder
        of several such data sets; a folder with ``cells.csv`` or with tables that the
        plugin exported (``*.cells.csv``); or one table, see `read_table`.
    taxonomy : Taxonomy
        The classes to learn; a laboratory may have others than the paper.
    root : Path, optional
        The data folder of a table that lies elsewhere.
    complete : bool
        Refuse when a class of the taxonomy has no image.
    left_out : sequence of str
        Classes of the data that are not to be learned.
    reviewed_only : bool
        Of exported tables take only the cells a person gave a class.
    group_pattern : str
        Regular expression whose first group, or whole match, in a cell's path is its
        patient or slide, where the data do not say it otherwise.

    Returns
    -------
    list of CellFile
        Sorted by key, paths relative to `root`, else to ``data_root(source)``.

    Raises
    ------
    InputError
        When there is nothing, a class is unknown or has no image, a cell has two
        classes, or a path leads out of the folder.
    """
    if not source.exists():
        raise InputError(f"There is no data folder or table {source}: check the path.")
    tables = _tables(source) if source.is_dir() else [source]
    cells = [
        cell
        for table in tables
        for cell in read_table(
            table, root or data_root(source), reviewed_only=reviewed_only
        )
    ] or _class_folders(source, taxonomy, left_out)
    cells = [c for c in _once(cells) if c.code not in left_out]
    _check_classes(cells, taxonomy, source, complete=complete)
    if group_pattern:
        cells = _grouped(cells, group_pattern)
    return sorted(cells, key=lambda c: c.key)


def _tables(folder: Path) -> list[Path]:
    """Return the tables at the top of a folder that say which cells it holds."""
    index = folder / "cells.csv"
    exported = [*folder.glob("*.cells.csv"), *folder.glob("*.cells.parquet")]
    return [index] if index.is_file() else sorted(exported)


def _folders(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name != "__MACOSX"
    )


def _class_folders(
    root: Path, taxonomy: Taxonomy, left_out: Sequence[str]
) -> list[CellFile]:
    known = {*taxonomy.codes, *left_out}
    tops = _folders(root)
    nested = not any(t.name in known for t in tops) and any(
        inner.name in known for t in tops for inner in _folders(t)
    )
    depth, name = (1 if nested else 0), root.resolve().name
    cells, filled = [], set()
    for path in images_below(root):
        inner = path.relative_to(root)
        folders = inner.parts[:-1]
        if len(folders) <= depth:
            raise InputError(
                f"{path} lies in no class folder: move it to the folder of its class, "
                "or out of the data folder."
            )
        dataset = folders[0] if nested else name
        cells.append(CellFile(inner.as_posix(), folders[depth], dataset=dataset))
        filled.add(root.joinpath(*folders[: depth + 1]))
    _check_folders(tops if nested else [root], filled, taxonomy, known)
    return cells


def _check_folders(
    sets: Iterable[Path], filled: set[Path], taxonomy: Taxonomy, known: set[str]
) -> None:
    """Refuse folders that are of no class, and class folders without an image."""
    for folder in (inner for data_set in sets for inner in _folders(data_set)):
        if folder.name not in known:
            raise InputError(
                f"Folder {folder} is no class of taxonomy '{taxonomy.name}': rename it "
                f"to one of {', '.join(taxonomy.codes)}, or remove it."
            )
        if folder not in filled:
            raise InputError(
                f"Class folder {folder} holds no image ({', '.join(IMAGE_SUFFIXES)}): "
                "add some, or remove it."
            )


def _once(cells: Iterable[CellFile]) -> list[CellFile]:
    """Drop repetitions of a cell; two classes of one cell are a fault."""
    found: dict[str, CellFile] = {}
    for cell in cells:
        other = found.setdefault(cell.key, cell)
        if other.code != cell.code:
            raise InputError(
                f"{cell.key} is given the classes {other.code} and {cell.code}: keep "
                "one of them."
            )
    return list(found.values())


def _check_classes(
    cells: Sequence[CellFile], taxonomy: Taxonomy, source: Path, *, complete: bool
) -> None:
    counts = Counter(c.code for c in cells)
    if not counts:
        raise InputError(
            f"{source} holds no labelled cell: give class folders, cells.csv, or a "
            "table of images and classes."
        )
    for code, number in sorted(counts.items()):
        if code not in taxonomy:
            example = next(c.key for c in cells if c.code == code)
            raise InputError(
                f"'{code}', the class of {number} cells such as {example}, is no class "
                f"of taxonomy '{taxonomy.name}': use {', '.join(taxonomy.codes)}."
            )
    absent = [code for code in taxonomy.codes if code not in counts]
    if absent and complete:
        raise InputError(
            f"{source} holds no image of {', '.join(absent)}: add some, or take a "
            "recipe without these classes."
        )


def _grouped(cells: Iterable[CellFile], pattern: str) -> list[CellFile]:
    """Read the groups that are not given from the paths."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"The group pattern {pattern!r} is no regular expression ({error})."
        ) from error
    grouped = []
    for cell in cells:
        match = expression.search(cell.path)
        if not cell.group and not match:
            raise InputError(
                f"The group pattern {pattern!r} finds no group in {cell.path}: correct "
                "it."
            )
        if not cell.group and match:
            found = match.group(1 if expression.groups else 0)
            cell = replace(cell, group=found or "")
        grouped.append(cell)
    return grouped
