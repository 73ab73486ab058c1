"""A layer's features become the same files as the table they were made of."""

import json

import dask.array as da
import numpy as np
import pandas as pd
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.exports.geojson import outlines
from napari_cytodino.exports.napari_writers import (
    layer_table,
    write_labels,
    write_points,
)
from napari_cytodino.exports.reading import read_table
from napari_cytodino.results.cell_table import COLUMNS
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL, Taxonomy

CODE = Taxonomy.load("mll21").codes[4]
REVIEWS = {7: (NOT_A_CELL, "A", "t"), 10: (CODE, "A", "t")}


@pytest.fixture
def field(make_field):
    return make_field(reviews=REVIEWS)


def meta(table, **options):
    """Return what napari hands over: a line for each id, empty places None."""
    ours = table[list(COLUMNS)].set_index(table["label"].rename(None)).astype(object)
    ours = ours.where(ours.notna() & (ours != ""), None).reindex(range(23))
    ours["index"] = ours["label"] = np.arange(23)
    ours["other plugin"] = 1.5
    features = ours.reset_index(drop=True).infer_objects()
    return {"name": "cells", "features": features, "metadata": {}} | options


def test_features_are_the_table_again(field):
    back = layer_table(meta(field.table))
    wanted = field.table[list(COLUMNS)]
    pd.testing.assert_frame_equal(back, wanted, check_dtype=False)
    for name in COLUMNS:
        assert back[name].dtype.kind == wanted[name].dtype.kind, name
    assert back.attrs["taxonomy"] == field.table.attrs["taxonomy"]


def test_other_classes_have_no_taxonomy(field):
    other = field.table.assign(cell_class="XYZ")
    assert layer_table(meta(other)).attrs == {}


@pytest.mark.parametrize("write", [write_labels, write_points])
def test_csv_is_the_table(tmp_path, field, write):
    path = tmp_path / "c.csv"
    assert write(str(path), field.labels, meta(field.table)) == [str(path)]
    wanted = field.table[list(COLUMNS)]
    pd.testing.assert_frame_equal(read_table(path), wanted, check_dtype=False)


def rings(path):
    content = json.loads(path.read_text())
    return {
        f["properties"]["name"]: f["geometry"]["coordinates"][0]
        for f in content["features"]
    }


def test_geojson_has_outlines_where_the_labels_are_those_of_the_table(tmp_path, field):
    labels = field.labels.copy()
    labels[labels == 22] = 0
    labels[0:3, 30:33] = 22
    path = tmp_path / "c.geojson"
    write_labels(str(path), labels, meta(field.table))
    wanted = outlines(field.labels, field.cells)
    found = rings(path)
    assert {n: found[n] for n in ("7", "10", "13", "16", "19")} == {
        str(n): wanted[n] for n in (7, 10, 13, 16, 19)
    }
    assert len(found["22"]) == 5
    np.testing.assert_allclose(np.mean(found["22"][:4], axis=0), [15, 109])


def test_geojson_of_points_or_of_a_stack_has_boxes(tmp_path, field):
    points, stack = tmp_path / "p.geojson", tmp_path / "s.geojson"
    write_points(str(points), field.cells.centre, meta(field.table))
    write_labels(str(stack), field.labels[None], meta(field.table))
    assert rings(points) == rings(stack)
    assert all(len(ring) == 5 for ring in rings(points).values())


@pytest.mark.parametrize(
    "features", [{}, {"label": [1, 2]}, {name: [] for name in COLUMNS}]
)
def test_a_layer_without_our_table_is_refused(tmp_path, features):
    told = {"name": "dots", "features": pd.DataFrame(features)}
    with pytest.raises(InputError, match="Layer 'dots' has no table of classified"):
        write_points(str(tmp_path / "c.csv"), np.zeros((2, 2)), told)
    with pytest.raises(InputError, match="Layer '' has no table"):
        layer_table({})
    assert list(tmp_path.iterdir()) == []


def test_geojson_of_a_pyramid_has_the_outlines_of_its_finest_level(tmp_path, field):
    levels = [field.labels, field.labels[::2, ::2]]
    lazy = [da.from_array(level, chunks=16) for level in levels]
    said = []
    for number, data in enumerate((field.labels, levels, lazy)):
        path = tmp_path / f"{number}.geojson"
        write_labels(str(path), data, meta(field.table))
        said.append(rings(path))
    assert said[0] == said[1] == said[2]


def test_a_lazy_stack_is_not_read_for_outlines(tmp_path, field):
    def fail(block):
        raise AssertionError("read")

    stack = da.from_array(np.stack([field.labels] * 2), chunks=16).map_blocks(
        fail, dtype=int, meta=np.zeros(0, int)
    )
    write_labels(str(tmp_path / "c.geojson"), stack, meta(field.table))
