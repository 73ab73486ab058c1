"""The report is one page that loads nothing, runs nothing and holds everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.case_report.page import case_report, write_case_report
from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(TAXONOMY.codes),
            st.sampled_from(["", "NGS", "FGC", "not_a_cell"]),
            st.sampled_from(["Ann", "Bob"]),
            st.sampled_from(["auto", "review", "lineage_only", "rejected"]),
        ),
        max_size=20,
    )
)
def test_any_case_makes_a_sound_page(make_case, read_page, lines):
    page = read_page(case_report(make_case(lines)))
    assert "nan" not in page.text
    assert "None" not in page.text


def test_an_open_call_of_an_urgent_class_is_shown(make_case):
    lines = [("NGS", "", "", "auto"), ("FGC", "", "", "lineage_only")]
    assert list(make_case(lines).picture_groups["urgent"]) == [1]
    read = [lines[0], ("FGC", "PMO", "Ann", "lineage_only")]
    groups = make_case(read).picture_groups
    assert (list(groups["urgent"]), list(groups["corrected"])) == ([], [1])


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)],
)
def test_a_picture_that_is_none(pixels, make_case):
    with pytest.raises(InputError, match="picture of row 3"):
        make_case(pictures={3: pixels})


def test_it_is_written_whole(tmp_path, make_case):
    path = tmp_path / "new" / "case.html"
    report = make_case()
    assert write_case_report(report, path) == path
    text = path.read_text(encoding="utf-8")
    assert text == case_report(report)
    assert text.endswith("</html>\n")
    assert [p.name for p in path.parent.iterdir()] == ["case.html"]


def test_a_disk_that_refuses(tmp_path, make_case):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_case_report(make_case(), tmp_path / "file" / "case.html")
