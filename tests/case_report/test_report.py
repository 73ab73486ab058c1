"""What the report of a case says, as data."""

import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from napari_cytodino.case_report.page import case_report
from napari_cytodino.case_report.report import MOST_PICTURES, rows_to_show
from napari_cytodino.common.errors import InputError
from napari_cytodino.common.provenance import Provenance
from napari_cytodino.review.reader_agreement import agreement
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")
EVIL = (
    "\"><script>alert(1)</script><img src=x onerror=alert(1)>$body '&\x00\ud800\u202e\r"
)


def test_the_whole_report(make_case, read_page):
    both = agreement({0: "NGS", 1: "BLA"}, {0: "NGS", 1: "NGS"}, TAXONOMY)
    report = make_case(agreements=(both,))
    shown = dict.fromkeys(rows_to_show(report), np.zeros((8, 8, 3), np.uint8))
    page = read_page(case_report(replace(report, pictures=shown)))
    wanted = ["Alerts", "Differential", "Agreement", "Cells", "How it was made"]
    assert page.titles == wanted
    # nothing is before the alerts but whose report it is
    assert page.text.index("faggot cell") < page.text.index("cells counted")
    assert len([tag for tag, _ in page.tags if tag == "img"]) == len(shown)
    assert page.text.count("esearch use only") == 2
    assert page.tags[0] == ("html", {"lang": "en"})


def test_texts_of_others_stay_texts(make_case, read_page):
    lines = [("NGS", EVIL, EVIL, EVIL)] * 3
    notes = Provenance(
        EVIL, EVIL, EVIL, False, {EVIL: EVIL}, {EVIL: EVIL}, {EVIL: EVIL}, EVIL, EVIL
    )
    report = make_case(
        lines,
        case=EVIL,
        provenance=notes,
        agreements=(agreement({0: "NGS"}, {0: "BLA"}, TAXONOMY, names=(EVIL, EVIL)),),
        pictures={0: np.zeros((4, 4, 3), np.uint8)},
        picture_note=EVIL,
        guarantee=EVIL,
        image_hash=EVIL,
        remark=EVIL,
        created=EVIL,
    )
    html = case_report(report)
    page = read_page(html)
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 1
    assert page.text.count("<script>alert(1)</script>") >= 15
    html.encode("utf-8")
    # no mark that hides or turns a text around comes through, in attributes either
    kinds = {unicodedata.category(letter) for letter in set(html) - {"\n"}}
    assert not any(kind.startswith("C") for kind in kinds)


def test_urgent_cells_are_shown_first_then_corrected_then_flagged(make_case):
    report = make_case()
    rows = rows_to_show(report)
    assert rows[0] == 47
    assert set(rows[1:5]) == {30, 31, 32, 33}
    # the least sure first: the last of them
    assert rows[1] == 33
    assert rows[5] == 46
    assert len(rows) == len(set(rows)) == 1 + 4 + 13


def test_room_is_shared(make_case):
    lines = [("NGS", "NGB", "A", "auto")] * 50 + [("BLA", "", "", "review")] * 50
    rows = np.array(rows_to_show(make_case(lines), 20))
    assert ((rows < 50).sum(), (rows >= 50).sum()) == (10, 10)
    few = [*lines[:3], *lines[50:]]
    assert (np.array(rows_to_show(make_case(few), 20)) < 3).sum() == 3
    assert len(rows_to_show(make_case(few), 20)) == 20
    many = [*lines[:50], *lines[50:53]]
    assert (np.array(rows_to_show(make_case(many), 20)) >= 50).sum() == 3
    assert len(rows_to_show(make_case(lines))) == MOST_PICTURES
    crowd = [("FGC", "", "", "review")] * 30
    assert len(rows_to_show(make_case(crowd), 20)) == 20


def test_rows_are_those_of_the_cells(make_case):
    lines = [("NGS", "", "", "auto"), ("NGS", "BLA", "A", "auto")]
    assert rows_to_show(make_case(lines, rows=np.array([4, 9]))) == (9,)
    with pytest.raises(InputError, match="1 rows do not fit a table of 2"):
        make_case(lines, rows=np.array([4]))
