"""Excel: three sheets a person reads, no formula in any cell."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.common.provenance import Provenance
from napari_cytodino.exports import _excel as excel
from napari_cytodino.exports.tables import export
from napari_cytodino.results.differential_count import differential

openpyxl = pytest.importorskip("openpyxl", reason="extra 'export' is not installed")

NOTES = Provenance("=a.png", "demo", "00", True, {"min_confidence": 0.9}, {"f": [1]})


def opened(table, path, **options):
    return openpyxl.load_workbook(export(table, path, **options))


def test_three_sheets_with_a_frozen_head(tmp_path, make_field):
    table = make_field().table
    book = opened(table, tmp_path / "c.xlsx", provenance=NOTES)
    assert book.sheetnames == ["cells", "differential", "provenance"]
    cells = book["cells"]
    assert [cell.value for cell in cells[1]] == list(table.columns)
    assert cells.max_row == 7
    label = list(table.columns).index("label") + 1
    assert [cells.cell(row, label).value for row in range(2, 8)] == [*range(7, 25, 3)]
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        assert all(cell.font.bold for cell in sheet[1])
        for place in sheet.column_dimensions.values():
            assert 5 <= place.width <= 48


def test_the_differential_is_the_one_on_screen(tmp_path, make_field):
    table = make_field().table
    sheet = opened(table, tmp_path / "c.xlsx")["differential"]
    head, *lines = sheet.iter_rows(values_only=True)
    read = pd.DataFrame(lines, columns=head)
    pd.testing.assert_frame_equal(read, differential(table), check_dtype=False)


def test_provenance_is_one_line_a_fact(tmp_path, make_field):
    book = opened(make_field().table, tmp_path / "c.xlsx", provenance=NOTES)
    told = dict(book["provenance"].iter_rows(min_row=2, values_only=True))
    assert told["image"] == "'=a.png"
    assert told["policy.min_confidence"] == 0.9
    assert told["settings.f"] == "[1]"
    assert told["synthetic"] is True
    assert told["notice"].startswith("For research use only")


def test_no_cell_is_a_formula_or_an_error(tmp_path, make_field):
    table = make_field().table
    table["reviewer"] = ["=1+1", "+1", "@x", "#N/A", " =1", "-2"]
    book = opened(table, tmp_path / "c.xlsx", provenance=NOTES)
    kinds = {cell.data_type for sheet in book for row in sheet for cell in row}
    assert kinds <= {"s", "inlineStr", "n", "b"}
    column = list(table.columns).index("reviewer") + 1
    shown = [book["cells"].cell(row, column).value for row in range(2, 8)]
    assert shown == ["'=1+1", "'+1", "'@x", "#N/A", "' =1", "'-2"]


def test_numbers_stay_what_they_are(tmp_path, make_field):
    table = make_field(3).table
    table["label"] = [1, 10**15, 2**63 - 1]
    table["margin"] = [0.1 + 0.2, np.nan, np.inf]
    sheet = opened(table, tmp_path / "c.xlsx")["cells"]
    read = pd.DataFrame(sheet.iter_rows(min_row=2, values_only=True))
    read.columns = table.columns
    # Excel would round them
    assert read["label"].tolist() == [1, "1000000000000000", "9223372036854775807"]
    assert read["margin"].tolist() == [0.1 + 0.2, None, "inf"]


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
@example("_x0041_")
@example("_x0041\1")
@example("_x005F_x0041_")
@example("_\r\n\0")
def test_any_text_is_held_without_loss(text):
    held = excel._storable(text)
    assert not openpyxl.cell.cell.ILLEGAL_CHARACTERS_RE.search(held)
    assert "\r" not in held
    assert excel.decoded(held) == text


def test_what_excel_cannot_hold_is_refused(tmp_path, make_field, monkeypatch):
    table = make_field().table
    table["reviewer"] = "n" * 32_768
    with pytest.raises(InputError, match="32768 characters"):
        export(table, tmp_path / "c.xlsx")
    monkeypatch.setattr(excel, "_ROWS", 5)
    with pytest.raises(InputError, match="6 rows is beyond the 5"):
        export(make_field().table, tmp_path / "c.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_taxonomy_has_no_differential(tmp_path, make_field):
    table = make_field().table
    table.attrs = {}
    assert opened(table, tmp_path / "c.xlsx").sheetnames == ["cells", "provenance"]
