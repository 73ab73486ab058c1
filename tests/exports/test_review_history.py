"""The history leaves the program whole, and no spreadsheet runs it."""

import json

import numpy as np
import pandas as pd
import pytest

from napari_cytodino.cells.cells import cells_from_points
from napari_cytodino.common.errors import InputError
from napari_cytodino.exports.review_history import history_table, write_history
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.review.state import Event


@pytest.fixture
def log(tmp_path):
    """Return a case of four events."""
    points = np.array([[10, 10], [50, 10], [10, 50]])
    with ReviewLog.open(tmp_path / "a.sqlite", image="i") as log:
        log.attach(cells_from_points(points, (60, 60), diameter=12))
        log.record([0, 2], "a", reviewer="Ann", model=["a", "b"], why="=1+1")
        log.undo("Ann")
        yield log


def test_the_table_has_one_line_for_each_event(log):
    table = history_table(log)
    assert list(table.columns) == list(Event._fields)
    assert table["label"].tolist() == [1, 3, 1, 3]
    assert table["kind"].tolist() == ["verdict", "verdict", "undo", "undo"]
    assert table["now"].tolist() == ["a", "a", "", ""]
    assert table["model"].tolist() == ["a", "b", "a", "b"]


def test_json_lines_are_the_events(log, tmp_path):
    path = write_history(log, tmp_path / "history.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [Event(**json.loads(line)) for line in lines] == log.events()


def test_csv_is_safe_for_spreadsheets(log, tmp_path):
    path = write_history(log, str(tmp_path / "history.csv"))
    table = pd.read_csv(path, keep_default_na=False)
    assert table["why"].tolist() == ["'=1+1", "'=1+1", "", ""]
    assert table["action"].tolist() == [1, 1, 3, 3]
    assert table["undoes"].tolist() == [0, 0, 1, 1]


def test_another_format_is_refused(log, tmp_path):
    with pytest.raises(InputError, match=r"'.xlsx' is no format"):
        write_history(log, tmp_path / "history.xlsx")


def test_an_empty_history_keeps_its_columns(tmp_path):
    with ReviewLog.open(tmp_path / "b.sqlite", image="i") as log:
        assert list(history_table(log).columns) == list(Event._fields)
