"""Replay of events: the same whether at once or piece by piece, and never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.review.state import (
    READING,
    SETTLING,
    CaseState,
    Event,
    Verdict,
    same,
)

FIRST = Event(1, 1, "verdict", "2026-01-01T00:00:00.000+00:00", "Ann", READING, 1)


def said(id_, cell, now, reviewer="Ann", look=READING, **more):
    return FIRST._replace(
        id=id_, action=id_, cell=cell, now=now, reviewer=reviewer, look=look, **more
    )


def turned(id_, kind, undoes, reviewer="Ann"):
    return said(id_, 1, "", reviewer, kind=kind, undoes=undoes)


def classes(state, reviewer="Ann", look=READING):
    return {c: v.cell_class for c, v in state.verdicts(reviewer, look).items()}


def test_an_undo_brings_back_the_verdict_before_with_its_time_and_words():
    state = CaseState()
    old = said(1, 7, "a", why="folded", model="m", at="2026-01-01T00:00:01.000+00:00")
    state.apply([old, said(2, 7, "b"), said(3, 7, "", kind="undo", undoes=2)])
    assert state.verdicts("Ann", READING)[7] == Verdict(
        "a", "Ann", old.at, "folded", "m"
    )
    assert state.redoable("Ann", READING).id == 2
    state.apply([said(4, 7, "b", kind="redo", undoes=2)])
    assert classes(state) == {7: "b"}


def test_a_new_verdict_clears_what_could_be_redone():
    state = CaseState()
    state.apply([said(1, 1, "a"), turned(2, "undo", 1), said(3, 2, "b")])
    assert state.redoable("Ann", READING) is None
    assert state.undoable("Ann", READING).id == 3


def test_undo_keeps_to_the_reader_and_the_look():
    state = CaseState()
    state.apply(
        [said(1, 1, "a"), said(2, 1, "b", "Bob"), said(3, 1, "c", look=SETTLING)]
    )
    state.apply([turned(4, "undo", 1)])
    assert classes(state) == {}
    assert classes(state, "Bob") == {1: "b"}
    assert classes(state, look=SETTLING) == {1: "c"}


@pytest.mark.parametrize("undoes", [0, 1, 9])
def test_an_undo_of_another_action_than_the_last_is_refused(undoes):
    state = CaseState()
    state.apply([said(1, 1, "a"), said(2, 1, "b")])
    with pytest.raises(InputError, match="altered by hand"):
        state.apply([turned(3, "undo", undoes)])


def test_settled_is_the_last_third_look_else_agreement():
    state = CaseState()
    state.apply([said(1, 1, "a"), said(2, 2, "a"), said(3, 3, "a"), said(4, 4, "a")])
    state.apply(
        [said(5, 2, "a", "Bob"), said(6, 3, "b", "Bob"), said(7, 4, "b", "Bob")]
    )
    assert state.disputed == {3, 4}
    state.apply([said(8, 4, "b", "Cy", SETTLING), said(9, 4, "c", "Di", SETTLING)])
    assert state.disputed == {3}
    assert state.settled(1).reviewer == "Ann"
    assert state.settled(2).reviewer == "Bob"
    assert state.settled(3) is None
    assert state.settled(4).cell_class == "c"
    assert state.settled(99) is None
    assert state.readers == ["Ann", "Bob"]


def test_lock_and_reopening_carry_the_revision():
    state = CaseState()
    state.apply([said(1, 0, "", kind="lock")])
    assert state.locked
    assert state.revision == 1
    state.apply([said(2, 0, "", kind="reopen", revision=2)])
    assert not state.locked
    assert state.revision == 2
    assert state.reviewed() == set()


def test_nothing_to_turn_gives_no_event():
    assert CaseState().draft_turn(FIRST._replace(kind="undo"), int) == []


@pytest.mark.parametrize(
    ("before", "code", "model", "why", "repeats"),
    [
        (None, "", "", "", True),
        (None, "a", "", "", False),
        (Verdict("a", "Ann", "", "w", "m"), "a", "m", "", True),
        (Verdict("a", "Ann", "", "w", "m"), "a", "m", "w", True),
        (Verdict("a", "Ann", "", "w", "m"), "a", "m", "other", False),
        (Verdict("a", "Ann", "", "w", "m"), "a", "other", "", False),
        (Verdict("a", "Ann", "", "w", "m"), "b", "m", "", False),
        (Verdict("a", "Ann", "", "w", "m"), "", "", "", False),
    ],
)
def test_what_repeats_what_stands(before, code, model, why, repeats):
    assert same(before, code, model, why) is repeats


@st.composite
def histories(draw):
    """Return actions as the log writes them, by asking a state what can be turned."""
    state, actions, number = CaseState(), [], 1
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["verdict", "withdraw", "undo", "redo"]))
        first = FIRST._replace(
            id=number,
            action=number,
            kind=kind,
            reviewer=draw(st.sampled_from(["Ann", "Bob"])),
        )
        events = (
            state.draft_turn(first, int)
            if kind in ("undo", "redo")
            else [
                first.of_cell(
                    place, cell, cell, "", "" if kind == "withdraw" else draw(CODES), ""
                )
                for place, cell in enumerate(draw(CELLS))
            ]
        )
        state.apply(events)
        actions.append(events)
        number += len(events)
    return actions, state


CODES = st.sampled_from(["a", "b"])
CELLS = st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True)


@given(histories())
def test_replay_in_one_go_and_action_by_action_is_the_same(history):
    actions, stepwise = history
    whole = CaseState()
    touched = whole.apply(event for action in actions for event in action)
    assert touched == {event.cell for action in actions for event in action}
    assert whole.readers == stepwise.readers
    for reader in ("Ann", "Bob"):
        assert whole.verdicts(reader, READING) == stepwise.verdicts(reader, READING)
        assert whole.undoable(reader, READING) == stepwise.undoable(reader, READING)
        assert whole.redoable(reader, READING) == stepwise.redoable(reader, READING)
