"""Lessons: each cell once, in one order, and nothing taught by a contradiction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.teaching.lessons import Lessons, merge

CELLS = 6


def features_of(cell: int) -> np.ndarray:
    return np.random.default_rng(cell).normal(size=5).astype(np.float16)


def lessons_of(said: list[tuple[int, str, str, bool]]) -> Lessons:
    """Return lessons of cells by number: class, group, and whether it was drawn."""
    cells = [cell for cell, *_ in said]
    none = Lessons.none(5, 2)
    if not said:
        return none
    return Lessons(
        np.stack([features_of(cell) for cell in cells]),
        np.array([[cell, -cell] for cell in cells], np.float32),
        np.array(cells, np.float32) / 9,
        tuple(code for _, code, *_ in said),
        tuple(f"{7 * cell % 11:032x}" for cell in cells),
        tuple(group for *_, group, _ in said),
        np.array([drawn for *_, drawn in said], np.bool_),
    )


SAID = st.lists(
    st.tuples(
        st.integers(0, CELLS - 1),
        st.sampled_from(["a", "b", "c"]),
        st.just(""),
        st.just(False),
    ),
    max_size=9,
)


@settings(deadline=None, max_examples=100)
@given(st.lists(SAID, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_sources_and_of_cells_changes_nothing(same, parts, chance):
    whole = merge(map(lessons_of, parts))
    turned = [chance.sample(part, len(part)) for part in parts]
    chance.shuffle(turned)
    again = merge(map(lessons_of, turned))
    assert same(again.lessons, whole.lessons)
    assert again.contradictions == whole.contradictions


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.integers(0, CELLS - 1),
            st.just("a"),
            st.sampled_from(["", "p1", "p2"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=9,
    )
)
def test_a_cell_of_two_groups_counts_the_same_in_any_order(same, said):
    one, other = merge([lessons_of(said)]), merge([lessons_of(said[::-1])])
    assert same(one.lessons, other.lessons)
    # what was drawn at random once measures from then on
    drawn = {cell for cell, *_, drawn in said if drawn}
    assert int(one.lessons.drawn.sum()) == len(drawn)


@settings(deadline=None, max_examples=100)
@given(SAID)
def test_each_cell_is_there_once_or_named_as_contradicted(said):
    merged = merge([lessons_of(said)])
    classes: dict[str, set[str]] = {}
    for key, code in zip(lessons_of(said).keys, lessons_of(said).codes, strict=True):
        classes.setdefault(key, set()).add(code)
    wanted = {key: min(codes) for key, codes in classes.items() if len(codes) == 1}
    kept = merged.lessons
    assert dict(zip(kept.keys, kept.codes, strict=True)) == wanted
    assert list(kept.keys) == sorted(wanted)
    assert merged.contradictions == tuple(
        (key, tuple(sorted(codes)))
        for key, codes in sorted(classes.items())
        if len(codes) > 1
    )


@settings(deadline=None, max_examples=50)
@given(SAID)
def test_merging_once_more_changes_nothing(same, said):
    once = merge([lessons_of(said)]).lessons
    again = merge([once, once])
    assert same(again.lessons, once)
    assert again.contradictions == ()
    assert same(merge([once, Lessons.none(5, 2)]).lessons, once)


def test_every_part_of_a_cell_stays_with_it():
    merged = merge([lessons_of([(cell, "a", f"p{cell}", False) for cell in range(6)])])
    for row, group in enumerate(merged.lessons.groups):
        cell = int(group[1:])
        np.testing.assert_array_equal(merged.lessons.features[row], features_of(cell))
        assert merged.lessons.logits[row].tolist() == [cell, -cell]
        assert merged.lessons.unfamiliarity[row] == np.float32(cell) / np.float32(9)


def test_two_readers_who_contradict_teach_nothing_of_that_cell():
    one = lessons_of([(0, "a", "", False), (1, "b", "", False)])
    other = lessons_of([(0, "b", "", False), (2, "b", "", False)])
    merged = merge([one, other])
    assert len(merged.lessons) == 2
    assert one.keys[0] not in merged.lessons.keys
    assert merged.contradictions == ((one.keys[0], ("a", "b")),)


@pytest.mark.parametrize("other", [Lessons.none(4, 2), Lessons.none(5, 3)])
def test_lessons_of_different_checkpoints_are_refused(other):
    with pytest.raises(InputError, match=r"not of one checkpoint .* teach them"):
        merge([lessons_of([(0, "a", "", False)]), other])


def test_nothing_at_all_cannot_be_merged():
    with pytest.raises(InputError):
        merge([])


@pytest.mark.parametrize(
    "change",
    [
        {"codes": ("a",)},
        {"keys": ("k",) * 3},
        {"groups": ()},
        {"drawn": np.zeros(3, np.bool_)},
        {"unfamiliarity": np.zeros(1, np.float32)},
        {"features": np.zeros(2, np.float16)},
        {"logits": np.zeros((2, 2, 1), np.float32)},
    ],
)
def test_parts_of_other_lengths_are_refused(change):
    whole = lessons_of([(0, "a", "", False), (1, "b", "", False)])
    with pytest.raises(InputError, match="as many features, answers and classes"):
        replace(whole, **change)


def test_some_are_taken_in_the_order_asked_for(same):
    whole = lessons_of([(cell, "ab"[cell % 2], "", cell == 3) for cell in range(6)])
    some = whole.take([3, 0])
    assert some.codes == ("b", "a")
    assert some.keys == (whole.keys[3], whole.keys[0])
    assert some.drawn.tolist() == [True, False]
    assert same(whole.take(np.arange(6)), whole)
    assert same(whole.take([]), Lessons.none(5, 2))


def test_counts_are_by_class():
    said = [(cell, code, "", False) for cell, code in enumerate("abacaa")]
    assert lessons_of(said).counts() == {"a": 4, "b": 1, "c": 1}
    assert Lessons.none(5, 2).counts() == {}
