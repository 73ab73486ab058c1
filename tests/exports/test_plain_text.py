"""No text is a formula, and each comes back as it was."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from napari_cytodino.exports.plain_text import (
    formula_safe,
    in_decimals,
    plain_text,
    safe_text,
)

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
NASTY = st.text(st.sampled_from("'=+-@ \t\r\n\0a,;\"_x01DF"), max_size=12) | st.text()


@given(NASTY)
@example("'=1")
@example("''=1")
@example("' =1")
def test_no_text_is_a_formula_and_each_comes_back(text):
    told = safe_text(text)
    assert not told.lstrip(" ").startswith(FORMULA)
    assert told in (text, f"'{text}")
    assert plain_text(told) == text


@given(NASTY, NASTY)
def test_texts_that_differ_stay_so(one, other):
    assert (safe_text(one) == safe_text(other)) == (one == other)


@pytest.mark.parametrize("text", ["", "'", "d'accord", "a=b", "5 - 3"])
def test_harmless_texts_stay(text):
    assert safe_text(text) == text == plain_text(text)


def test_numbers_of_a_table_stay_and_the_table_too():
    texts = pd.Series(["=1+1", None, "a"], dtype=object)
    frame = pd.DataFrame({"image": texts, "x": [-3.2, 4.0, 5.0], "ok": True})
    safe = formula_safe(frame)
    assert safe["image"].tolist() == ["'=1+1", None, "a"]
    pd.testing.assert_frame_equal(safe[["x", "ok"]], frame[["x", "ok"]])
    assert frame["image"][0] == "=1+1"


@given(st.floats(width=32, allow_nan=False))
def test_short_numbers_have_no_false_digits(value):
    frame = pd.DataFrame({"p": np.array([value], np.float32), "y": [1 / 3]})
    plain = in_decimals(frame)
    assert plain["p"].dtype == np.float64
    np.testing.assert_array_equal(plain["p"].astype(np.float32), frame["p"])
    assert float(plain["p"][0]) == float(str(frame["p"][0]))
    assert plain["y"][0] == 1 / 3
    assert frame["p"].dtype == np.float32
