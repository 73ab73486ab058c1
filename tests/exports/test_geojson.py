"""GeoJSON as QuPath reads it: its own adapter's rules, written down as checks.

Of ``QuPathTypeAdapters`` and ``GsonTools.PathClassTypeAdapter`` (since QuPath 0.4), and
"Exporting annotations" in QuPath's documentation.
"""

import json
import re
import uuid

import numpy as np
import pytest

from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.exports.geojson import outlines
from napari_cytodino.exports.tables import export
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL, Taxonomy

UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
)
TAXONOMY = Taxonomy.load("mll21")
REVIEWS = {7: (NOT_A_CELL, "A", "t"), 10: (TAXONOMY.codes[2], "A", "t")}
OBJECT_TYPES = {"annotation", "detection", "cell", "tile", "tmaCore", "root"}


def area(ring):
    x, y = np.array(ring).T
    return abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2


def assert_qupath_reads(feature):
    assert feature["type"] == "Feature"
    assert UUID.fullmatch(feature["id"])
    assert uuid.UUID(feature["id"]).version == 4
    assert feature["geometry"]["type"] == "Polygon"
    for ring in feature["geometry"]["coordinates"]:
        assert len(ring) >= 4
        assert ring[0] == ring[-1]
        assert area(ring) > 0
        assert np.isfinite(ring).all()
    properties = feature["properties"]
    assert properties["objectType"] in OBJECT_TYPES
    assert isinstance(properties["name"], str)
    # a map of numbers; the list of name and value went with 0.4
    assert all(isinstance(v, float) for v in properties["measurements"].values())
    assert all(isinstance(v, str) for v in properties["metadata"].values())
    if "classification" in properties:
        found = properties["classification"]
        # QuPath throws where either is missing, and takes these for the old form
        assert {"name", "color"} <= found.keys()
        assert not {"colorRGB", "parentClass"} & found.keys()
        assert found["name"]
        assert ":" not in found["name"]
        assert len(found["color"]) == 3
        assert all(type(part) is int and 0 <= part <= 255 for part in found["color"])
    assert "isLocked" not in properties


def features(field, path, **options):
    content = json.loads(export(field.table, path, **options).read_text())
    assert content["type"] == "FeatureCollection"
    for feature in content["features"]:
        assert_qupath_reads(feature)
    return {f["properties"]["name"]: f for f in content["features"]}


def test_qupath_reads_it(tmp_path, make_field):
    field = make_field(reviews=REVIEWS)
    rings = outlines(field.labels, field.cells)
    found = features(field, tmp_path / "c.geojson", polygons=rings)
    assert list(found) == ["7", "10", "13", "16", "19", "22"]
    assert len({f["id"] for f in found.values()}) == 6
    classes = {c.code: c.colour for c in TAXONOMY.classes}
    for line in field.table.to_dict("records"):
        said = found[str(line["label"])]["properties"].get("classification")
        if line["reviewed_class"] == NOT_A_CELL:
            # an asterisk: left out of QuPath's own measurements
            assert said["name"] == "Ignore*"
        elif not line["final_class"]:
            assert said is None
        else:
            assert said["name"] == line["final_class"]
            assert "#{:02X}{:02X}{:02X}".format(*said["color"]) == classes[said["name"]]
        told = found[str(line["label"])]["properties"]["measurements"]
        assert told["confidence"] == pytest.approx(line["confidence"])
        assert told["y"] == line["y"]
        assert not {"label", "index", "bbox_top", "at_border"} & told.keys()


def test_outlines_lie_where_qupath_has_the_pixels(make_field):
    """QuPath's origin is the corner of the image, not the centre of its first pixel."""
    field = make_field(1)
    [ring] = outlines(field.labels, field.cells).values()
    np.testing.assert_allclose(np.min(ring, axis=0), [9, 4])
    np.testing.assert_allclose(np.max(ring, axis=0), [21, 14])
    # the four corners are cut
    assert area(ring) == pytest.approx(10 * 12 - 0.5)


def test_the_outline_of_any_shape_is_about_its_pixels():
    y, x = np.mgrid[:80, :90]
    disc = (((y - 30) ** 2 + (x - 50) ** 2) < 20**2).astype(np.int64) * 2**40
    disc[60, 80] = 5
    rings = outlines(disc, cells_from_labels(disc))
    assert area(rings[2**40]) == pytest.approx((disc > 5).sum(), rel=0.02)
    assert len(rings[5]) == 5


def test_lazy_labels_have_the_same_outlines_and_each_row_is_read_about_once():
    rng = np.random.default_rng(0)
    labels = np.zeros((2600, 300), np.int32)
    for label, top in enumerate(rng.permutation(range(0, 2570, 40)), start=1):
        left = int(rng.integers(0, 260))
        labels[top : top + 30, left : left + rng.integers(5, 40)] = label
    read = []

    class Rows:
        shape, dtype = labels.shape, labels.dtype

        def __getitem__(self, place):
            rows = place if isinstance(place, slice) else place[0]
            read.append(range(*rows.indices(len(labels))))
            return labels[place]

    cells = cells_from_labels(labels)
    whole = outlines(labels, cells)
    assert list(whole) == cells.label.tolist()
    assert outlines(Rows(), cells) == whole
    assert len(read) == 3
    assert sum(map(len, read)) < 1.1 * len(labels)


def test_the_same_cell_has_the_same_id(tmp_path, make_field):
    first = features(make_field(), tmp_path / "a.geojson")
    again = features(make_field(reviews=REVIEWS), tmp_path / "b.geojson")
    other = features(make_field(image="b.png"), tmp_path / "c.geojson")
    assert [f["id"] for f in first.values()] == [f["id"] for f in again.values()]
    assert not {f["id"] for f in first.values()} & {f["id"] for f in other.values()}


def test_without_outlines_there_are_boxes(tmp_path, make_field):
    field = make_field(1)
    box = [[[9, 4], [21, 4], [21, 14], [9, 14], [9, 4]]]
    [cell] = features(field, tmp_path / "c.geojson").values()
    assert cell["geometry"]["coordinates"] == box
    field.table = field.table.drop(columns=[c for c in field.table if "bbox" in c])
    [cell] = features(field, tmp_path / "c.geojson").values()
    ring = cell["geometry"]["coordinates"][0]
    assert area(ring) == pytest.approx(120)
    np.testing.assert_allclose(np.mean(ring[:4], axis=0), [15, 9])


def test_nan_is_left_out_and_a_table_without_taxonomy_is_grey(tmp_path, make_field):
    field = make_field(reviews=REVIEWS)
    field.table["confidence"], field.table.attrs = np.nan, {}
    cell = features(field, tmp_path / "c.geojson")["10"]["properties"]
    assert "confidence" not in cell["measurements"]
    grey = {"name": TAXONOMY.codes[2], "color": [128, 128, 128]}
    assert cell["classification"] == grey
