"""The report is one page that loads nothing, runs nothing and holds everything."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.case_report.page import case_report, write_case_report
from napari_cytodino.case_report.report import CaseReport
from napari_cytodino.common.errors import InputError
from napari_cytodino.common.provenance import Provenance
from napari_cytodino.results.cell_table import final_class
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Read a page strictly: every element closed, its attributes noted."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words, self.titles = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)
        if self.open[-1:] == ["h2"]:
            self.titles.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def table(lines):
    columns = ["cell_class", "reviewed_class", "reviewer", "status"]
    frame = pd.DataFrame(lines, columns=columns, dtype=object)
    frame["final_class"] = final_class(frame)
    frame["label"] = np.arange(len(frame))
    frame["confidence"] = np.linspace(0.9, 0.1, len(frame))
    frame["reason"] = np.where(frame["status"] == "auto", "", "close")
    return frame


LINES = [
    *[("NGS", "", "", "auto")] * 30,
    *[("NGS", "NGB", "Ann", "review")] * 4,
    *[("MMZ", "", "", "lineage_only")] * 3,
    *[("BLA", "BLA", "Ann", "review")] * 10,
    ("FGC", "FGC", "Ann", "review"),
    *[("EBO", "", "", "auto")] * 8,
]


def case(lines=LINES, **options):
    notes = Provenance("smear.tif", "starter", "ab" * 32, False, {"temperature": 1.0})
    return replace(CaseReport("Case 1", table(lines), TAXONOMY, notes), **options)


def check(html):
    """Fail when the page loads or runs anything."""
    page = Page(html)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "object", "link", "base", "form", "a"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href"):
                assert value.startswith("data:image/png;base64,")
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    return page


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
def test_any_case_makes_a_sound_page(lines):
    page = check(case_report(case(lines)))
    assert "nan" not in page.text
    assert "None" not in page.text


def test_an_open_call_of_an_urgent_class_is_shown():
    lines = [("NGS", "", "", "auto"), ("FGC", "", "", "lineage_only")]
    assert list(case(lines).picture_groups["urgent"]) == [1]
    read = [lines[0], ("FGC", "PMO", "Ann", "lineage_only")]
    groups = case(read).picture_groups
    assert (list(groups["urgent"]), list(groups["corrected"])) == ([], [1])


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)],
)
def test_a_picture_that_is_none(pixels):
    with pytest.raises(InputError, match="picture of row 3"):
        case(pictures={3: pixels})


def test_it_is_written_whole(tmp_path):
    path = tmp_path / "new" / "case.html"
    report = case()
    assert write_case_report(report, path) == path
    text = path.read_text(encoding="utf-8")
    assert text == case_report(report)
    assert text.endswith("</html>\n")
    assert [p.name for p in path.parent.iterdir()] == ["case.html"]


def test_a_disk_that_refuses(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_case_report(case(), tmp_path / "file" / "case.html")
