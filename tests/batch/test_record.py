"""The digest sees every number of a result, and neither the time nor the place."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.batch.images import FORMATS, write_differential
from napari_cytodino.batch.record import Record, digest, result_hash, write_record
from napari_cytodino.exports.overlay import write_overlay
from napari_cytodino.exports.tables import export
from napari_cytodino.images.source import ImageSource
from napari_cytodino.taxonomy.taxonomy import Taxonomy


def write(out, table, *, created="2026-01-01", device="CPU, 1 threads", change=False):
    """Write a table in every format, as a run would; return the files."""
    table = table.copy()
    table.attrs["taxonomy"] = Taxonomy.load("mll21").to_dict()
    settings = {"risk": None, "device": device, "cells": str(out / "labels.tif")}
    notes = {"image": "a.png", "created": created, "settings": settings}
    table.attrs["provenance"] = notes
    if change:
        table.loc[0, "confidence"] += 1e-6
    for suffix in FORMATS:
        export(table, out / f"a.cells.{suffix}")
    write_differential(table, out / "a.differential.csv")
    boxes = np.tile([2.0, 2.0, 9.0, 9.0], (len(table), 1))
    pixels = np.full((20, 20, 3), 7 + change, np.uint8)
    write_overlay(out / "a.overlay.png", ImageSource(pixels), table, boxes)
    return sorted(out.iterdir())


@pytest.fixture
def written(tmp_path, make_field):
    for package in ("openpyxl", "pyarrow", "anndata"):
        pytest.importorskip(package, reason="extra 'export' is not installed")
    table = make_field(4).table
    first = write(tmp_path / "first", table)
    later = write(tmp_path / "later", table, created="2027-05-05", device="CPU, 64")
    other = write(tmp_path / "other", table, change=True)
    return first, later, other


def test_each_format_by_itself(written):
    names = [path.name for path in written[0]]
    assert len(names) == len(FORMATS) + 3
    for first, later, other in zip(*written, strict=True):
        assert result_hash([first]) == result_hash([later]), first.name
        # the change is in no class, so that it is not counted otherwise
        same = first.name in ("a.differential.csv", "a.cells.provenance.json")
        assert (result_hash([first]) == result_hash([other])) == same, first.name
    assert result_hash(written[0]) == result_hash(written[0][::-1])
    assert result_hash(written[0]) != result_hash(written[0][1:])


def test_the_settings_count(written):
    path = written[0][0].with_name("a.cells.provenance.json")
    before = result_hash([path])
    notes = json.loads(path.read_text())
    notes["settings"]["risk"] = 0.01
    path.write_text(json.dumps(notes))
    assert result_hash([path]) != before


def folder_digest(out: Path, *, anew=False, cells=4, content=None):
    files = [p for p in out.iterdir() if not p.name.endswith(".done.json")]
    told = result_hash(files) if content is None else content
    hashes = {path.name: "0" * 64 for path in files}
    write_record(out, "a", Record({"risk": None}, cells, files=hashes, content=told))
    return digest(out, anew=anew)


def test_of_a_folder(written):
    first, later, other = (files[0].parent for files in written)
    assert folder_digest(first) == folder_digest(later) == digest(first, anew=True)
    assert folder_digest(other) != digest(first)
    assert folder_digest(later, cells=5) != digest(first)
    # what the record holds is a shortcut: the files themselves tell
    assert folder_digest(later, content="made up") != digest(first)
    assert digest(later, anew=True) == digest(first)


def test_only_what_is_done_counts(tmp_path, written):
    out = written[0][0].parent
    whole = folder_digest(out)
    Image.new("RGB", (4, 4)).save(out / "b.overlay.png")
    (out / "b.done.json").write_text("{")
    assert digest(out) == whole
    assert digest(tmp_path / "nothing") != whole
