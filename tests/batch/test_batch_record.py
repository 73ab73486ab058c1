"""A record holds only while the request and every byte of the result are the same."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_cytodino.batch.record import (
    SUMMARY_COLUMNS,
    Record,
    done_before,
    forget,
    read_record,
    record_path,
    request_for,
    tidy,
    write_failures,
    write_record,
    write_summary,
)
from napari_cytodino.common.files import sha256

HASH = "0" * 64
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner)
    ),
    max_leaves=9,
)


@pytest.fixture
def done(tmp_path):
    """Make an image, a result of two files and its record."""
    image = tmp_path / "a.png"
    image.write_bytes(b"pixels")
    request = request_for({"image": image, "labels": None}, {"risk": 0.01})
    out = tmp_path / "out"
    out.mkdir()
    for name in ("a.cells.csv", "a.overlay.png"):
        (out / name).write_text(name)
    files = {path.name: sha256(path) for path in out.iterdir()}
    record = Record(request, 3, 1, (0, 3), files, "abc", {"threads": 1})
    write_record(out, "a", record)
    return image, out, request, record


def test_what_is_written_is_read_and_holds(done):
    _, out, request, record = done
    assert read_record(record_path(out, "a")) == record
    assert done_before(out, "a", request) == record
    assert {p.name for p in out.iterdir()} == {*record.files, "a.done.json"}


@pytest.mark.parametrize("name", ["a.cells.csv", "a.overlay.png"])
@pytest.mark.parametrize("fault", ["torn", "edited", "longer", "gone", "a folder"])
def test_a_result_that_changed_is_not_done(done, name, fault):
    _, out, request, _ = done
    path = out / name
    whole = path.read_bytes()
    if fault in ("gone", "a folder"):
        path.unlink()
    if fault == "a folder":
        path.mkdir()
    if fault == "torn":
        path.write_bytes(whole[:-1])
    if fault == "edited":
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    if fault == "longer":
        path.write_bytes(whole + b"\n")
    assert done_before(out, "a", request) is None


def test_another_request_is_not_done(done):
    image, out, request, _ = done
    files = {"image": image, "labels": None}
    assert request_for(files, {"risk": 0.01}) == request
    assert done_before(out, "a", request_for(files, {"risk": 0.02})) is None
    assert done_before(out, "a", request_for({**files, "labels": image}, {})) is None
    image.write_bytes(b"Pixels")
    assert done_before(out, "a", request_for(files, {"risk": 0.01})) is None
    image.unlink()
    assert request_for(files, {})["files"]["image"] == ["a.png", "unreadable"]


def test_many_files_are_one_hash(tmp_path):
    paths = {}
    for number in range(5):
        path = tmp_path / f"{number}.png"
        path.write_bytes(bytes([number]))
        paths[str(number)] = path
    first = request_for(paths, {})
    assert len(json.dumps(first)) < 200
    assert first == request_for(paths, {})
    paths["4"].write_bytes(b"!")
    assert first != request_for(paths, {})


def test_a_torn_record_is_none_at_any_length(done):
    _, out, request, _ = done
    path = record_path(out, "a")
    whole = path.read_bytes()
    # the last byte is the line's end
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        assert read_record(path) is None
    assert done_before(out, "a", request) is None


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"cells": -1},
        {"cells": True},
        {"cells": "3"},
        {"unfamiliar": [1]},
        {"files": {"../b.csv": HASH}},
        {"files": {"a.x/../../b": HASH}},
        {"files": {"b.cells.csv": HASH}},
        {"files": {"a.cells.csv": "short"}},
        {"files": [["a.cells.csv", HASH]]},
        {"request": None},
        {"more": 1},
    ],
)
def test_an_alien_record_is_none(done, change):
    _, out, _, _ = done
    path = record_path(out, "a")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert read_record(path) is None


@given(st.binary(max_size=60) | JSON.map(lambda held: json.dumps(held).encode()))
@example(b"[" * 100_000)
@example(b'{"schema": 1, "request": {}, "cells": ' + b"9" * 5000 + b"}")
@example(b" " * 2_000_000)
@settings(deadline=None, max_examples=60)
def test_any_bytes_are_a_record_or_none(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "a.done.json"
    path.write_bytes(content)
    record = read_record(path)
    assert record is None or isinstance(record, Record)


def test_forgetting_and_tidying(done):
    _, out, _, record = done
    assert forget(out, "a") == set(record.files)
    assert forget(out, "a") == set()
    assert not record_path(out, "a").exists()
    tidy(out, ["a.overlay.png", "a.gone.csv"])
    assert [p.name for p in out.iterdir()] == ["a.cells.csv"]


def test_a_record_for_the_reader_is_plain_json(done):
    _, out, _, record = done
    write_record(out, "b", replace(record, files={}))
    held = json.loads(record_path(out, "b").read_text())
    assert held["request"]["files"]["image"][:2] == ["a.png", 6]


def test_failures_are_listed_and_the_list_goes(tmp_path):
    path = tmp_path / "failed.csv"
    odd = Path(os.fsdecode(b"caf\xe9.png"))
    write_failures(path, [(Path("=a.png"), "bad, worse"), (odd, "torn")])
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["image", "reason"]
    assert rows[0] == ["'=a.png", "bad, worse"]
    assert rows[1][1] == "torn"
    write_failures(path, [])
    write_failures(path, [])
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_all_says_what_holds_for_all(tmp_path):
    path = tmp_path / "summary.csv"
    rows = [(Path("=a.png"), 3, 1, 0, 3, ""), (Path("b.png"), 0, 0, 0, 0, "torn")]
    write_summary(path, rows, "none, truly")
    with path.open(newline="", encoding="utf-8") as file:
        head, *read = csv.reader(file)
    assert tuple(head) == SUMMARY_COLUMNS
    assert read[0] == ["'=a.png", "3", "1", "0", "3", "", "none, truly"]
    assert read[1][5:] == ["torn", "none, truly"]
