"""Pieces of a page: nothing from data becomes markup."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cytodino.common.html import (
    MISSING,
    Markup,
    chip,
    facts,
    heading,
    html_of,
    interval,
    number,
    paragraph,
    percent,
    picture,
    share,
    table,
)

if TYPE_CHECKING:
    from pathlib import Path

EVIL = '<script>alert("x")</script>&\'"'


class Reader(HTMLParser):
    """Collects tags with their attributes, and the text between."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    found = read(f"<b>{html_of(text)}</b>")
    assert [tag for tag, _ in found.tags] == ["b"]
    # a page has no carriage returns of its own
    assert found.text == text


def test_no_piece_lets_markup_through(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(b"png")
    pieces = [
        paragraph(EVIL, "lead"),
        heading(EVIL),
        facts([(EVIL, EVIL)]),
        table(EVIL, (EVIL,), [(EVIL, EVIL)]),
        html_of(chip("#112233", EVIL)),
        picture(path, EVIL, EVIL),
    ]
    for piece in pieces:
        found = read(piece)
        assert "script" not in {tag for tag, _ in found.tags}
        assert EVIL in found.text
    image = dict(read(pieces[-1]).tags)["img"]
    assert image["alt"] == EVIL


def test_markup_stands_as_it_is() -> None:
    assert html_of(Markup("<b>1</b>")) == "<b>1</b>"
    assert html_of(3) == "3"


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (number(0.12345), "0.123"),
        (number(None), MISSING),
        (percent(0.0321), "3.2 %"),
        (percent(None), MISSING),
        (html_of(interval(0.5, 0.4, 0.6)), "0.500 <small>(0.400 to 0.600)</small>"),
        (html_of(share(0.5, 0.4, 0.6)), "50.0 % <small>(40.0 to 60.0)</small>"),
        (html_of(interval(None, None, None)), MISSING),
        (html_of(share(None, None, None)), MISSING),
    ],
)
def test_numbers_in_words(made: str, wanted: str) -> None:
    assert made == wanted


def test_a_table_names_its_rows_and_columns() -> None:
    found = read(table("Cells", ("class", "n", "meaning"), [("a", 3, "words")]))
    scopes = [attrs["scope"] for tag, attrs in found.tags if tag == "th"]
    assert scopes == ["col", "col", "col", "row"]
    assert "caption" in dict(found.tags)
    assert [attrs for tag, attrs in found.tags if tag == "td"] == [
        {},
        {"class": "text"},
    ]
    assert dict(found.tags)["div"]["aria-label"] == "Cells"


def test_empty_facts_are_left_out() -> None:
    assert read(facts([("a", ""), ("b", 0)])).text == "b0"


def test_a_picture_is_part_of_the_page(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(bytes(range(256)))
    source = dict(read(picture(path, "what", "why")).tags)["img"]["src"]
    assert source is not None
    head, data = source.split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == path.read_bytes()
