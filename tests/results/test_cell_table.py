"""The table: exact columns, one row a cell, one rule for the final class."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.checkpoints.calibration_file import no_thresholds
from napari_cytodino.common.errors import InputError
from napari_cytodino.results.cell_table import (
    COLUMNS,
    blinded,
    build_table,
    final_class,
    taxonomy_of,
    with_file_columns,
    write_verdicts,
)
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL, Taxonomy
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.predictions import PredictionBatch, Predictions
from napari_cytodino.uncertainty.probabilities import class_probabilities

TAXONOMY = Taxonomy.load("mll21")
POLICY = DecisionPolicy()


def some_cells(ids):
    labels = np.zeros((2 * len(ids) + 1, 5), np.int64)
    for row, value in enumerate(ids):
        labels[2 * row + 1, 1:4] = value
    return cells_from_labels(labels)


def some_predictions(n, rows=None, seed=0):
    rows = np.arange(n) if rows is None else np.asarray(rows)
    logits = np.random.default_rng(seed).normal(0, 6, (len(rows), 21))
    batch = PredictionBatch(
        rows,
        logits.astype(np.float32),
        np.zeros((len(rows), 2), np.float16),
        np.ones(len(rows), bool),
    )
    return Predictions.empty(n, 21, 2).with_batches([batch])


@settings(deadline=None, max_examples=40)
@given(st.sets(st.integers(1, 10**12), min_size=1, max_size=12), st.randoms())
def test_rows_belong_to_their_labels_for_sparse_unordered_ids(ids, random):
    order = list(ids)
    random.shuffle(order)
    cells = some_cells(order)
    whole = some_predictions(len(cells))
    table = build_table(cells, whole, TAXONOMY, POLICY)
    assert tuple(table.columns) == COLUMNS
    assert set(table["label"]) == ids
    by_label = table.set_index("label")
    for row, label in enumerate(cells.label):
        best = TAXONOMY.codes[int(whole.logits[row].argmax())]
        assert by_label.loc[label, "cell_class"] == best
        assert by_label.loc[label, "y"] == 2 * order.index(label) + 1
    np.testing.assert_array_equal(table["index"], table["label"])


def test_only_cells_that_are_done():
    cells = some_cells([3, 5, 9])
    table = build_table(cells, some_predictions(3, [2, 0]), TAXONOMY, POLICY)
    assert table["label"].tolist() == [3, 9]


def test_review_wins_and_the_models_class_stays():
    cells = some_cells([3, 5])
    whole = some_predictions(2)
    reviews = {1: ("BLA", "ada", "2026-11-22T10:00:00+00:00")}
    table = build_table(cells, whole, TAXONOMY, POLICY, reviews).set_index("label")
    plain = build_table(cells, whole, TAXONOMY, POLICY).set_index("label")
    assert table.loc[5, "final_class"] == "BLA"
    assert table.loc[5, "cell_class"] == plain.loc[5, "cell_class"]
    assert table.loc[5, "reviewer"] == "ada"
    assert table.loc[3].equals(plain.loc[3])


def test_an_open_stage_is_no_final_class():
    cells = some_cells([1])
    logits = np.full((1, 21), -20, np.float32)
    logits[0, [TAXONOMY.index("MMZ"), TAXONOMY.index("NGB")]] = 3
    batch = PredictionBatch(
        np.array([0]), logits, np.zeros((1, 2), np.float16), np.ones(1, bool)
    )
    table = build_table(
        cells, Predictions.empty(1, 21, 2).with_batches([batch]), TAXONOMY, POLICY
    )
    assert table["status"].tolist() == ["lineage_only"]
    assert final_class(table).tolist() == [""]
    reviewed = table.assign(reviewed_class="NGB")
    assert final_class(reviewed).tolist() == ["NGB"]


def test_an_uncalibrated_checkpoint_shows_in_every_row():
    cells = some_cells([1, 2, 3])
    policy = no_thresholds(1.0, "it was calibrated for another model.safetensors")
    table = build_table(cells, some_predictions(3), TAXONOMY, policy)
    assert set(table["status"]) == {"review"}
    assert set(table["reason"]) == {"no threshold is calibrated for these weights"}
    assert (table["cell_class"] != "").all()


def test_columns_of_files():
    cells = some_cells([7, 4])
    whole = some_predictions(2)
    table = build_table(cells, whole, TAXONOMY, POLICY)
    wide = with_file_columns(
        table, cells, whole, TAXONOMY, POLICY, image="a.png", checkpoint="demo@0"
    )
    boxes = ("bbox_top", "bbox_left", "bbox_bottom", "bbox_right")
    shares = tuple(f"p_{code}" for code in TAXONOMY.codes)
    assert tuple(wide.columns) == ("image", *COLUMNS, *boxes, "checkpoint", *shares)
    np.testing.assert_allclose(wide[list(shares)].sum(axis=1), 1, atol=1e-4)
    np.testing.assert_array_equal(wide[list(boxes)], cells.bbox)


def test_predictions_of_other_cells_are_refused():
    with pytest.raises(InputError, match="3 predictions do not fit 2 cells"):
        build_table(some_cells([1, 2]), some_predictions(3), TAXONOMY, POLICY)


def test_the_taxonomy_travels_with_the_table():
    table = build_table(some_cells([1]), some_predictions(1), TAXONOMY, POLICY)
    assert taxonomy_of(table) == TAXONOMY
    table.attrs.clear()
    with pytest.raises(InputError, match="taxonomy="):
        taxonomy_of(table)


def test_evidence_at_hand_changes_nothing_but_the_time():
    cells, whole = some_cells([1, 5, 9]), some_predictions(3)
    evidence = class_probabilities(whole, TAXONOMY, POLICY.temperature)
    with_it = build_table(cells, whole, TAXONOMY, POLICY, evidence=evidence)
    assert with_it.equals(build_table(cells, whole, TAXONOMY, POLICY))


def test_a_table_is_a_copy():
    cells, whole = some_cells([1, 5]), some_predictions(2)
    table = build_table(cells, whole, TAXONOMY, POLICY)
    table.loc[0, ["label", "y", "area"]] = -1
    assert cells.label.tolist() == [1, 5]
    assert (cells.centre >= 0).all()
    assert (cells.area > 0).all()


def test_verdicts_written_into_a_table_equal_a_table_built_with_them():
    cells = some_cells(range(1, 9))
    predictions = some_predictions(8, [0, 1, 2, 4, 5, 7])
    said = {0: ("NGS", "AM", "t1"), 4: (NOT_A_CELL, "AM", "t2"), 7: ("BLA", "B", "t3")}
    table = build_table(cells, predictions, TAXONOMY, POLICY)
    write_verdicts(table, np.array([0, 3, 5]), list(said.values()))
    wanted = build_table(cells, predictions, TAXONOMY, POLICY, said)
    assert table.equals(wanted)
    assert table["final_class"][[0, 3, 5]].tolist() == ["NGS", "", "BLA"]
    assert table["final_class"].equals(final_class(table))
    write_verdicts(table, np.array([0, 3, 5]), [("", "", "")] * 3)
    assert table.equals(build_table(cells, predictions, TAXONOMY, POLICY))


def test_a_table_without_the_model_tells_nothing_of_it():
    said = {1: ("NGS", "AM", "t1")}
    table = build_table(some_cells([1, 2]), some_predictions(2), TAXONOMY, POLICY, said)
    blind = blinded(table)
    told = ["index", "label", "y", "x", "area", "at_border"]
    said_by_readers = ["reviewed_class", "reviewer", "reviewed_at"]
    assert blind[told + said_by_readers].equals(table[told + said_by_readers])
    assert blind["final_class"].tolist() == ["", "NGS"]
    others = [c for c in COLUMNS if c not in told + said_by_readers + ["final_class"]]
    assert all(value == "" or value != value for value in blind[others].to_numpy().flat)
    assert (table["cell_class"] != "").all(), "the table itself is as it was"
    assert taxonomy_of(blind) == TAXONOMY


def test_taking_a_column_copies_no_taxonomy():
    table = build_table(some_cells([1, 2]), some_predictions(2), TAXONOMY, POLICY)
    held = table.attrs["taxonomy"]
    assert table["label"].attrs["taxonomy"] is held
    assert table.copy().attrs["taxonomy"] is held
    assert json.loads(json.dumps(held)) == json.loads(json.dumps(TAXONOMY.to_dict()))
