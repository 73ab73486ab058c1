"""A disk that is really full under every file this package writes for others."""

from __future__ import annotations

import gc
import resource
import subprocess
import tempfile
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from napari_cytodino.case_report.page import write_case_report
from napari_cytodino.case_report.report import CaseReport
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.saving import save_calibrated, save_checkpoint
from napari_cytodino.common.errors import CytoDinoError
from napari_cytodino.common.provenance import Provenance
from napari_cytodino.exports.crop_folders import export_crops
from napari_cytodino.exports.tables import SUFFIXES, export
from napari_cytodino.taxonomy.taxonomy import Taxonomy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    Fill = Callable[[int], AbstractContextManager[None]]

PAGE = 4096
NOTES = Provenance("a.png", "demo", "00", True, {"min_confidence": 0.9})
PACKAGES = {".xlsx": "openpyxl", ".parquet": "pyarrow", ".h5ad": "anndata"}
FULL = r"cannot be written \(.*([Nn]o space left|[Ff]ile too large).*free space"


@pytest.fixture(scope="session")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Mount a file system of 16 MiB, where that is allowed."""
    disk = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here; the limited file size stands for it")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture(params=["disk", "limit"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Fill]:
    """Return a folder, and what leaves it only so many bytes within a block."""
    if request.param == "limit":
        return tmp_path, limited
    disk: Path = request.getfixturevalue("small_disk") / tmp_path.name
    disk.mkdir()
    return disk, partial(filled, disk.parent / "filler")


@contextmanager
def limited(left: int) -> Iterator[None]:
    """Let no file grow beyond this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def filled(filler: Path, left: int) -> Iterator[None]:
    """Fill the disk but for this."""
    try:
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(PAGE)):
                    pass
            except OSError:
                file.truncate(max(file.tell() - left, 0))
        yield
    finally:
        filler.unlink()


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def check(place: tuple[Path, Fill], write: Callable[[], Any], *rooms: int) -> None:
    """Write with each of several amounts left, none of them enough."""
    folder, fill = place
    before = contents(folder)
    for left in rooms:
        with fill(left), pytest.raises(CytoDinoError, match=FULL):
            write()
        assert contents(folder) == before, left
        assert not list(folder.rglob(".*")), left


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tables(place: tuple[Path, Fill], many_cells: Any, suffix: str) -> None:
    """HDF5 on a full disk brought the process down, later: this one must go on."""
    if suffix in PACKAGES:
        pytest.importorskip(PACKAGES[suffix], reason="extra 'export' is not installed")
    path = place[0] / f"cells{suffix}"
    path.write_bytes(b"what was there")
    write = partial(export, many_cells.table, path, provenance=NOTES)
    check(place, write, 0, PAGE, 2 * PAGE)
    write()
    assert path.stat().st_size > 2 * PAGE
    if suffix == ".h5ad":
        import anndata

        assert len(anndata.read_h5ad(path)) == len(many_cells.table)
    gc.collect()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_table_needs_the_temporary_folder(
    small_disk: Path,
    tmp_path: Path,
    many_cells: Any,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
) -> None:
    """By itself openpyxl writes sheets there first, and says nothing of use of it."""
    if suffix in PACKAGES:
        pytest.importorskip(PACKAGES[suffix], reason="extra 'export' is not installed")
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    path, more = tmp_path / f"cells{suffix}", small_disk / "more"
    with filled(small_disk / "filler", 0):
        with pytest.raises(OSError, match="No space left"):
            more.write_bytes(bytes(PAGE))
        before = contents(small_disk)
        export(many_cells.table, path, provenance=NOTES)
        assert contents(small_disk) == before
    assert path.stat().st_size > 2 * PAGE
    more.unlink()


def test_the_case_report(place: tuple[Path, Fill], many_cells: Any) -> None:
    path = place[0] / "report.html"
    path.write_bytes(b"what was there")
    taxonomy = Taxonomy.load("mll21")
    report = CaseReport("Case 1", many_cells.table, taxonomy, NOTES)
    check(place, partial(write_case_report, report, path), 0, PAGE, 2 * PAGE)


def test_crops(place: tuple[Path, Fill], many_cells: Any) -> None:
    folder, fill = place
    given = (many_cells.source, many_cells.cells, many_cells.table, folder)
    write = partial(export_crops, *given, side=40, case="1")
    with fill(PAGE), pytest.raises(CytoDinoError, match=FULL):
        write()
    done = write()
    whole = contents(folder)
    assert len(whole) == sum(done.counts.values()) == 133
    assert all(name.endswith(".png") and data for name, data in whole.items())
    check(place, write, 0, PAGE)


def test_a_checkpoint(place: tuple[Path, Fill], tiny_checkpoint: Path) -> None:
    stored = load_checkpoint(tiny_checkpoint)
    parts = (stored.model(), stored.taxonomy, stored.preprocessing, stored.policy)
    target = place[0] / "mine"
    size = (tiny_checkpoint / "model.safetensors").stat().st_size
    rooms = (0, PAGE, size - PAGE)
    save = partial(save_checkpoint, target, *parts)
    check(place, partial(save, "# First\n"), *rooms)
    assert not target.exists()
    save("# Old\n")
    check(place, partial(save, "# New\n"), *rooms)
    assert load_checkpoint(target).card == "# Old\n"


def test_a_calibration(
    place: tuple[Path, Fill], tiny_checkpoint: Path, make_calibration: Any
) -> None:
    stored = load_checkpoint(tiny_checkpoint)
    made = make_calibration(stored.taxonomy)
    save = partial(save_calibrated, place[0] / "mine", stored, made, None)
    save("# Old\n")
    check(place, partial(save, "# New\n"), 0, PAGE)
    assert load_checkpoint(place[0] / "mine").card == "# Old\n"
