"""The table in `features`: rows, other plugins' columns, one assignment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_cytodino.results.cell_table import COLUMNS
from napari_cytodino.widgets.canvas.canvas import write_features


def table(labels: list[int]) -> pd.DataFrame:
    content: dict[str, Any] = {name: [""] * len(labels) for name in COLUMNS}
    numbers = np.arange(len(labels), dtype=float)
    content |= {"index": labels, "label": labels, "confidence": numbers}
    content["final_class"] = [f"c{label}" for label in labels]
    return pd.DataFrame(content)


@given(
    ids=st.lists(st.integers(1, 10**6), min_size=1, max_size=12, unique=True),
    known=st.lists(st.integers(1, 10**6), max_size=5, unique=True),
)
@settings(max_examples=40, deadline=None)
def test_sparse_unordered_ids_find_their_row(ids: list[int], known: list[int]) -> None:
    layer = ViewerModel().add_labels(np.zeros((4, 4), int))
    if known:
        layer.features = pd.DataFrame({"index": known, "theirs": known})
    write_features(layer, table(ids))
    frame = layer.features
    by_id = dict(zip(frame["index"], frame["final_class"], strict=True))
    assert {k: v for k, v in by_id.items() if k in ids} == {i: f"c{i}" for i in ids}
    assert frame["index"].tolist() == frame["label"].tolist()
    if known:
        theirs = dict(zip(frame["index"], frame["theirs"], strict=True))
        assert {k: theirs[k] for k in known} == {k: k for k in known}
    if len(frame) == frame["index"].max() + 1:
        assert frame["index"].tolist() == list(range(len(frame)))


def test_dense_ids_keep_row_and_id_together() -> None:
    layer = ViewerModel().add_labels(np.zeros((4, 4), int))
    write_features(layer, table([2, 1, 4]))
    assert layer.features["index"].tolist() == [0, 1, 2, 3, 4]
    assert layer.features["final_class"].tolist()[1:3] == ["c1", "c2"]
    assert layer.features["final_class"].isna().tolist() == [1, 0, 0, 1, 0]


def test_one_assignment_and_no_edit_in_place() -> None:
    layer = ViewerModel().add_labels(np.zeros((4, 4), int))
    before = pd.DataFrame({"label": [0, 1, 2], "area_um": [0.0, 1.5, 2.5]})
    layer.features = before
    kept, heard = layer.features, []
    layer.events.features.connect(lambda event: heard.append(1))
    write_features(layer, table([1, 2]))
    assert heard == [1]
    assert kept.columns.tolist() == before.columns.tolist()
    assert layer.features["area_um"].tolist() == [0.0, 1.5, 2.5]


def test_twice_is_the_same_as_once() -> None:
    layer = ViewerModel().add_labels(np.zeros((4, 4), int))
    write_features(layer, table([900_000, 5]))
    once = layer.features
    write_features(layer, table([900_000, 5]))
    pd.testing.assert_frame_equal(once, layer.features)


def test_points_keep_their_rows() -> None:
    layer = ViewerModel().add_points(np.zeros((3, 2)), features={"theirs": [7, 8, 9]})
    write_features(layer, table([3, 1]))
    assert layer.features["theirs"].tolist() == [7, 8, 9]
    classes = layer.features["final_class"].tolist()
    assert classes[0] == "c1"
    assert classes[2] == "c3"
    assert pd.isna(classes[1])


@pytest.mark.parametrize("empty", ["", None])
def test_empty_texts_are_not_shown_on_hover(empty: str | None) -> None:
    layer = ViewerModel().add_labels(np.array([[0, 1]]))
    write_features(layer, table([1]).assign(reason=empty))
    status = layer.get_status((0, 1), view_direction=None, dims_displayed=[0, 1])
    assert "reason" not in status["coordinates"] + str(status)
