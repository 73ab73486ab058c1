"""What was exported comes back: each text, each number, each verdict."""

import json
import sys

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.common.provenance import Provenance
from napari_cytodino.exports.plain_text import in_decimals
from napari_cytodino.exports.reading import READABLE, read_table, verdicts_of
from napari_cytodino.exports.tables import export
from napari_cytodino.results.cell_table import COLUMNS
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL, Taxonomy

PACKAGES = {".xlsx": "openpyxl", ".parquet": "pyarrow"}
NOTES = Provenance("a.png", "demo", "00", True, {"min_confidence": 0.9})
CODE = Taxonomy.load("mll21").codes[4]
REVIEWS = {
    10: (CODE, "=Ada", "2026-11-22T10:00:00.000+00:00"),
    19: (NOT_A_CELL, "", "t"),
}
NASTY = st.text(max_size=8) | st.text(
    st.sampled_from(
        "'=+-@ \t\r\n\0a,;\"\\_x01DF\N{LATIN SMALL LETTER U WITH DIAERESIS}"
    ),
    max_size=10,
)
NUMBER = st.floats(allow_nan=True, allow_infinity=True)
WHOLE = st.integers(1, 2**63 - 1)


@pytest.fixture(params=READABLE)
def suffix(request):
    if request.param in PACKAGES:
        pytest.importorskip(
            PACKAGES[request.param], reason="extra 'export' is not installed"
        )
    return request.param


def same(back, table):
    """Check columns, kinds and values."""
    pd.testing.assert_frame_equal(
        back, table, check_dtype=False, check_exact=True, check_column_type=False
    )
    for name in table.columns:
        assert back[name].dtype.kind == table[name].dtype.kind, name


def test_a_table_comes_back_whole(tmp_path, make_field, suffix):
    table = make_field(reviews=REVIEWS).table
    path = export(table, tmp_path / f"c{suffix}", provenance=NOTES)
    same(read_table(path), table if suffix == ".parquet" else in_decimals(table))


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(WHOLE, NUMBER, st.booleans(), NASTY, NASTY), min_size=1, max_size=4
    )
)
@example([(1, 0.1 + 0.2, True, "'=1", "_x0041_"), (2**53 + 1, 1e-300, False, "\r", "")])
def test_any_text_and_number_comes_back(tmp_path, suffix, lines):
    label, number, flag, image, reviewer = zip(*lines, strict=True)
    columns = {name: pd.Series([""] * len(lines), dtype=object) for name in COLUMNS}
    columns |= {"index": label, "label": label, "at_border": flag}
    columns |= dict.fromkeys(("y", "x", "area", "confidence", "margin"), number)
    columns["reviewer"] = pd.Series(reviewer, dtype=object)
    columns["image"] = pd.Series(image, dtype=object)
    table = pd.DataFrame(columns)
    same(read_table(export(table, tmp_path / f"c{suffix}")), table)


def test_provenance_comes_back(tmp_path, make_field):
    table = make_field().table
    csv = read_table(export(table, tmp_path / "c.csv", provenance=NOTES))
    assert csv.attrs == {"provenance": json.loads(json.dumps(NOTES.to_dict()))}
    pytest.importorskip("pyarrow", reason="extra 'export' is not installed")
    parquet = read_table(export(table, tmp_path / "c.parquet", provenance=NOTES))
    assert parquet.attrs == json.loads(json.dumps(table.attrs)) | csv.attrs


def test_verdicts_are_those_a_reader_gave(tmp_path, make_field, suffix):
    field = make_field(reviews=REVIEWS)
    table = read_table(export(field.table, tmp_path / f"c{suffix}"))
    one, other = verdicts_of(table)
    line = field.table.iloc[1]
    assert (one.image, one.label, one.y, one.x) == ("a.png", 10, line["y"], line["x"])
    assert (one.area, one.model) == (120.0, line["cell_class"])
    assert (one.cell_class, one.reviewer, one.at) == REVIEWS[10]
    assert (other.label, other.cell_class, other.reviewer) == (19, NOT_A_CELL, "")


def test_a_table_without_image_has_verdicts_too(make_field):
    table = make_field(reviews=REVIEWS).table.drop(columns="image")
    assert [v.image for v in verdicts_of(table)] == ["", ""]
    assert verdicts_of(make_field().table) == ()


def test_a_table_of_no_cells_comes_back(tmp_path, make_field, suffix):
    table = make_field().table.iloc[:0]
    assert list(read_table(export(table, tmp_path / f"c{suffix}"))) == list(table)


def test_a_csv_that_a_spreadsheet_saved_is_read(tmp_path, make_field):
    path = export(make_field().table, tmp_path / "c.csv")
    path.write_text("\ufeff" + path.read_text().replace("False", "FALSE"))
    assert read_table(path)["at_border"].tolist() == [False] * 6


HEAD = ",".join(COLUMNS)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.csv", "", "lacks the column 'index'; choose a cell table"),
        ("c.csv", "label,y,x\n1,2,3\n", "lacks the column 'index'"),
        ("c.csv", f"{HEAD},label\n", "names a column twice"),
        ("c.csv", f"{HEAD}\n1,2\n", "row 1 has 2 values for 16 columns"),
        ("c.csv", f"{HEAD}\n{',' * 15}\n", "cannot be read as a cell table"),
        ("c.csv", b"\xff\xfe", "cannot be read as a cell table"),
        ("c.xlsx", "no archive", "cannot be read as a cell table"),
        ("c.parquet", "no parquet", "cannot be read as a cell table"),
        ("c.geojson", "{}", r"no table that can be loaded; use \.csv, \.xlsx"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, name, content, words):
    if name[1:] in PACKAGES:
        pytest.importorskip(PACKAGES[name[1:]], reason="extra 'export' is missing")
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=words):
        read_table(path)


def test_a_missing_file_or_package_is_told(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"no table .*c\.csv; check the path"):
        read_table(tmp_path / "c.csv")
    for suffix, package in PACKAGES.items():
        (tmp_path / f"c{suffix}").touch()
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.setitem(sys.modules, "fastparquet", None)
        with pytest.raises(InputError, match=f"{package}.*pip install"):
            read_table(tmp_path / f"c{suffix}")
