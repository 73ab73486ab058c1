"""What comes from data is text in a page, whatever it holds, by whatever way."""

from __future__ import annotations

import base64
import math
import re
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup

from napari_cytodino.common.html import (
    MISSING,
    _environment,
    data_uri,
    number,
    of_all,
    percent,
    render_html,
    span,
)

EVIL = '<script>alert("x")</script>&\'"{{ 7 * 7 }}'
PACKAGE = Path(str(resources.files("napari_cytodino")))
TEMPLATES = sorted(PACKAGE.rglob("*.html"))

WAYS = (
    "{{ text }}",
    "{{ [text, text]|join(', ') }}",
    "{% macro say(t) %}{{ t }}{% endmacro %}{{ say(text) }}",
    "{% macro say() %}{{ caller() }}{% endmacro %}"
    "{% call say() %}{{ text }}{% endcall %}",
    "{% set said %}{{ text }}{% endset %}{{ said }}",
    "{% set said %}!{% endset %}{{ said ~ text }}",
    "{{ text|replace('_', ' ') }}",
    "{{ {text: text}|string }}",
    "{{ path }}",
)
"""How a template may lay out a text."""


class Reader(HTMLParser):
    """Collects tags with their attributes, and the text between."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def laid_out(template: str, **values: Any) -> str:
    return _environment().from_string(template).render(values)


def macro(line: str, **values: Any) -> Reader:
    head = '{% from "common/macros.html" import chip, facts, listed with context %}'
    return Reader(laid_out(head + line, **values))


@given(st.text())
def test_no_text_gets_out_of_its_place(text: str) -> None:
    safe = laid_out("{{ text }}", text=text)
    assert not set("<>\"'") & set(safe)
    safe.encode("utf-8")
    found = Reader(f"<b title='{safe}'>{safe}</b>")
    assert [tag for tag, _ in found.tags] == ["b"]
    if text.isprintable():
        assert found.text == found.tags[0][1]["title"] == text


@pytest.mark.parametrize("way", WAYS)
@given(st.text())
def test_no_way_through_a_template_lets_markup_in(way: str, text: str) -> None:
    told = EVIL + text
    html = laid_out(way, text=told, path=Path(told))
    assert Reader(html).tags == []
    assert "{{ 7 * 7 }}" in Reader(html).text
    html.encode("utf-8")
    kinds = {unicodedata.category(c) for c in set(html) - set("\n\t\u200c\u200d")}
    assert not any(k.startswith("C") for k in kinds)


@pytest.mark.parametrize(
    "bad", ["\x00", "\x1b[31m", "\r", "\ud800", "\u202e", "\u2067"]
)
def test_what_cannot_be_printed_is_marked(bad: str) -> None:
    # a lone surrogate cannot be written, U+202E turns the text around
    text = f"a{bad}b"
    for value in (text, Markup(text), np.str_(text)):  # noqa: S704
        assert laid_out("{{ text }}", text=value).startswith("a\ufffd")


@pytest.mark.parametrize("name", ["José Ñandú", "نمی\u200cدانم", "12\u00a0µm\tA\nB"])
def test_other_scripts_stay_as_they_are(name: str) -> None:
    assert laid_out("{{ text }}", text=name) == name


def test_a_number_that_is_not_there_is_a_dash() -> None:
    for value in (None, math.nan, np.float32("nan"), np.float64("nan")):
        assert laid_out("{{ value }}", value=value) == MISSING
    assert laid_out("{{ value }}", value=0) == "0"


def test_a_name_without_a_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'report' is undefined"):
        render_html("case_report/page.html")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_opens_a_gap(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe|autoescape|xmlattr|tojson|Markup", text)
    assert not re.search(r"<(script|link|iframe|object|base|form)\b|https?:", text)
    # text stands in quotes wherever it is part of a tag
    assert not re.search(r"""<[^>{]*=\{\{""", text)
    assert _environment().get_template(path.relative_to(PACKAGE).as_posix())


def test_every_page_loads_and_runs_nothing() -> None:
    pages = [p for p in TEMPLATES if "<head>" in p.read_text(encoding="utf-8")]
    assert [p.relative_to(PACKAGE).as_posix() for p in pages] == ["common/page.html"]
    assert "default-src 'none'" in pages[0].read_text(encoding="utf-8")


def test_jinja2_waits_for_a_page() -> None:
    code = (
        "import sys, napari_cytodino, napari_cytodino.common.html as html;"
        "import napari_cytodino.case_report.page, napari_cytodino.case_report.report;"
        "assert 'jinja2' not in sys.modules;"
        "html._environment(); assert 'jinja2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (number(12.345, 1), "12.3"),
        (number(0.12345, 3), "0.123"),
        (number(1234), "1,234"),
        (number(None), MISSING),
        (number(math.nan, 2), MISSING),
        (percent(0.0321), "3.2 %"),
        (percent(1, 0), "100 %"),
        (percent(None), MISSING),
        (percent(math.nan), MISSING),
        (span(1, 2.04), "1.0 to 2.0"),
        (span(0.4, 0.6, 3), "0.400 to 0.600"),
        (span(None, None), ""),
        (span(math.nan, math.nan), ""),
        (of_all(1200, 2400), "1,200 of 2,400 (50.0 %)"),
        (of_all(0, 0), "0 of 0"),
    ],
)
def test_numbers_in_words(made: str, wanted: str) -> None:
    assert made == wanted


def test_empty_facts_are_left_out() -> None:
    found = macro("{{ facts(pairs) }}", pairs=[(EVIL, EVIL), ("b", ""), ("c", None)])
    assert [tag for tag, _ in found.tags] == ["dl", "dt", "dd"]
    assert found.text.count(EVIL) == 2
    more = macro("{% call facts([('a', 0)]) %}<dt>b</dt>{% endcall %}")
    assert "".join(more.text.split()) == "a0b"


def test_names_and_values_in_a_line() -> None:
    values = {"a_b": 1, "empty": "", "none": None, "no": (), "but": 2, EVIL: EVIL}
    found = macro("{{ listed(values, ['but']) }}", values=values)
    assert (found.text, found.tags) == (f"a b 1, {EVIL} {EVIL}", [])


def test_a_colour_is_no_more_than_an_attribute() -> None:
    ((tag, attrs),) = macro("{{ chip(colour) }}", colour='"><b>').tags
    assert (tag, attrs["style"], attrs["aria-hidden"]) == (
        "span", 'background:"><b>', "true",
    )  # fmt: skip


def test_a_picture_is_part_of_the_page() -> None:
    head, data = data_uri(bytes(range(256))).split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == bytes(range(256))
