"""A case that several tests report, and a strict reader of the page."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from napari_cytodino.case_report.report import CaseReport
from napari_cytodino.common.provenance import Provenance
from napari_cytodino.results.cell_table import final_class
from napari_cytodino.taxonomy.taxonomy import Taxonomy

VOID = {"meta", "img", "br"}

LINES = [
    *[("NGS", "", "", "auto")] * 30,
    *[("NGS", "NGB", "Ann", "review")] * 4,
    *[("MMZ", "", "", "lineage_only")] * 3,
    *[("BLA", "BLA", "Ann", "review")] * 10,
    ("FGC", "FGC", "Ann", "review"),
    *[("EBO", "", "", "auto")] * 8,
]


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


@pytest.fixture(scope="session")
def make_case():
    """Return what reports (model's class, reader's class, reader, status) lines."""
    taxonomy = Taxonomy.load("mll21")
    columns = ["cell_class", "reviewed_class", "reviewer", "status"]
    notes = Provenance("smear.tif", "starter", "ab" * 32, False, {"temperature": 1.0})

    def make(lines=LINES, **options):
        frame = pd.DataFrame(lines, columns=columns, dtype=object)
        frame["final_class"] = final_class(frame)
        frame["label"] = np.arange(len(frame))
        frame["confidence"] = np.linspace(0.9, 0.1, len(frame))
        frame["reason"] = np.where(frame["status"] == "auto", "", "close")
        return replace(CaseReport("Case 1", frame, taxonomy, notes), **options)

    return make


@pytest.fixture(scope="session")
def read_page():
    """Return what reads a page, and fails where it loads or runs anything."""

    def read(html):
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

    return read
