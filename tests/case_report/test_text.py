"""What comes from data is text in the report, whatever it holds."""

import base64
import io
import math
from html import unescape

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_cytodino.case_report._text import (
    MISSING,
    clean,
    facts,
    number,
    of_all,
    paragraph,
    picture,
    share_cells,
    span,
)
from napari_cytodino.results.differential_count import Share


@given(st.text())
def test_no_text_gets_out_of_its_place(text):
    safe = clean(text)
    assert not set("<>\"'") & set(safe)
    safe.encode("utf-8")
    if text.isprintable():
        assert unescape(safe) == text


@pytest.mark.parametrize("bad", ["\x00", "\x1b[31m", "\ud800", "\u202e"])
def test_what_cannot_be_printed_is_marked(bad):
    # a lone surrogate cannot be written, U+202E turns the text around
    assert clean(f"a{bad}b").startswith("a\ufffd")


def test_other_scripts_stay_as_they_are():
    for name in ("José Ñandú", "نمی\u200cدانم", "12\u00a0µm\tA\nB"):
        assert clean(name) == name


def test_numbers_and_dashes():
    assert number(12.345) == "12.3"
    assert number(0.4567, 2) == "0.46"
    assert number(None) == number(math.nan) == MISSING
    assert span(1, 2.04) == "1.0 to 2.0"
    assert span(None, None) == span(math.nan, math.nan) == ""
    assert of_all(1200, 2400) == "1,200 of 2,400 (50.0 %)"
    assert of_all(0, 0) == "0 of 0"


def test_a_share_is_three_cells():
    # 100 of 500, the pinned interval
    assert share_cells(Share(100, 500)) == (
        '<td>100</td><td>20.0</td><td class="span">16.7 to 23.7</td>'
    )
    apart = share_cells(Share(7, 500, counted=False), "edge")
    assert apart == f'<td class="edge">7</td><td>{MISSING}</td><td class="span"></td>'


def test_paragraphs_and_facts():
    assert paragraph("") == ""
    assert paragraph("a < b", "note") == '<p class="note">a &lt; b</p>'
    told = facts([("Model", "a&b"), ("Empty", ""), ("None", None), ("Cells", 0)])
    assert told == "<dl><dt>Model</dt><dd>a&amp;b</dd><dt>Cells</dt><dd>0</dd></dl>"


def test_a_picture_is_part_of_the_page():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    told = picture(pixels, 'cell "1"')
    assert told.endswith('alt="cell &quot;1&quot;">')
    data = told.split("base64,")[1].split('"')[0]
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert (back == pixels).all()
