"""The taught head follows verdicts where they say something, else the checkpoint."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from napari_cytodino.common.errors import InputError
from napari_cytodino.teaching import head as module
from napari_cytodino.teaching.head import (
    FOLDS,
    PENALTIES,
    centred,
    fit_head,
    folds,
    untaught_head,
)
from napari_cytodino.teaching.lessons import merge

CODES = ("c0", "c1", "c2")
WIDER = (*CODES, "c3")


def mixed(n: int, classes: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.arange(n) % classes)


def bits(taught) -> tuple:
    head = taught.head
    return (
        head.known.tobytes(),
        head.trust,
        head.weights.tobytes(),
        head.bias.tobytes(),
        head.penalty,
        taught.held_out.tobytes(),
    )


def answers(head, lessons) -> np.ndarray:
    return softmax(head.logits(lessons.features, lessons.logits), axis=1)


def right(head, lessons) -> float:
    named = np.array(WIDER)[answers(head, lessons).argmax(axis=1)]
    return float((named == np.array(lessons.codes)).mean())


@pytest.fixture(scope="module")
def swapped(make_lessons):
    """Cells that the checkpoint calls c0 where they are c1, and the other way round."""

    def make(n, seed=0):
        truth = mixed(n, seed=seed)
        return make_lessons(truth, said=np.array([1, 0, 2])[truth], seed=seed)

    return make


# --- the same verdicts, the same head --------------------------------------------


def test_the_order_of_verdicts_changes_no_bit(swapped):
    lessons = swapped(45)
    order = np.random.default_rng(3).permutation(45)
    one = fit_head(merge([lessons]).lessons, CODES, CODES)
    parts = [lessons.take(order[:20]), lessons.take(order[15:])]
    assert bits(fit_head(merge(parts).lessons, CODES, CODES)) == bits(one)


def test_fitting_twice_gives_the_same_bits(swapped):
    lessons = merge([swapped(45)]).lessons
    assert bits(fit_head(lessons, CODES, CODES)) == bits(
        fit_head(lessons, CODES, CODES)
    )


def test_a_lesson_taken_away_leaves_the_earlier_head(swapped):
    lessons = swapped(40)
    before = fit_head(merge([lessons.take(np.arange(39))]).lessons, CODES, CODES)
    more = merge([lessons]).lessons
    after = fit_head(more, CODES, CODES)
    assert bits(after) != bits(before)
    undone = more.take(
        [k for k, key in enumerate(more.keys) if key != lessons.keys[39]]
    )
    assert bits(fit_head(undone, CODES, CODES)) == bits(before)


# --- what is learned -------------------------------------------------------------


def test_lessons_that_agree_change_next_to_nothing(make_lessons):
    lessons = make_lessons(mixed(60), sure=8.0)
    taught = fit_head(lessons, CODES, CODES)
    assert taught.head.penalty == PENALTIES[0]
    fresh = make_lessons(mixed(60, seed=1), seed=1, sure=8.0)
    own = softmax(fresh.logits, axis=1)
    assert np.abs(answers(taught.head, fresh) - own).max() < 0.02
    assert right(taught.head, fresh) == 1.0


def test_lessons_that_contradict_the_checkpoint_are_followed(swapped):
    taught = fit_head(swapped(60), CODES, CODES)
    assert taught.head.penalty < PENALTIES[0]
    fresh = swapped(90, seed=1)
    own = np.array(CODES)[fresh.logits.argmax(axis=1)]
    assert (own == np.array(fresh.codes)).mean() < 0.4
    assert right(taught.head, fresh) > 0.95


def test_a_few_wrong_verdicts_do_not_overrule_a_sure_checkpoint(make_lessons):
    truth = mixed(60)
    told = truth.copy()
    told[:3] = (told[:3] + 1) % 3
    codes = tuple(f"c{k}" for k in told)
    taught = fit_head(make_lessons(truth, codes=codes), CODES, CODES)
    assert right(taught.head, make_lessons(mixed(90, seed=1), seed=1)) > 0.97


def test_a_new_class_is_learned(make_lessons):
    lessons = make_lessons(mixed(80, 4), said=mixed(80, 4) % 3)
    taught = fit_head(lessons, WIDER, CODES)
    assert taught.head.known.tolist() == [0, 1, 2, -1]
    fresh = make_lessons(mixed(120, 4, seed=1), said=mixed(120, 4, 1) % 3, seed=1)
    assert right(taught.head, fresh) > 0.95
    new = np.array(fresh.codes) == "c3"
    called = answers(taught.head, fresh).argmax(axis=1) == 3
    assert called[new].mean() > 0.9
    assert called[~new].mean() < 0.05


def test_classes_in_another_order_are_the_same_classes(swapped):
    lessons, fresh = swapped(45), swapped(30, seed=1)
    one = answers(fit_head(lessons, CODES, CODES).head, fresh)
    turned = answers(fit_head(lessons, CODES[::-1], CODES).head, fresh)
    np.testing.assert_allclose(turned[:, ::-1], one, atol=1e-3)


def test_a_class_that_was_not_taught_keeps_what_the_checkpoint_says(make_lessons):
    lessons = make_lessons(mixed(40, 2))
    taught = fit_head(lessons, CODES, CODES)
    fresh = make_lessons(np.full(30, 2), seed=1)
    assert (answers(taught.head, fresh).argmax(axis=1) == 2).mean() > 0.9


def test_units_and_offsets_of_features_count_nothing(swapped):
    lessons, fresh = swapped(45), swapped(30, seed=1)
    one = answers(fit_head(lessons, CODES, CODES).head, fresh)
    # exact in half precision
    lessons, fresh = (
        replace(part, features=part.features * np.float16(4))
        for part in (lessons, fresh)
    )
    made = answers(fit_head(lessons, CODES, CODES).head, fresh)
    np.testing.assert_allclose(made, one, atol=1e-4)


def test_alike_cells_and_features_that_never_change_can_be_taught(make_lessons):
    features = np.ones((20, 7), np.float16)
    lessons = make_lessons(mixed(20, 2), features=features)
    taught = fit_head(lessons, CODES, CODES)
    assert np.isfinite(taught.head.weights).all()
    assert right(taught.head, lessons) == 1.0


def test_two_cells_are_enough(make_lessons):
    lessons = make_lessons([0, 1])
    taught = fit_head(lessons, CODES, CODES)
    assert np.isfinite(taught.head.weights).all()
    assert right(taught.head, lessons) == 1.0


# --- trust and temperature -------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_head_that_learned_nothing_is_the_calibrated_checkpoint(
    make_lessons, temperature
):
    lessons = make_lessons(mixed(20), sure=2.0)
    want = softmax(lessons.logits / temperature, axis=1)
    made = answers(untaught_head(20, CODES, CODES, temperature), lessons)
    np.testing.assert_allclose(made, want, atol=1e-6)
    # whatever the order of its classes, and with new ones that nobody taught
    turned = ("c3", *CODES[::-1])
    made = answers(untaught_head(20, turned, CODES, temperature), lessons)
    np.testing.assert_allclose(made[:, :0:-1], want, atol=1e-6)
    assert made[:, 0].max() < 1e-6


def test_a_new_class_without_lessons_is_never_called(make_lessons):
    taught = fit_head(make_lessons(mixed(30)), WIDER, CODES)
    fresh = make_lessons(mixed(60, 4, seed=1), said=mixed(60, 3, seed=1), seed=1)
    assert answers(taught.head, fresh)[:, 3].max() < 0.01
    assert (taught.held_out.argmax(axis=1) < 3).all()


@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_answers_that_are_calibrated_stay_so(make_lessons, temperature):
    # classes drawn from what the checkpoint says at its temperature, features of none
    rng = np.random.default_rng(0)
    own = rng.normal(0, 2 * temperature, (300, 3)).astype(np.float32)
    odds = softmax(own / temperature, axis=1)
    truth = [rng.choice(3, p=row / row.sum()) for row in odds.astype(float)]
    lessons = make_lessons(truth, apart=0.0, logits=own)
    taught = fit_head(lessons, CODES, CODES, temperature)
    assert taught.head.trust == pytest.approx(1 / temperature, rel=0.25)
    made = answers(taught.head, lessons)
    assert np.abs(made - softmax(own / temperature, axis=1)).mean() < 0.05


def test_a_checkpoint_that_says_too_much_is_trusted_less(make_lessons):
    # sure of a class, and wrong in every third cell, with features of no use
    truth = mixed(300)
    said = np.where(np.arange(300) % 3, truth, (truth + 1) % 3)
    lessons = make_lessons(truth, said=said, apart=0.0, sure=9.0)
    taught = fit_head(lessons, CODES, CODES)
    assert taught.head.trust < 0.5
    assert answers(taught.head, lessons).max(axis=1).mean() < 0.85


def test_logits_of_a_checkpoint_count_but_for_their_level(make_lessons):
    lessons = make_lessons(mixed(30))
    head = fit_head(lessons, WIDER, CODES).head
    moved = replace(lessons, logits=lessons.logits + np.float32(50))
    np.testing.assert_allclose(answers(head, moved), answers(head, lessons), atol=1e-4)
    level = centred(np.array([[1.0, 2.0, 6.0]]), np.array([2, -1, 0]))
    np.testing.assert_allclose(level, [[3.0, 0.0, -2.0]])


# --- left out --------------------------------------------------------------------


def test_random_verdicts_are_learned_by_heart_yet_left_out_they_are_chance(
    make_lessons, monkeypatch
):
    monkeypatch.setattr(module, "PENALTIES", (0.001,))
    n = 100
    chance = np.random.default_rng(0).integers(0, 4, n)
    lessons = make_lessons(chance, apart=0.0, width=300, known=4, said=np.full(n, -1))
    taught = fit_head(lessons, WIDER, WIDER)
    called = taught.held_out.argmax(axis=1)
    assert right(taught.head, lessons) > 0.95
    # 0.25 and three standard errors
    assert abs((called == chance).mean() - 0.25) < 0.13


def test_a_lesson_has_no_say_in_what_is_said_of_it(make_lessons, monkeypatch):
    monkeypatch.setattr(module, "PENALTIES", (0.4,))
    # twelve patients, so that verdicts do not decide which cells are left out together
    groups = [f"p{k % 12:02d}" for k in range(60)]
    lessons = make_lessons(mixed(60), groups=groups, apart=1.0, sure=2.0)
    part = folds(lessons)[0]
    codes = list(lessons.codes)
    told = [codes[row] for row in part]
    assert len(set(told)) > 1
    for row, code in zip(part, told[1:] + told[:1], strict=True):
        codes[row] = code
    one = fit_head(lessons, CODES, CODES).held_out
    other = fit_head(replace(lessons, codes=tuple(codes)), CODES, CODES).held_out
    # all verdicts have a say in the heat, which is one number for all logits
    heat = np.linalg.norm(one[part]) / np.linalg.norm(other[part])
    np.testing.assert_allclose(one[part], heat * other[part], rtol=1e-4, atol=1e-5)
    rest = np.setdiff1d(np.arange(60), part)
    assert np.abs(one[rest] - heat * other[rest]).max() > 0.01


def test_left_out_cells_are_right_where_features_tell_the_classes(swapped):
    lessons = swapped(60)
    taught = fit_head(lessons, CODES, CODES)
    called = np.array(CODES)[taught.held_out.argmax(axis=1)]
    assert (called == np.array(lessons.codes)).mean() > 0.95
    assert taught.held_out.shape == (60, 3)
    assert taught.held_out.dtype == np.float32


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_folds_share_out_all_cells_and_keep_patients_whole(make_lessons, data):
    many = data.draw(st.integers(1, 25))
    groups = data.draw(
        st.lists(st.integers(0, many - 1).map(str), min_size=2, max_size=60)
    )
    targets = data.draw(
        st.lists(st.integers(0, 2), min_size=len(groups), max_size=len(groups))
    )
    lessons = make_lessons(targets, groups=groups)
    parts = folds(lessons)
    assert sorted(row for part in parts for row in part) == list(range(len(groups)))
    assert all(len(part) for part in parts)
    assert len(parts) <= FOLDS
    if len(set(groups)) >= 2 * FOLDS:
        seen = [{groups[row] for row in part} for part in parts]
        assert sum(map(len, seen)) == len(set(groups))
    else:
        for target in set(targets):
            dealt = Counter(
                place for place, part in enumerate(parts) for row in part
                if targets[row] == target
            )  # fmt: skip
            counts = [dealt[place] for place in range(min(FOLDS, len(parts)))]
            assert max(counts) - min(counts) <= 1


def test_cells_of_no_known_patient_are_not_one_patient(make_lessons):
    # ten patients of two cells, and a hundred cells that nobody knows the patient of
    groups = [f"p{k % 10}" for k in range(20)] + [""] * 100
    parts = folds(make_lessons(mixed(120), groups=groups))
    assert max(map(len, parts)) < 60


# --- refused ---------------------------------------------------------------------


def test_one_class_only_is_refused_with_the_remedy(make_lessons):
    with pytest.raises(
        InputError, match=r"All 9 taught cells .* teach cells of another"
    ):
        fit_head(make_lessons([1] * 9), CODES, CODES)


def test_no_lessons_are_refused(make_lessons):
    with pytest.raises(InputError):
        fit_head(make_lessons([0]).take([]), CODES, CODES)


def test_an_unknown_class_is_refused_with_the_remedy(make_lessons):
    with pytest.raises(InputError, match=r"c3.*c0, c1, c2.* Add it as a new class"):
        fit_head(make_lessons([0, 1, 3]), CODES, CODES)


def test_features_of_another_checkpoint_are_refused(make_lessons):
    lessons = make_lessons(mixed(12))
    head = fit_head(lessons, CODES, CODES).head
    with pytest.raises(InputError, match=r"21 features, .* 20; classify with"):
        head.logits(np.zeros((12, 21), np.float16), lessons.logits)


@pytest.mark.parametrize("codes", [CODES, WIDER])
def test_cells_without_an_answer_stay_without_one(make_lessons, codes):
    lessons = make_lessons(mixed(30, len(codes)), said=mixed(30))
    head = fit_head(lessons, codes, CODES).head
    own = lessons.logits.copy()
    own[[3, 7]] = np.nan
    made = head.logits(lessons.features, own)
    assert np.isnan(made).all(axis=1).nonzero()[0].tolist() == [3, 7]
    assert np.isnan(made).any(axis=1).nonzero()[0].tolist() == [3, 7]


def test_chunks_and_no_cells_change_nothing(make_lessons, monkeypatch):
    lessons = make_lessons(mixed(30))
    head = fit_head(lessons, CODES, CODES).head
    whole = head.logits(lessons.features, lessons.logits)
    monkeypatch.setattr(module, "CHUNK", 7)
    np.testing.assert_allclose(
        head.logits(lessons.features, lessons.logits), whole, rtol=1e-5, atol=1e-5
    )
    assert head.logits(lessons.features[:0], lessons.logits[:0]).shape == (0, 3)
