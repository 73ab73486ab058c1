"""Sections and their order: every cell once, sorted as promised."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cytodino.cells.cells import Cells
from napari_cytodino.common.errors import InputError
from napari_cytodino.results.differential_count import differential
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL, Taxonomy
from napari_cytodino.uncertainty.predictions import Predictions, as_predictions
from napari_cytodino.widgets.gallery._order import (
    EMPTY,
    OTHER_TAXONOMY,
    PENDING,
    SORTS,
    arrange,
    kind_places,
    kinds,
    ranking,
    similarity,
)
from napari_cytodino.widgets.session.appearance import OPEN, UNSETTLED

TAXONOMY = Taxonomy.load("mll21")
KNOWN = kinds(TAXONOMY)
KEYS = [kind.key for kind in KNOWN]


def cells_at(places: Any, areas: Any = None) -> Cells:
    centre = np.asarray(places, float).reshape(-1, 2)
    count = len(centre)
    return Cells(
        np.arange(1, count + 1),
        centre,
        np.zeros((count, 4), np.int64),
        np.ones(count) if areas is None else np.asarray(areas, float),
        np.zeros(count, bool),
    )


def embedded(rows: Any) -> Predictions:
    count = len(rows)
    return as_predictions(
        np.zeros((count, 21), np.float32),
        np.zeros(count, np.float32),
        np.asarray(rows, np.float16),
    )


def table_of(**columns: list[Any]) -> pd.DataFrame:
    count = len(columns["final_class"])
    empty = {name: [""] * count for name in ("lineage", "status", "reviewed_class")}
    return pd.DataFrame({**empty, **columns}, dtype=object)


def test_sections_stand_in_maturation_order() -> None:
    places = {key: place for place, key in enumerate(KEYS)}
    for group in TAXONOMY.lineages:
        codes = [cell.code for cell in TAXONOMY.classes_of(group.name)]
        found = [places[code] for code in codes]
        # stages side by side, then the cells whose stage is open
        assert found == list(range(found[0], found[0] + len(codes)))
        assert KEYS[found[-1] + 1] == OPEN + group.name
    starts = [places[OPEN + group.name] for group in TAXONOMY.lineages]
    assert starts == sorted(starts)
    assert KEYS[-4:] == [UNSETTLED, NOT_A_CELL, OTHER_TAXONOMY, PENDING]
    critical = {kind.key for kind in KNOWN if kind.critical}
    assert critical == {c.code for c in TAXONOMY.classes if c.risk == "critical"}


def test_a_blind_reader_sees_no_open_stage_and_what_is_left_first() -> None:
    blind = [kind.key for kind in kinds(TAXONOMY, blind=True)]
    assert blind[0] == UNSETTLED
    assert not any(key.startswith(OPEN) for key in blind)
    assert set(TAXONOMY.codes) < set(blind)


def test_without_taxonomy_cells_are_pending() -> None:
    keys = [k.key for k in kinds(None)]
    assert keys == [UNSETTLED, NOT_A_CELL, OTHER_TAXONOMY, PENDING]
    assert len(EMPTY) == 0


def test_kinds_drop_what_they_say() -> None:
    for kind in KNOWN:
        assert kind.is_class == (kind.key in TAXONOMY)
        assert kind.code in ("", kind.key)
        assert kind.word == (kind.code if kind.is_class else kind.name)
    assert next(k for k in KNOWN if k.key == NOT_A_CELL).code == NOT_A_CELL


def test_what_each_line_is() -> None:
    code, lineage = TAXONOMY.codes[0], TAXONOMY.lineages[0].name
    table = table_of(
        final_class=[code, "", "", "", "alien", code],
        lineage=["", lineage, lineage, "", "", ""],
        status=["auto", "lineage_only", "lineage_only", "rejected", "auto", "review"],
        reviewed_class=["", "", NOT_A_CELL, "", "alien", code],
    )
    found = [KEYS[place] for place in kind_places(table, KNOWN)]
    wanted = [code, OPEN + lineage, NOT_A_CELL, UNSETTLED, OTHER_TAXONOMY, code]
    assert found == wanted
    assert kind_places(table.iloc[:0], KNOWN).shape == (0,)


@given(
    st.lists(st.integers(0, len(KNOWN) - 1), max_size=60),
    st.sampled_from(SORTS),
    st.data(),
)
def test_every_row_stands_once_in_its_section_as_sorted(
    kind_of: list[int], sort: str, data: st.DataObject
) -> None:
    count = len(kind_of)
    number = st.floats(0, 1) | st.just(np.nan)
    confidence = np.array(
        data.draw(st.lists(number, min_size=count, max_size=count)), float
    )
    rng = np.random.default_rng(count)
    cells = cells_at(rng.uniform(0, 90, (count, 2)), rng.integers(1, 5, count))
    predictions = embedded(rng.normal(size=(count, 3)))
    like = 0 if count else None
    ranked = ranking(
        sort, cells, confidence, side=30, predictions=predictions, like=like
    )
    kinds_of = np.array(kind_of, np.uint16)
    order = arrange(kinds_of, ranked, KNOWN)
    assert sorted(order.rows.tolist()) == list(range(count))
    assert order.rows[order.place].tolist() == list(range(count))
    assert [s.start for s in order.sections] == [0, *(s.stop for s in order.sections)][
        : len(order.sections)
    ]
    keys = {
        "confidence": lambda row: np.nan_to_num(confidence[row], nan=-1.0),
        "size": lambda row: -cells.area[row],
        "similarity": lambda row: -similarity(predictions.embeddings, 0)[row],
        "position": lambda row: (cells.centre[row, 0] // 30, cells.centre[row, 1]),
    }[sort]
    for number_of, section in enumerate(order.sections):
        rows = order.rows[section.start : section.stop].tolist()
        assert len(rows) == len(section) > 0
        assert {KEYS[kinds_of[row]] for row in rows} == {section.kind.key}
        assert rows == sorted(rows, key=lambda row: (keys(row), row))
        assert order.section_of(section.start) == number_of
        assert order.section_of(section.stop - 1) == number_of


def test_per_cent_are_those_of_the_differential() -> None:
    final = [*(["NGS"] * 3), "BLA", "ART", ""]
    table = table_of(final_class=final)
    order = arrange(kind_places(table, KNOWN), np.arange(6), KNOWN)
    wanted = differential(table, TAXONOMY).set_index("cell_class")["percent"]
    for section in order.sections:
        if section.kind.is_class:
            np.testing.assert_equal(section.percent, wanted[section.kind.code])
        else:
            assert np.isnan(section.percent)


def test_least_sure_first_and_the_unreadable_before() -> None:
    confidence = np.array([0.9, np.nan, 0.2, 0.2])
    ranked = ranking("confidence", cells_at(np.zeros((4, 2))), confidence, side=9)
    assert ranked.tolist() == [1, 2, 3, 0]


def test_most_alike_first_itself_before_all() -> None:
    predictions = embedded([[1, 0], [-1, 0], [2, 0.1], [0, 0], [5, 0]])
    cosine = similarity(predictions.embeddings, 4)
    np.testing.assert_allclose(cosine, [1, -1, 2 / np.hypot(2, 0.1), -2, 2], atol=2e-4)
    cells, confidence = cells_at(np.zeros((5, 2))), np.full(5, 0.5)
    given_ = {"side": 9, "predictions": predictions}
    ranked = ranking("similarity", cells, confidence, like=4, **given_)
    assert ranked.tolist() == [4, 0, 2, 1, 3]
    plain = ranking("similarity", cells, confidence, like=None, **given_)
    assert plain.tolist() == [0, 1, 2, 3, 4]


def test_position_reads_in_bands_from_left_to_right() -> None:
    cells = cells_at([[25, 1], [3, 50], [9, 20], [21, 0]])
    assert ranking("position", cells, np.zeros(4), side=10).tolist() == [2, 1, 3, 0]


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(InputError, match="'colour' is no order"):
        ranking("colour", cells_at([[0, 0]]), np.zeros(1), side=9)


def test_fifty_thousand_cells_take_milliseconds() -> None:
    rng = np.random.default_rng(0)
    cells = cells_at(rng.uniform(0, 9000, (50_000, 2)))
    ranked = ranking("confidence", cells, rng.random(50_000), side=100)
    kind_of = rng.integers(0, len(KNOWN), 50_000).astype(np.uint16)
    spent = []
    for _ in range(5):
        began = perf_counter()
        arrange(kind_of, ranked, KNOWN)
        spent.append(perf_counter() - began)
    assert min(spent) < 0.02, "a verdict would be felt"
