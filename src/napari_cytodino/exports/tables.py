"""The cell table as CSV, Excel, Parquet, GeoJSON for QuPath or AnnData: the door."""

from __future__ import annotations

import csv
import json
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cytodino.common import InputError, atomic_write
from napari_cytodino.exports._anndata import write_anndata
from napari_cytodino.exports._excel import write_excel
from napari_cytodino.exports.geojson import Polygon, outlines, write_geojson
from napari_cytodino.exports.plain_text import formula_safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt
    import pandas as pd

    from napari_cytodino.common import Provenance


__all__ = ["SUFFIXES", "Polygon", "export", "formula_safe", "outlines"]

SUFFIXES = (".csv", ".xlsx", ".parquet", ".geojson", ".h5ad")
"""What a path may end in, so that `export` knows the format."""


def export(
    table: pd.DataFrame,
    path: Path | str,
    *,
    provenance: Provenance | None = None,
    polygons: Mapping[int, Polygon] | None = None,
    embeddings: npt.NDArray[Any] | None = None,
) -> Path:
    """Write a cell table; the suffix of the path names the format.

    Parameters
    ----------
    path
        One of `SUFFIXES`; QuPath takes GeoJSON by File > Import objects. An existing
        file is replaced; a failure leaves it as it was.
    provenance
        Written into every format, and beside a CSV as ``<name>.provenance.json``. None
        takes what `classify` noted in the table.
    polygons
        Outline of each label, from `outlines`, for GeoJSON; the bounding box where
        there is none.
    embeddings : (N, D), optional
        One row for each row of the table: the ``X`` of AnnData. Without them ``X`` is
        the probabilities. Other formats leave them out.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        When the format is unknown or needs a missing package, when it cannot hold the
        table, or when the disk refuses.
    """
    path = Path(path)
    writers: dict[str, Callable[[pd.DataFrame, Path, dict[str, Any]], None]] = {
        ".csv": _write_csv,
        ".xlsx": write_excel,
        ".parquet": _write_parquet,
        ".geojson": partial(write_geojson, polygons=polygons or {}),
        ".h5ad": partial(write_anndata, embeddings=embeddings),
    }
    suffix = path.suffix.lower()
    if suffix not in writers:
        raise InputError(
            f"'{path.suffix}' is no export format; use one of {', '.join(SUFFIXES)}."
        )
    notes = provenance.to_dict() if provenance else table.attrs.get("provenance", {})
    with _with_notes(path, notes if suffix == ".csv" else {}) as temporary:
        try:
            writers[suffix](table, temporary, notes)
        except UnicodeError as error:
            # as in a file name whose bytes are no UTF-8
            raise InputError(
                f"{path} cannot be written, a text in the table is not valid ({error});"
                " rename the image."
            ) from error
    return path


@contextmanager
def _with_notes(path: Path, notes: dict[str, Any]) -> Iterator[Path]:
    """Give a temporary path as `atomic_write` does, and write notes beside, if any.

    A table must not lie beside the notes of another. So the notes are whole on the disk
    before the table takes its place, and take theirs only when it did: a spreadsheet
    may hold it open.
    """
    if not notes:
        with atomic_write(path) as temporary:
            yield temporary
        return
    beside = notes_path(path)
    if beside.is_dir():
        raise InputError(
            f"{beside} is a folder, where the notes of the table belong; choose "
            "another name."
        )
    with atomic_write(beside) as notes_file:
        notes_file.write_text(json.dumps(notes, indent=2), encoding="utf-8")
        with atomic_write(path) as temporary:
            yield temporary


def notes_path(path: Path) -> Path:
    """Return where the provenance of a CSV lies."""
    return path.with_suffix(".provenance.json")


def _write_csv(table: pd.DataFrame, path: Path, _: dict[str, Any]) -> None:
    safe = formula_safe(table)
    # csv leaves a lone carriage return bare, and a reader would end the line there
    bare = any("\r" in text for text in _texts(safe))
    safe.to_csv(
        path,
        index=False,
        encoding="utf-8",
        lineterminator="\n",
        quoting=csv.QUOTE_NONNUMERIC if bare else csv.QUOTE_MINIMAL,
    )


def _texts(table: pd.DataFrame) -> Iterator[str]:
    for name in table.columns:
        if table[name].dtype.kind not in "biuf":
            yield from (text for text in table[name] if isinstance(text, str))


def _write_parquet(table: pd.DataFrame, path: Path, notes: dict[str, Any]) -> None:
    plain = table.copy()
    plain.attrs["provenance"] = notes
    try:
        plain.to_parquet(path, index=False)
    except ImportError as error:
        raise InputError(
            "Parquet needs the package pyarrow, which is not installed; run: "
            "pip install 'napari-cytodino[export]'."
        ) from error
