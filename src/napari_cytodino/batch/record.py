"""What was done, so that it can be checked: records, and one hash for all results."""

from __future__ import annotations

import csv
import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from napari_cytodino.common import (
    InputError,
    atomic_write,
    first_changed,
    record,
    sha256,
)
from napari_cytodino.common import read_record as checked
from napari_cytodino.exports import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
            content = result_hash(out / name for name in record.files)
        facts = [record.request, record.cells, record.flagged, record.unfamiliar]
        line = json.dumps([path.name, content, *facts], sort_keys=True)
        whole.update(line.encode() + b"\n")
    return whole.hexdigest()


def result_hash(files: Iterable[Path]) -> str:
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
    content = json.loads(path.read_text(encoding="utf-8"))
    yield _notes(content.pop("provenance"))
    yield json.dumps(content, sort_keys=True).encode()


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
    for array in (data.X, *(data.obsm[name] for name in sorted(data.obsm))):
        yield f"{array.shape}".encode() + array.tobytes()


_READERS: dict[str, Callable[[Path], Iterator[bytes]]] = {
    ".csv": _csv,
    ".json": _json,
    ".geojson": _geojson,
    ".png": _png,
    ".xlsx": _xlsx,
    ".parquet": _parquet,
    ".h5ad": _h5ad,
}

SUFFIX = ".done.json"
"""Appended to the stem of an image's results; this file is written last."""

FAILED = "failed.csv"
"""The list of what failed in the latest run."""

SUMMARY = "summary.csv"
"""The list of all images of the latest run."""

SUMMARY_COLUMNS = (
    "image", "cells", "flagged", "unfamiliar", "compared", "reason", "promise",
)  # fmt: skip
"""`unfamiliar` of the `compared` cells are unlike the training cells; `reason` says why
there is no result."""

OF_CROPS = "differential.csv"
"""The one file of a result that is not named after its stem."""

_SCHEMA = 1

_FEW = 3

_LARGEST = 2**20

Count = Annotated[int, Field(ge=0)]

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@record
class Record:
    """What was asked, what came of it, and the hash of every file of the result.

    Attributes
    ----------
    request
        All that shapes the result, from `request_for`.
    unfamiliar
        How many cells are unlike the training cells, of how many.
    files
        Name of each file -> its sha256.
    content
        From `batch_digest.content_of`: the same for the same result made anew.
    made_with
        Device and threads, for the reader only.
    scale
        How large a pixel was taken to be, in words.
    """

    request: dict[str, Any]
    cells: Count = 0
    flagged: Count = 0
    unfamiliar: tuple[Count, Count] = (0, 0)
    files: dict[str, Sha256] = field(default_factory=dict)
    content: str = ""
    made_with: dict[str, Any] = field(default_factory=dict)
    scale: str = ""


def request_for(
    files: Mapping[str, Path | None], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is asked: the files, by name, size and hash, and the settings.

    Of more than a few files there is one hash of all these. One that cannot be read is
    called so; who reads it for the result says why.
    """
    described: dict[str, Any] = {
        role: path and _described(path) for role, path in files.items()
    }
    if len(described) > _FEW:
        text = json.dumps(described, sort_keys=True)
        whole = hashlib.sha256(text.encode()).hexdigest()
        described = {"count": len(described), "sha256": whole}
    return {"files": described, "settings": dict(settings)}


def _described(path: Path) -> list[Any]:
    try:
        return [path.name, path.stat().st_size, sha256(path)]
    except OSError:
        return [path.name, "unreadable"]


def record_path(out: Path, stem: str) -> Path:
    """Return where the record of an image lies."""
    return out / f"{stem}{SUFFIX}"


def read_record(path: Path) -> Record | None:
    """Read a record; None where there is none that is whole and ours."""
    stem = path.name.removesuffix(SUFFIX)
    with suppress(OSError, ValueError, RecursionError, InputError):
        if path.stat().st_size > _LARGEST:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.pop("schema", None) == _SCHEMA:
            found = checked(Record, content, path.name)
            return found if all(_beside(name, stem) for name in found.files) else None
    return None


def _beside(name: str, stem: str) -> bool:
    """Tell whether a file is one of this image's results, and lies nowhere else."""
    ours = name.startswith(f"{stem}.") or name == OF_CROPS
    return ours and not {*"/\\:\0"} & {*name}


def write_record(out: Path, stem: str, record: Record) -> None:
    """Write the record of an image whose files are all in place.

    Raises
    ------
    InputError
        When the disk refuses.
    """
    text = json.dumps({"schema": _SCHEMA, **asdict(record)}, indent=1, sort_keys=True)
    with atomic_write(record_path(out, stem)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def done_before(out: Path, stem: str, request: Mapping[str, Any]) -> Record | None:
    """Return the record of an image that needs no work, else None.

    It needs none where the record answers the same request and every file of the
    result still has its hash.
    """
    record = read_record(record_path(out, stem))
    if record is None or record.request != request:
        return None
    with suppress(OSError):
        if not any(first_changed(out, record.files)):
            return record
    return None


def forget(out: Path, stem: str) -> frozenset[str]:
    """Remove the record of an image; return the names of the files in it."""
    path = record_path(out, stem)
    record = read_record(path)
    path.unlink(missing_ok=True)
    return frozenset(record.files) if record else frozenset()


def tidy(out: Path, names: Iterable[str]) -> None:
    """Remove files of an earlier result that the new one does not have."""
    for name in names:
        with suppress(OSError):
            (out / name).unlink()


def write_failures(path: Path, failed: Sequence[tuple[Path, str]]) -> None:
    """Write the list of images without a result and why, or remove an old one.

    Raises
    ------
    InputError
        When the disk refuses.
    """
    if not failed:
        path.unlink(missing_ok=True)
        return
    _write_rows(path, ("image", "reason"), failed)


def write_summary(path: Path, rows: Iterable[Sequence[object]], promise: str) -> None:
    """Write a row for each image of a run, with what holds for all of them together.

    Parameters
    ----------
    rows
        Values of `SUMMARY_COLUMNS`, all but the last.
    promise
        What accepted cells are promised; one image alone may be too small to tell that
        all are of another kind than the calibration's.

    Raises
    ------
    InputError
        When the disk refuses.
    """
    _write_rows(path, SUMMARY_COLUMNS, [(*row, promise) for row in rows])


def _write_rows(
    path: Path, names: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    with (
        atomic_write(path) as temporary,
        # a file name may be no valid text
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([safe_text(str(value)) for value in row] for row in rows)
