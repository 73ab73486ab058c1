"""What a card says of a cell."""

from __future__ import annotations

import math
from typing import Any

import pytest

from napari_cytodino.widgets.session.cell_card import (
    cell_card_of,
    familiar_words,
    tally,
)


def test_before_it_is_classified(chosen: Any) -> None:
    chosen.controller.read_cells(lambda: None)
    chosen.wait()
    card = cell_card_of(chosen.session, 2)
    assert card.title == "Cell 3"
    assert card.likeliest == ()
    assert card.status == ""


def test_five_likeliest_in_order(chosen: Any) -> None:
    chosen.classify()
    session = chosen.session
    card = cell_card_of(session, 1)
    entry = session.table.iloc[1]
    p = [likely.probability for likely in card.likeliest]
    assert len(p) == 5
    assert p == sorted(p, reverse=True)
    assert card.likeliest[0].code == entry["cell_class"]
    assert card.status == entry["status"]
    assert card.reason == entry["reason"] != ""
    assert p[0] == pytest.approx(entry["confidence"], abs=1e-5)


def test_what_a_calibration_knows_of_a_cell(judged: Any) -> None:
    session = judged.session
    codes = session.taxonomy.codes
    card = cell_card_of(session, 3)
    assert card.calibrated
    assert card.likeliest[0].code == codes[3]
    assert card.likeliest[0].probability == pytest.approx(0.7, abs=1e-4)
    assert card.possible == (codes[3],), "from 10 % on"
    assert card.set_level == 0.95
    assert card.unfamiliarity == pytest.approx(0.7)


def test_no_class_is_likely_enough(judged: Any, demo: Any, calibrated: Any) -> None:
    session = judged.session
    none = dict.fromkeys((g.name for g in session.taxonomy.lineages), 0.05)
    predictions = session.predictions
    session.open_checkpoint(calibrated(demo, set_limits=none))
    session.predictions = predictions
    session.rebuild()
    assert cell_card_of(session, 4).possible == ()


def test_an_unreadable_cell_has_no_classes(judged: Any) -> None:
    judged.session.predictions.readable[0] = False
    judged.session._weighed = None
    judged.session.rebuild()
    card = cell_card_of(judged.session, 0)
    assert card.status == "rejected"
    assert card.likeliest == ()
    assert card.possible is None


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (0.72, "0.7 of the limit"),
        (1.0, "1.0 of the limit"),
        (1.01, "1.1 times the limit"),
        (math.inf, "100.0 times the limit"),
        (math.nan, ""),
    ],
)
def test_distances_in_words(distance: float, words: str) -> None:
    assert familiar_words(distance) == words


def test_neighbours_are_counted() -> None:
    assert tally(("b", "a", "b")) == "2 b, 1 a"
