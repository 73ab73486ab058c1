"""A cell table that was exported earlier, back from its file with its verdicts."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_cytodino.common import InputError
from napari_cytodino.exports._excel import CELLS, decoded, missing
from napari_cytodino.exports.plain_text import plain_text
from napari_cytodino.exports.tables import notes_path
from napari_cytodino.results import BOX_COLUMNS, COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


READABLE = (".csv", ".xlsx", ".parquet")
"""What `read_table` reads."""

_WHOLE = ("index", "label", *BOX_COLUMNS)

_REAL = ("y", "x", "area", "confidence", "margin")

_FLAGS = ("at_border",)

_SAID = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class EarlierVerdict:
    """A reader's verdict on one cell, as an exported table has it.

    Attributes
    ----------
    image : str
        As the table names it; empty where it does not.
    label : int
        Of the cell in its layer then; labels may have changed since.
    y, x : float
        Centre in pixels of the image.
    area : float
        In square pixels.
    cell_class : str
        The reviewed class, or the word for no cell.
    reviewer, at : str
        Who, and when (UTC, ISO 8601).
    model : str
        The model's class at that time.
    """

    image: str
    label: int
    y: float
    x: float
    area: float
    cell_class: str
    reviewer: str
    at: str
    model: str


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a cell table that `export` wrote.

    Returns
    -------
    DataFrame
        The columns of the file, texts as they were before they were made safe. Columns
        that are not ours are texts, but in Parquet what they were. ``attrs`` hold what
        the file holds: all with Parquet, the provenance beside a CSV.

    Raises
    ------
    InputError
        When the file is missing, damaged, of another format, or no such table.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".xlsx": _read_excel, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path.name} is no table that can be loaded; use {', '.join(READABLE)}."
        )
    if not path.is_file():
        raise InputError(f"There is no table {path}; check the path.")
    try:
        return reader(path)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as a cell table ({error}); export it anew."
        ) from error


def verdicts_of(table: pd.DataFrame) -> tuple[EarlierVerdict, ...]:
    """Return the verdicts of a table, in its order; cells nobody reviewed have none."""
    lines = table[table["reviewed_class"] != ""].to_dict("records")
    return tuple(
        EarlierVerdict(
            str(line.get("image", "")),
            int(line["label"]),
            float(line["y"]),
            float(line["x"]),
            float(line["area"]),
            str(line["reviewed_class"]),
            str(line["reviewer"]),
            str(line["reviewed_at"]),
            str(line["cell_class"]),
        )
        for line in lines
    )


def _read_csv(path: Path) -> pd.DataFrame:
    # Excel writes a byte order mark
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = _table(csv.reader(file), path)
    notes = notes_path(path)
    if notes.is_file():
        table.attrs["provenance"] = json.loads(notes.read_text(encoding="utf-8"))
    return table


def _read_excel(path: Path) -> pd.DataFrame:
    from zipfile import BadZipFile

    try:
        import openpyxl
    except ImportError as error:
        raise missing() from error
    try:
        book = openpyxl.load_workbook(path, read_only=True)
    except (BadZipFile, TypeError) as error:
        raise ValueError(str(error)) from error
    try:
        rows = book[CELLS].iter_rows(values_only=True)
        return _table(
            ([decoded(v) if isinstance(v, str) else v for v in row] for row in rows),
            path,
        )
    finally:
        book.close()


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise InputError(
            "Parquet needs the package pyarrow, which is not installed; run: "
            "pip install 'napari-cytodino[export]'."
        ) from error
    _check(list(table.columns), path)
    for name in table.columns:
        if _reader_of(name) is _text:
            table[name] = table[name].astype(object)
    return table


def _table(rows: Iterator[Sequence[Any]], path: Path) -> pd.DataFrame:
    names = [str(name) for name in next(rows, [])]
    _check(names, path)
    lines = [row for row in rows if len(row)]
    for number, line in enumerate(lines, 1):
        if len(line) != len(names):
            raise ValueError(
                f"row {number} has {len(line)} values for {len(names)} columns"
            )
    columns = zip(*lines, strict=True) if lines else iter([()] * len(names))
    made = {}
    for name, values in zip(names, columns, strict=True):
        read = _reader_of(name)
        made[name] = pd.Series([read(value) for value in values], dtype=_DTYPES[read])
    return pd.DataFrame(made)


def _check(names: list[str], path: Path) -> None:
    lacking = [name for name in COLUMNS if name not in names]
    if lacking:
        raise InputError(
            f"{path.name} lacks the column '{lacking[0]}'; choose a cell table that "
            "was exported here."
        )
    if len(set(names)) < len(names):
        raise InputError(f"{path.name} names a column twice; export it anew.")


def _reader_of(name: str) -> Any:
    if name in _WHOLE:
        return int
    if name in _REAL or name.startswith("p_"):
        return _real
    return _flag if name in _FLAGS else _text


def _real(value: Any) -> float:
    return float("nan") if value in ("", None) else float(value)


def _flag(value: Any) -> bool:
    return _SAID[str(value).lower()]


def _text(value: Any) -> str:
    return "" if value is None else plain_text(str(value))


_DTYPES: dict[Any, type] = {int: int, _real: float, _flag: bool, _text: object}
