"""Teaching while a case is read: the head follows verdicts, and asks for more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL
from napari_cytodino.teaching.classes import new_class

if TYPE_CHECKING:
    from napari_cytodino.widgets.session.teaching import Teaching


def bits(teaching: Teaching) -> bytes:
    """Return the head in force, bit for bit."""
    head = teaching.taught.head
    return head.weights.tobytes() + head.bias.tobytes() + repr(head.trust).encode()


def test_verdicts_teach_at_once_and_not_before_a_second_class(teachable: Any) -> None:
    teaching = teachable.teaching
    teachable.say([0, 4, 8])
    assert teaching.taught is None
    assert teachable.session.opened is teachable.session.untaught
    teachable.say([1, 2, 5, 6, 9, 10])
    assert teaching.taught is not None
    assert teachable.right > 0.7, "three of four kinds were taught"
    assert teachable.session.opened.calibration is None
    assert "no guarantee" in teachable.session.opened.guarantee()
    assert "Taught with 9 cells of 3 classes" in teaching.words()


def test_undo_gives_back_the_earlier_head_bit_for_bit(teachable: Any) -> None:
    teachable.say([0, 1, 2, 4, 5, 6])
    before = bits(teachable.teaching)
    shown = teachable.session.table["cell_class"].tolist()
    teachable.say([9])
    assert bits(teachable.teaching) != before
    teachable.review.undo()
    assert bits(teachable.teaching) == before
    assert teachable.session.table["cell_class"].tolist() == shown
    teachable.review.redo()
    teachable.review.undo()
    assert bits(teachable.teaching) == before


def test_the_order_of_verdicts_does_not_matter(teachable: Any) -> None:
    rows = [0, 1, 2, 4, 5, 6, 9]
    teachable.say(rows)
    one = bits(teachable.teaching)
    for _ in rows:
        teachable.review.undo()
    assert teachable.teaching.taught is None
    teachable.say(rows[::-1])
    assert bits(teachable.teaching) == one


def test_opened_again_the_head_is_the_one_that_was(teachable: Any) -> None:
    teachable.teaching.add_classes(["KSC"])
    teachable.say([0, 1, 2, 3, 4, 5, 6, 7])
    before = bits(teachable.teaching)
    teachable.review.stop()
    session = teachable.session
    assert session.opened is session.untaught, "nobody reads, so nothing is taught"
    teachable.review.start(ReviewLog.open(teachable.place, image="pixels"), "AB")
    assert bits(teachable.teaching) == before
    assert "KSC" in session.taxonomy


def test_a_class_that_the_checkpoint_lacks_is_learned(teachable: Any) -> None:
    teaching, session = teachable.teaching, teachable.session
    assert "KSC" not in session.taxonomy
    told: list[object] = []
    session.chosen.connect(lambda: told.append(session.taxonomy))
    teaching.add_classes(["KSC"])
    assert "KSC" in session.taxonomy
    assert told, "buttons and keys are made anew"
    assert (session.table["cell_class"] != "KSC").all(), "called before its verdict"
    teachable.say(range(16))
    assert teachable.right > 0.95
    assert (session.table["cell_class"] == "KSC").sum() > 20


def test_a_class_of_the_users_own_is_kept_with_the_case(teachable: Any) -> None:
    own = new_class(teachable.session.taxonomy, "XYZ", "My cell", colour="#123456")
    teachable.teaching.add_classes([own])
    assert teachable.review.log.notes.classes() == [own]
    teachable.say([0, 4, 1, 5], ["XYZ", "XYZ", teachable.codes[1], teachable.codes[1]])
    assert teachable.session.table["reviewed_class"].tolist()[0] == "XYZ"
    with pytest.raises(InputError, match="no class of"):
        teachable.teaching.add_classes(["nonsense"])
    assert "nonsense" not in teachable.session.taxonomy


def test_off_the_checkpoint_answers_as_it_is_stored(teachable: Any) -> None:
    teachable.say([0, 1, 2, 4, 5, 6])
    taught = teachable.session.table["cell_class"].tolist()
    teachable.teaching.set_on(False)
    assert set(teachable.session.table["cell_class"]) == {
        teachable.session.taxonomy.codes[0]
    }
    teachable.teaching.set_on(True)
    assert teachable.session.table["cell_class"].tolist() == taught


def test_what_is_no_cell_teaches_nothing(teachable: Any) -> None:
    teachable.say([0, 1, 2, 4, 5, 6])
    before = bits(teachable.teaching)
    teachable.review.reject([20])
    assert teachable.session.reviews[20].cell_class == NOT_A_CELL
    assert bits(teachable.teaching) == before


def test_the_accuracy_is_of_heads_that_did_not_know_the_cell(teachable: Any) -> None:
    rng = np.random.default_rng(3)
    rows = rng.permutation(120)[:60]
    wrong = [teachable.codes[k] for k in rng.integers(0, 3, 60)]
    teachable.review.log.notes.note_drawn(rows, of=120, reviewer="AB")
    teachable.say(rows, wrong)
    words = teachable.teaching.accuracy_words()
    right = int(words.split(": ")[1].split(" of ")[0])
    assert right < 36, f"random verdicts cannot be foretold: {words}"


def test_what_cannot_be_asked_is_a_sentence(teachable: Any) -> None:
    teachable.review.stop()
    with pytest.raises(InputError, match="start the review first"):
        teachable.teaching.ask()
    with pytest.raises(InputError, match="Nothing is taught yet"):
        teachable.teaching.profile("lab")


def test_cells_like_one_are_selected_and_named_at_once(teachable: Any) -> None:
    session, told = teachable.session, []
    session.message.connect(told.append)
    session.select(5)
    teachable.teaching.show_alike()
    rows = session.selected_rows
    assert rows[0] == 5
    assert len(rows) == 40
    kinds = [teachable.truth[int(row)] for row in rows[:25]]
    assert kinds.count(teachable.truth[5]) > 20
    assert "40 cells like this one" in told[-1]
    teachable.review.set_class(teachable.codes[1])
    assert len(session.reviews) == 40
    teachable.review.undo()
    assert not len(session.reviews)


def test_a_profile_holds_what_was_taught_and_is_taught_on(
    teachable: Any, tmp_path: Any
) -> None:
    from napari_cytodino import load_checkpoint
    from napari_cytodino.checkpoints.saving import save_profile

    teachable.teaching.add_classes(["KSC"])
    teachable.say(range(12))
    session = teachable.session
    before, shown = bits(teachable.teaching), session.table["cell_class"].tolist()
    profile, policy, card = teachable.teaching.profile("my-lab")
    assert "my-lab: a laboratory's profile" in card
    saved = save_profile(tmp_path / "my-lab", session.untaught, profile, policy, card)
    teachable.review.stop()
    lab = load_checkpoint(saved)
    own = session.own
    session.open_checkpoint(lab)
    session.own = own
    session._answer()
    session.rebuild()
    assert session.table["cell_class"].tolist() == shown
    assert teachable.teaching.taught is None
    stored = lab.taught.head
    assert before.startswith(stored.weights.tobytes() + stored.bias.tobytes())
    other = ReviewLog.open(tmp_path / "two.sqlite", image="others")
    teachable.review.start(other, "AB")
    teachable.say([20])
    assert len(teachable.teaching.lessons) == 13


def test_a_blind_reader_learns_nothing_of_the_model(teachable: Any) -> None:
    teachable.review.stop()
    log = ReviewLog.open(teachable.place, image="pixels")
    teachable.review.start(log, "AB", blind=True)
    teachable.say([0, 1, 2, 4, 5, 6])
    assert set(teachable.session.table["cell_class"]) == {""}


def test_what_is_promised_and_written_says_that_it_was_taught(teachable: Any) -> None:
    from napari_cytodino.widgets.panels.folder_dialog import model_words
    from napari_cytodino.widgets.session.guarantee import guarantee_of
    from napari_cytodino.widgets.session.snapshot import provenance

    session = teachable.session
    assert "taught" not in provenance(session).settings
    teachable.say([0, 1, 2, 4, 5, 6])
    assert guarantee_of(session).headline == "No guarantee: the checkpoint was taught"
    assert "6 cells" in provenance(session).settings["taught"]
    assert "save a profile" in model_words(session)
    teachable.teaching.set_on(False)
    assert "save a profile" not in model_words(session)


def test_a_verdict_of_now_counts_more_than_what_a_profile_was_taught(
    teachable: Any, tmp_path: Any
) -> None:
    from napari_cytodino import load_checkpoint
    from napari_cytodino.checkpoints.saving import save_profile

    teachable.say(range(12), [teachable.codes[row % 3] for row in range(12)])
    session = teachable.session
    profile, policy, card = teachable.teaching.profile("lab")
    saved = save_profile(tmp_path / "lab", session.untaught, profile, policy, card)
    own = session.own
    session.open_checkpoint(load_checkpoint(saved))
    session.own = own
    session._answer()
    session.rebuild()
    assert len(teachable.teaching.lessons) == 12, "each cell once"
    teachable.review.set_class(teachable.codes[2], [0])
    lessons = teachable.teaching.lessons
    [said] = [
        code
        for key, code in zip(lessons.keys, lessons.codes, strict=True)
        if key == own.keys[0].tobytes().hex()
    ]
    assert said == teachable.codes[2]


def test_notes_that_make_no_sense_are_passed_over(teachable: Any) -> None:
    log = teachable.review.log
    for name, value in (
        ("class ABC", "{"),
        ("class ABD", '{"code": 1}'),
        ("class nowhere", ""),
        ("drawn 1", '{"cells": [[1]]}'),
        ("drawn 2", "[]"),
    ):
        log._file.note(name, value, "2026-11-29T00:00:00.000+00:00")
    teachable.say([0, 1, 2, 4, 5, 6])
    assert teachable.teaching.taught is not None
    assert log.notes.drawn() == ()
    assert "nowhere" not in teachable.session.taxonomy


def test_a_blind_reader_is_not_told_what_changed(teachable: Any) -> None:
    teachable.say([0, 1, 2, 4, 5])
    teachable.teaching.changed = 3
    assert "3 cells changed" in teachable.teaching.words()
    teachable.review.blind = True
    assert "changed" not in teachable.teaching.words()
    teachable.review.blind = False
