"""One hash for the results of a run, the same however the run came about."""

from __future__ import annotations

import csv
import hashlib
import json
from typing import TYPE_CHECKING, Any

from napari_cytodino.core.batch_record import SUFFIX, read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_TIMES = "created"
# The device says its threads, and a label image may lie elsewhere; the request in the
# record holds its hash.
_PLACES = ("device", "cells")
_ROWS = {_TIMES, *(f"settings.{name}" for name in _PLACES)}


def digest(out: Path, *, anew: bool = False) -> str:
    """Return the hash of all results in a folder that have a record.

    Requests, counts and the contents of every file go into it; what must differ from
    run to run does not: the time, the device's name, folders.

    Parameters
    ----------
    anew
        Read every file again, instead of taking the hash of its content that the
        record holds.
    """
    whole = hashlib.sha256()
    for path in sorted(out.glob(f"*{SUFFIX}")):
        record = read_record(path)
        if record is None:
            continue
        content = record.content
        if anew:
            content = content_of(out / name for name in record.files)
        told = [record.request, record.cells, record.flagged, record.unfamiliar]
        line = json.dumps([path.name, content, *told], sort_keys=True)
        whole.update(line.encode() + b"\n")
    return whole.hexdigest()


def content_of(files: Iterable[Path]) -> str:
    """Return the hash of what files hold, without what must differ.

    Raises
    ------
    OSError, ValueError
        When a file cannot be read as what its name says.
    """
    whole = hashlib.sha256()
    for path in sorted(files):
        parts = hashlib.sha256()
        for part in _READERS[path.suffix](path):
            parts.update(part)
        whole.update(f"{path.name}\0{parts.hexdigest()}\n".encode())
    return whole.hexdigest()


def _notes(notes: dict[str, Any]) -> bytes:
    """Return provenance without what must differ."""
    kept = {name: value for name, value in notes.items() if name != _TIMES}
    settings = kept.get("settings", {})
    kept["settings"] = {n: v for n, v in settings.items() if n not in _PLACES}
    return json.dumps(kept, sort_keys=True).encode()


def _csv(path: Path) -> Iterator[bytes]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        head = next(reader, [])
        kept = [i for i, name in enumerate(head) if name != _TIMES]
        yield json.dumps([head[i] for i in kept]).encode()
        for row in reader:
            yield json.dumps([row[i] for i in kept]).encode()


def _json(path: Path) -> Iterator[bytes]:
    yield _notes(json.loads(path.read_text(encoding="utf-8")))


def _geojson(path: Path) -> Iterator[bytes]:
    held = json.loads(path.read_text(encoding="utf-8"))
    yield _notes(held.pop("provenance"))
    yield json.dumps(held, sort_keys=True).encode()


def _png(path: Path) -> Iterator[bytes]:
    from PIL import Image

    with Image.open(path) as picture:
        yield _notes(json.loads(picture.info["provenance"]))
        yield f"{picture.mode}{picture.size}".encode()
        yield picture.tobytes()


def _xlsx(path: Path) -> Iterator[bytes]:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True)
    try:
        for sheet in book:
            yield sheet.title.encode()
            for row in sheet.iter_rows(values_only=True):
                if row and row[0] not in _ROWS:
                    yield repr(row).encode()
    finally:
        book.close()


def _parquet(path: Path) -> Iterator[bytes]:
    import pandas as pd

    table = pd.read_parquet(path)
    yield _notes(table.attrs["provenance"])
    yield table.to_csv(index=False).encode()


def _h5ad(path: Path) -> Iterator[bytes]:
    import anndata

    data = anndata.read_h5ad(path)
    yield _notes(json.loads(str(data.uns["provenance"])))
    yield data.obs.to_csv().encode()
    for held in (data.X, *(data.obsm[name] for name in sorted(data.obsm))):
        yield f"{held.shape}".encode() + held.tobytes()


_READERS: dict[str, Callable[[Path], Iterator[bytes]]] = {
    ".csv": _csv,
    ".json": _json,
    ".geojson": _geojson,
    ".png": _png,
    ".xlsx": _xlsx,
    ".parquet": _parquet,
    ".h5ad": _h5ad,
}
