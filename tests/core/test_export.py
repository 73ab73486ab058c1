"""Exports hold what the table holds, safely, in formats others read."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cytodino.core.cells import cells_from_labels
from napari_cytodino.core.decisions import DecisionPolicy
from napari_cytodino.core.errors import InputError
from napari_cytodino.core.export import export, formula_safe, outlines
from napari_cytodino.core.predictions import PredictionBatch, Predictions
from napari_cytodino.core.provenance import Provenance
from napari_cytodino.core.table import build_table, file_table
from napari_cytodino.core.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")
LABELS = np.zeros((60, 80), np.int32)
LABELS[10:20, 10:30], LABELS[30:50, 40:60] = 900, 4
NOTES = Provenance("a.png", "demo", "00", True, {"min_confidence": 0.9})


@pytest.fixture
def table():
    cells = cells_from_labels(LABELS)
    logits = np.random.default_rng(3).normal(0, 6, (2, 21)).astype(np.float32)
    batch = PredictionBatch(
        np.arange(2), logits, np.zeros((2, 2), np.float16), np.ones(2, bool)
    )
    whole = Predictions.empty(2, 21, 2).with_batch(batch)
    policy = DecisionPolicy()
    frame = build_table(cells, whole, TAXONOMY, policy)
    return file_table(
        frame, cells, whole, TAXONOMY, policy, image="a.png", checkpoint="demo@0"
    )


def test_csv_reads_back_equal(tmp_path, table):
    path = export(table, tmp_path / "cells.csv", provenance=NOTES)
    back = pd.read_csv(path, keep_default_na=False, dtype={"label": np.int64})
    assert list(back.columns) == list(table.columns)
    assert back["label"].tolist() == table["label"].tolist() == [4, 900]
    for name in ("cell_class", "status", "reason", "final_class"):
        assert back[name].tolist() == table[name].tolist()
    np.testing.assert_allclose(back["confidence"], table["confidence"], atol=1e-6)
    notes = json.loads((tmp_path / "cells.provenance.json").read_text())
    assert notes == NOTES.to_dict()


@given(st.text(max_size=30))
def test_no_text_is_a_formula_and_the_rest_stays(text):
    frame = pd.DataFrame({"image": [text], "x": [-3.2]})
    safe = formula_safe(frame)
    told = safe["image"][0]
    assert not told.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\0"))
    assert told in (text, f"'{text}")
    assert safe["x"][0] == -3.2
    assert frame["image"][0] == text


def test_geojson_is_what_qupath_reads(tmp_path, table):
    rings = outlines(LABELS, cells_from_labels(LABELS))
    path = export(table, tmp_path / "c.geojson", provenance=NOTES, polygons=rings)
    content = json.loads(path.read_text())
    assert content["type"] == "FeatureCollection"
    assert content["provenance"]["synthetic"] is True
    first, second = content["features"]
    assert first["id"] != second["id"]
    assert first["properties"]["objectType"] == "detection"
    assert first["properties"]["name"] == "4"
    colour = first["properties"]["classification"]["color"]
    assert len(colour) == 3
    assert all(isinstance(part, int) for part in colour)
    ring = np.array(first["geometry"]["coordinates"][0])
    np.testing.assert_array_equal(ring[0], ring[-1])
    np.testing.assert_allclose(ring.min(axis=0), [39.5, 29.5])
    np.testing.assert_allclose(ring.max(axis=0), [59.5, 49.5])
    assert "label" not in first["properties"]["measurements"]


def test_geojson_without_outlines_has_boxes(tmp_path, table):
    content = json.loads(export(table, tmp_path / "c.geojson").read_text())
    ring = content["features"][1]["geometry"]["coordinates"][0]
    assert ring == [[10, 10], [30, 10], [30, 20], [10, 20], [10, 10]]


def test_geojson_has_no_nan(tmp_path, table):
    table["confidence"] = np.nan
    text = export(table, tmp_path / "c.geojson").read_text()
    assert "NaN" not in text


@pytest.mark.parametrize(
    ("suffix", "package"), [(".parquet", "pyarrow"), (".h5ad", "anndata")]
)
def test_a_missing_package_is_named(tmp_path, table, suffix, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    if package == "pyarrow":
        monkeypatch.setitem(sys.modules, "fastparquet", None)
    with pytest.raises(InputError, match=package):
        export(table, tmp_path / f"c{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_parquet_reads_back(tmp_path, table):
    pytest.importorskip("pyarrow", reason="extra 'export' is not installed")
    back = pd.read_parquet(export(table, tmp_path / "c.parquet"))
    assert back["label"].tolist() == [4, 900]


def test_anndata_reads_back(tmp_path, table):
    anndata = pytest.importorskip("anndata", reason="extra 'export' is not installed")
    back = anndata.read_h5ad(export(table, tmp_path / "c.h5ad", provenance=NOTES))
    assert back.obs["label"].tolist() == [4, 900]
    assert back.obsm["spatial"].shape == (2, 2)
    assert json.loads(back.uns["provenance"])["checkpoint"] == "demo"


def test_unknown_format(tmp_path, table):
    with pytest.raises(InputError, match=r"'\.xyz' is no export format"):
        export(table, tmp_path / "c.xyz")


def test_an_export_replaces_an_earlier_one(tmp_path, table):
    path = export(table, tmp_path / "c.csv")
    export(table.iloc[:1], path)
    assert len(pd.read_csv(path)) == 1
