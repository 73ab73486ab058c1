"""The cells as an Excel workbook: sheets for cells, differential and provenance."""

from __future__ import annotations

import io
import json
import math
import re
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pandas as pd

from napari_cytodino.common import InputError
from napari_cytodino.exports.plain_text import formula_safe, in_decimals
from napari_cytodino.results import differential

if TYPE_CHECKING:
    from pathlib import Path


CELLS, DIFFERENTIAL, PROVENANCE = "cells", "differential", "provenance"
"""Names of the sheets."""

_ROWS = 1_048_575

_CHARACTERS = 32_767

_WHOLE = 10**15

_WIDEST = 48

# What XML cannot hold or would change, and what would be taken for its escape.
_ALIEN = "\0-\b\v-\x1f\ud800-\udfff\ufffe\uffff"

_ESCAPED = re.compile(f"[{_ALIEN}]|_(?=x[0-9A-F]{{4}}[_{_ALIEN}])")

_ESCAPE = re.compile("_x([0-9A-F]{4})_")


def write_excel(table: pd.DataFrame, path: Path, notes: dict[str, Any]) -> None:
    """Write ``.xlsx``.

    Texts are safe as in CSV. The differential is there when the table says which
    taxonomy made it.

    Parameters
    ----------
    notes
        Provenance, as plain values; nested ones become one row each.

    Raises
    ------
    InputError
        When the package is missing, or the table is beyond what Excel can hold.
    """
    try:
        import openpyxl
        from openpyxl.writer.excel import ExcelWriter
    except ImportError as error:
        raise missing() from error
    sheets = {CELLS: table}
    if "taxonomy" in table.attrs:
        sheets[DIFFERENTIAL] = differential(table)
    sheets[PROVENANCE] = pd.DataFrame(_lines(notes), columns=["what", "value"])
    book = openpyxl.Workbook(write_only=True)
    for name, frame in sheets.items():
        _write_sheet(book.create_sheet(name), in_decimals(formula_safe(frame)))
    archive = _Archive()
    ExcelWriter(book, archive).save()
    path.write_bytes(archive.content.getvalue())


class _Archive:
    """The zip that a workbook is, as openpyxl fills it, in memory and without dates.

    A zip notes dates in local time; the workbook itself says in UTC when it was made.
    """

    def __init__(self) -> None:
        self.content = io.BytesIO()
        self._zip = ZipFile(self.content, "w")

    def write(self, sheet: io.BytesIO, name: str) -> None:
        self.writestr(name, sheet.getbuffer())

    def writestr(self, name: str, content: Any) -> None:
        self._zip.writestr(ZipInfo(name), content, ZIP_DEFLATED)

    def namelist(self) -> list[str]:
        return self._zip.namelist()

    def close(self) -> None:
        self._zip.close()


def missing() -> InputError:
    """Return what to say when openpyxl is not installed."""
    return InputError(
        "Excel needs the package openpyxl, which is not installed; run: "
        "pip install 'napari-cytodino[export]'."
    )


def decoded(text: str) -> str:
    """Return what a text in a sheet stands for: ``_x000D_`` is a carriage return."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def _write_sheet(sheet: Any, frame: pd.DataFrame) -> None:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet._writer import WorksheetWriter

    if len(frame) > _ROWS:
        raise InputError(
            f"A table of {len(frame)} rows is beyond the {_ROWS} that Excel holds; "
            "write it as .csv or .parquet."
        )
    sheet.freeze_panes = "A2"
    for number, name in enumerate(frame.columns, 1):
        letter = get_column_letter(number)
        sheet.column_dimensions[letter].width = _width(name, frame[name])

    def cell(value: object) -> Any:
        if isinstance(value, str):
            made = WriteOnlyCell(sheet, value)
            # else "#N/A" would be an error, not a text
            made.data_type = "s"
            return made
        if isinstance(value, float) and float(f"{value:.16g}") != value:
            # openpyxl writes 16 digits
            made = WriteOnlyCell(sheet, repr(value))
            made.data_type = "n"
            return made
        return value

    head = [WriteOnlyCell(sheet, str(name)) for name in frame.columns]
    for made in head:
        made.font = Font(bold=True)
    # before anything is written, so that a refusal leaves no half-written sheet
    columns = [[_storable(v) for v in frame[name].tolist()] for name in frame.columns]
    # in memory: by itself openpyxl writes sheets into the system's temporary folder,
    # and where that is full it says so in no way that names a remedy
    sheet._writer = WorksheetWriter(sheet, io.BytesIO())
    sheet._writer.cleanup = lambda: None
    sheet._writer.write_top()
    sheet.append(head)
    for row in zip(*columns, strict=True):
        sheet.append([cell(value) for value in row])


def _storable(value: object) -> object:
    """Return what a cell of a sheet can hold without loss."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        # Excel keeps 15 digits
        return value if abs(value) < _WHOLE else str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else str(value)
    text = _ESCAPED.sub(lambda found: f"_x{ord(found[0]):04X}_", str(value))
    if len(text) > _CHARACTERS:
        raise InputError(
            f"A text of {len(text)} characters ({text[:20]}…) is beyond the "
            f"{_CHARACTERS} that a cell in Excel holds; write .csv or .parquet."
        )
    return text


def _width(name: str, values: pd.Series[Any]) -> int:
    longest = max((len(str(value)) for value in values.head(200)), default=0)
    return min(max(len(str(name)), longest) + 2, _WIDEST)


def _lines(notes: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    lines: list[tuple[str, Any]] = []
    for name, value in notes.items():
        if isinstance(value, dict) and value:
            lines += _lines(value, f"{prefix}{name}.")
        elif isinstance(value, (dict, list, tuple)):
            lines.append((f"{prefix}{name}", json.dumps(value)))
        else:
            lines.append((f"{prefix}{name}", value))
    return lines
