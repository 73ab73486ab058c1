"""Rounds of cells that a reader is asked about."""

from __future__ import annotations

from typing import Any

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.widgets.session.asking_round import ROUND
from napari_cytodino.widgets.session.review_queue import queue


def test_a_round_asks_typical_cells_then_unsure_ones_and_draws_a_fifth(
    teachable: Any,
) -> None:
    teaching, session = teachable.teaching, teachable.session
    teaching.add_classes(["KSC"])
    teaching.ask()
    asked: list[int] = []
    while len(queue(session)) and teaching.asking:
        row = int(queue(session)[0])
        asked.append(row)
        teachable.say([row])
    assert len(asked) == len(set(asked)) == ROUND
    assert not teaching.asking
    assert session.review_rows is None
    drawn = teachable.review.log.notes.drawn()
    assert len(drawn) == ROUND // 5
    assert set(drawn) <= set(asked)
    assert {teachable.truth[row] for row in asked} == set(teachable.codes)
    assert teachable.right > 0.95
    assert int(teaching.lessons.drawn.sum()) == len(drawn)
    assert f"of {len(drawn)} right" in teaching.accuracy_words()


def test_drawn_cells_are_found_again(teachable: Any) -> None:
    teachable.teaching.add_classes(["KSC"])
    teachable.teaching.ask(10)
    while teachable.teaching.asking:
        teachable.say([int(queue(teachable.session)[0])])
    drawn = teachable.review.log.notes.drawn()
    assert len(drawn) == 2
    teachable.review.stop()
    with ReviewLog.open(teachable.place, image="pixels", read_only=True) as log:
        log.attach(teachable.session.cells)
        assert log.notes.drawn() == drawn


def test_a_round_ends_when_the_reader_stops_it(teachable: Any) -> None:
    told: list[str] = []
    teachable.session.message.connect(told.append)
    teachable.teaching.add_classes(["KSC"])
    teachable.teaching.ask()
    teachable.say(queue(teachable.session)[:2])
    teachable.teaching.stop()
    assert teachable.session.review_rows is None
    assert not teachable.teaching.asking
    flagged = queue(teachable.session)
    assert len(flagged) > ROUND, "the usual queue is back"


def test_settling_ends_a_round_and_keeps_what_is_disputed(teachable: Any) -> None:
    teachable.teaching.ask()
    rows = teachable.session.review_rows
    teachable.review.settling = True
    teachable.session.review_rows = disputed = rows.copy()
    teachable.session.results.emit()
    assert not teachable.teaching.asking
    assert teachable.session.review_rows is disputed
    teachable.review.settling = False


def test_another_reader_ends_a_round(teachable: Any) -> None:
    teachable.teaching.ask()
    teachable.review.stop()
    log = ReviewLog.open(teachable.place, image="pixels")
    teachable.review.start(log, "CD")
    assert not teachable.teaching.asking
    assert teachable.session.review_rows is None


def test_a_round_needs_a_reader_and_cells(teachable: Any) -> None:
    teachable.say(range(120), [teachable.codes[row % 3] for row in range(120)])
    with pytest.raises(InputError, match="has a verdict already"):
        teachable.teaching.ask()


def test_where_the_record_refuses_the_round_ends_and_the_head_stays(
    teachable: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    teachable.session.message.connect(told.append)
    teachable.teaching.add_classes(["KSC"])
    teachable.teaching.ask()

    def refuse(*_: Any, **__: Any) -> None:
        raise InputError("the disk is full")

    monkeypatch.setattr(teachable.review.log.notes, "note_drawn", refuse)
    teachable.say(teachable.session.review_rows)
    assert not teachable.teaching.asking
    assert teachable.teaching.taught is not None
    assert teachable.session.opened.taught is not None
    assert len([text for text in told if "disk is full" in text]) == 1
