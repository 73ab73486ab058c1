"""The door: one call for all formats, whole files, a word where it cannot be."""

import errno
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_cytodino.batch.images import FORMATS
from napari_cytodino.common.errors import InputError
from napari_cytodino.common.provenance import Provenance
from napari_cytodino.exports.geojson import outlines
from napari_cytodino.exports.plain_text import formula_safe
from napari_cytodino.exports.tables import SUFFIXES, export, notes_path

NOTES = Provenance("a.png", "demo", "00", True, {"min_confidence": 0.9})
PACKAGES = {".xlsx": "openpyxl", ".parquet": "pyarrow", ".h5ad": "anndata"}
INSTALL = r"pip install 'napari-cytodino\[export\]'"


class Unsaid:
    """What no file can hold."""

    def __str__(self):
        raise ValueError("unsaid")


@pytest.fixture
def table(make_field):
    return make_field().table


def test_csv_reads_back_equal(tmp_path, table):
    path = export(table, tmp_path / "cells.csv", provenance=NOTES)
    back = pd.read_csv(path, keep_default_na=False, dtype={"label": np.int64})
    assert list(back.columns) == list(table.columns)
    assert back["label"].tolist() == table["label"].tolist() == [7, 10, 13, 16, 19, 22]
    for name in ("cell_class", "status", "reason", "final_class"):
        assert back[name].tolist() == table[name].tolist()
    np.testing.assert_allclose(back["confidence"], table["confidence"], atol=1e-6)
    notes = json.loads((tmp_path / "cells.provenance.json").read_text())
    assert notes == NOTES.to_dict()


def test_parquet_keeps_types_and_provenance(tmp_path, table):
    pytest.importorskip("pyarrow", reason="extra 'export' is not installed")
    back = pd.read_parquet(export(table, tmp_path / "c.parquet", provenance=NOTES))
    assert back["label"].dtype == np.int64
    assert back["at_border"].dtype == bool
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    assert back.attrs["provenance"] == NOTES.to_dict()
    assert back.attrs["taxonomy"]["name"] == "mll21"
    assert "provenance" not in table.attrs


@pytest.mark.parametrize("suffix", PACKAGES)
def test_a_missing_package_is_named(tmp_path, table, suffix, monkeypatch):
    for package in (PACKAGES[suffix], "fastparquet"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"{PACKAGES[suffix]}.*{INSTALL}"):
        export(table, tmp_path / f"c{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_unknown_format(tmp_path, table):
    with pytest.raises(InputError, match=r"'\.xyz' is no export format; use one of "):
        export(table, tmp_path / "c.xyz")


def test_the_suffix_may_be_in_capitals(tmp_path, table):
    assert len(pd.read_csv(export(table, tmp_path / "C.CSV"))) == 6


def test_the_command_line_has_every_format():
    assert {f".{name}" for name in FORMATS} == set(SUFFIXES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_whole_or_not_there(tmp_path, table, suffix):
    if suffix in PACKAGES:
        pytest.importorskip(PACKAGES[suffix], reason="extra 'export' is not installed")
    path = tmp_path / f"c{suffix}"
    path.write_bytes(b"what was there")
    table["reason"] = [Unsaid()] * len(table)
    with pytest.raises((InputError, TypeError, ValueError), match=r"unsaid|convert"):
        export(table, path)
    assert path.read_bytes() == b"what was there"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_export_replaces_an_earlier_one(tmp_path, table):
    path = export(table, tmp_path / "c.csv")
    export(table.iloc[:1], path)
    assert len(pd.read_csv(path)) == 1


def test_a_name_that_is_no_text_is_told(tmp_path, table):
    table["image"] = pd.Series(["smear\udcff.png"] * 6, dtype=object)
    with pytest.raises(InputError, match="rename the image"):
        export(table, tmp_path / "c.csv")
    assert list(tmp_path.iterdir()) == []


def test_what_callers_take_from_here(make_field):
    field = make_field()
    assert set(outlines(field.labels, field.cells)) == set(field.cells.label)
    assert formula_safe(pd.DataFrame({"a": ["=1"]}))["a"][0] == "'=1"


@pytest.mark.parametrize("lock", [True, False], ids=["locked", "folder"])
def test_a_table_that_stays_keeps_its_notes(table, tmp_path, monkeypatch, lock):
    path = tmp_path / "cells.csv"
    table.attrs["provenance"] = {"image": "first"}
    export(table, path)
    if not lock:
        path.unlink()
        path.mkdir()
    before = {p.name: p.is_dir() or p.read_bytes() for p in tmp_path.iterdir()}
    stock = Path.replace

    def replace(source, target):
        # as Windows does while Excel shows the table
        if lock and target == path:
            raise PermissionError(errno.EACCES, "Access is denied", str(target))
        return stock(source, target)

    monkeypatch.setattr(Path, "replace", replace)
    table.attrs["provenance"] = {"image": "again"}
    words = "close the program that has it open, or" if lock else "is a folder, so"
    with pytest.raises(InputError, match=rf"s\.csv cannot .*{words} choose another"):
        export(table, path)
    assert {p.name: p.is_dir() or p.read_bytes() for p in tmp_path.iterdir()} == before


def test_notes_that_cannot_be_written_leave_the_old_table(table, tmp_path):
    path = tmp_path / "cells.csv"
    table.attrs["provenance"] = {"image": "first"}
    export(table, path)
    before = path.read_bytes()
    table.attrs["provenance"] = {"image": "again"}
    notes_path(path).unlink()
    notes_path(path).mkdir()
    with pytest.raises(InputError, match=r"cells\.provenance\.json is a folder"):
        export(table.iloc[:1], path)
    assert path.read_bytes() == before
