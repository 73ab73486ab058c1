"""The card of a profile says what was taught, how it was measured, and its limits."""

from __future__ import annotations

import pytest

from napari_cytodino.common import RESEARCH_USE
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.teaching.card import profile_card
from napari_cytodino.teaching.lessons import Lessons

TAXONOMY = Taxonomy.load("mll21").subset(Taxonomy.load("mll21").codes[:4])
BASE, NAMES = ("starter", "ab12"), (TAXONOMY, TAXONOMY.codes)
CODES = TAXONOMY.codes


@pytest.fixture
def card(make_lessons):
    lessons = make_lessons([0] * 5, codes=(CODES[0],) * 3 + (CODES[2],) * 2)
    lines = ["accuracy 0.9", "few cells"]
    return profile_card(
        "my-lab", "starter", "ab12", lessons, TAXONOMY, TAXONOMY.codes, lines
    )


def test_the_base_is_named_and_its_weights_are_said_to_be_unchanged(card):
    assert card.startswith("# my-lab: a laboratory's profile\n")
    assert RESEARCH_USE in card
    assert "`starter` (sha256 of its manifest `ab12`)" in card
    assert "weights are unchanged" in card


def test_taught_classes_have_a_row_each_and_the_others_are_named(card):
    names = {c.code: c.name for c in TAXONOMY.classes}
    assert f"| {CODES[0]} | {names[CODES[0]]} | 3 |" in card
    assert f"| {CODES[2]} | {names[CODES[2]]} | 2 |" in card
    assert f"Not taught, as the base knows them: {CODES[1]}, {CODES[3]}." in card
    assert "5 cells whose class a reader gave" in card.replace("\n", " ")


def test_what_was_measured_is_told_in_its_order(card):
    assert "- accuracy 0.9\n- few cells\n" in card
    assert card.index("## Measured") < card.index("## Limits")
    assert "nothing is guaranteed" in card


def test_a_profile_of_all_classes_names_no_others(make_lessons):
    lessons = make_lessons([0] * 4, codes=CODES)
    card = profile_card(
        "lab", "starter", "ab12", lessons, TAXONOMY, TAXONOMY.codes, ["fine"]
    )
    assert "Not taught" not in card


def test_a_profile_of_nothing_can_be_told():
    none = Lessons.none(3, 4)
    card = profile_card("lab", *BASE, none, *NAMES, [])
    assert "0 cells" in card.replace("\n", " ")
