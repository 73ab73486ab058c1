"""Colours, visibility and signs as values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.results.colours import MODES, NONE, colour_keys, palette
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL, Taxonomy
from napari_cytodino.widgets.session.appearance import (
    BLOCK,
    OPEN,
    REJECTED,
    SIGNS,
    UNSETTLED,
    LabelPainter,
    appearance_of,
    counts,
    groups,
)

TAXONOMY = Taxonomy.load("mll21")
FIRST, SECOND = TAXONOMY.codes[:2]
TABLE = pd.DataFrame(
    {
        "reviewed_class": ["", "", "", ""],
        "final_class": [FIRST, SECOND, "", ""],
        "lineage": [TAXONOMY.lineage_of(FIRST).name] * 3 + [""],
        "status": ["auto", "review", "lineage_only", "rejected"],
        "confidence": [0.99, 0.5, 0.6, np.nan],
    }
)
DONE = np.array([True, False, True, True, True])


@pytest.mark.parametrize("mode", MODES)
def test_colours_are_those_of_core_in_few_values(mode: str) -> None:
    look = appearance_of(TABLE, DONE, TAXONOMY, mode, frozenset())
    known = palette(TAXONOMY, mode)
    wanted = [known.get(key, NONE) for key in colour_keys(TABLE, mode, TAXONOMY)]
    np.testing.assert_allclose(look.colours, wanted, atol=1e-6)
    assert len(look.palette) <= 23
    assert look.rows.tolist() == [0, 2, 3, 4]
    assert look.signs.tolist() == ["", "?", "~", SIGNS["rejected"]]


def test_hidden_groups_lose_colour_and_sign() -> None:
    hidden = frozenset({SECOND, OPEN + str(TABLE["lineage"][2])})
    look = appearance_of(TABLE, DONE, TAXONOMY, "class", hidden)
    assert look.shown.tolist() == [True, False, False, True]
    assert look.signs.tolist() == ["", "", "", SIGNS["rejected"]]


def test_every_cell_is_counted_once() -> None:
    number = counts(TABLE)
    assert sum(number.values()) == len(TABLE)
    assert number[UNSETTLED] == 1
    assert number[OPEN + str(TABLE["lineage"][2])] == 1


def test_a_verdict_takes_the_sign_away_and_no_cell_is_a_group() -> None:
    said = TABLE.assign(reviewed_class=["", SECOND, NOT_A_CELL, ""])
    look = appearance_of(said, DONE, TAXONOMY, "class", frozenset())
    assert look.signs.tolist() == ["", "", "", SIGNS["rejected"]]
    assert groups(said).tolist() == [FIRST, SECOND, REJECTED, UNSETTLED]


def test_nothing_to_mark() -> None:
    look = appearance_of(TABLE.iloc[:0], DONE[:0], TAXONOMY, "class", frozenset())
    assert len(look.rows) == len(look.values) == len(groups(TABLE.iloc[:0])) == 0


@given(
    ids=st.lists(st.integers(1, 2**40), min_size=1, max_size=20, unique=True),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_any_ids_are_painted(ids: list[int], data: Any) -> None:
    known = np.array(sorted(ids))
    picture = np.array(
        data.draw(st.lists(st.sampled_from([0, *ids, 2**41]), min_size=6, max_size=6))
    ).reshape(2, 3)
    values = np.arange(1, len(ids) + 1).astype(np.uint8)
    painted = LabelPainter(known).paint(picture, values)
    table = dict(zip(known.tolist(), values.tolist(), strict=True))
    assert painted.tolist() == [
        [table.get(v, 0) for v in row] for row in picture.tolist()
    ]


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("far", [0, 10**9])
def test_tall_images_are_painted_block_by_block_into_what_is_given(
    kind: str, far: int
) -> None:
    rng = np.random.default_rng(0)
    ids = np.array([1, 2, 5, 9, 9 + far]) if far else np.array([1, 2, 5, 9])
    picture = rng.integers(0, 12, (3 * BLOCK + 5, 4)).astype(kind)
    values = np.arange(21, 21 + len(ids)).astype(np.uint8)
    out = np.full(picture.shape, 255, np.uint8)
    painted = LabelPainter(ids).paint(picture, values, out)
    assert painted is out
    table = np.zeros(12, np.uint8)
    table[[1, 2, 5, 9]] = values[:4]
    assert np.array_equal(out, table[picture])
