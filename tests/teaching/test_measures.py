"""Figures of a taught head: counted by hand, of cells that were left out."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cytodino.stats.binomial import wilson
from napari_cytodino.teaching.head import FOLDS, Taught, TaughtHead, fit_head
from napari_cytodino.teaching.measures import (
    WANTED,
    Share,
    accuracy,
    agreement,
    called,
    lacking,
    learning_curve,
)

CODES = ("c0", "c1", "c2")
HEAD = TaughtHead(
    np.arange(3), 1.0, np.zeros((20, 3), np.float32), np.zeros(3, np.float32), 0.4
)


def saying(*classes: int) -> Taught:
    """Return what left-out cells were called; -1 for those that nobody judged."""
    held_out = np.zeros((len(classes), 3), np.float32)
    for row, place in enumerate(classes):
        held_out[row] = np.nan if place < 0 else np.eye(3)[place]
    return Taught(HEAD, held_out)


def test_the_class_called_is_the_likeliest_or_none():
    made = called(saying(2, 0, -1, 1))
    assert made.tolist() == [2, 0, -1, 1]
    assert made.dtype == np.int64


def test_accuracy_is_of_drawn_cells_alone(make_lessons):
    drawn = np.array([True, True, True, False, False, True])
    lessons = make_lessons([0, 1, 2, 0, 1, 2], drawn=drawn)
    # right: 0, 1, not 2; 3 and 4 were not drawn; 5 was not judged
    share = accuracy(saying(0, 1, 0, 0, 1, -1), lessons, CODES)
    assert share == Share(2, 3)
    none = make_lessons([0, 1])
    assert accuracy(saying(0, 1), none, CODES) == Share(0, 0)


def test_agreement_is_by_taught_class(make_lessons):
    lessons = make_lessons([0, 0, 0, 1, 1, 2])
    found = agreement(saying(0, 0, 1, 1, -1, -1), lessons, CODES)
    assert found == {"c0": Share(2, 3), "c1": Share(1, 1)}


def test_a_share_is_told_with_its_interval():
    low, high = wilson(8, 10)
    assert str(Share(8, 10)) == (
        f"8 of 10 right: 80 % ({100 * low:.0f} to {100 * high:.0f})"
    )
    assert 0.4 < low < 0.8 < high < 1
    assert str(Share(0, 0)) == "not measured yet"


def test_classes_with_few_examples_are_named_the_fewest_first(make_lessons):
    lessons = make_lessons([0] * WANTED + [1] * (WANTED - 1) + [2] * 3 + [3] * 3)
    assert lacking(lessons) == ["c2", "c3", "c1"]
    assert lacking(make_lessons([0] * WANTED)) == []


def test_figures_of_a_real_head_are_of_cells_left_out(make_lessons):
    truth = np.arange(60) % 3
    lessons = make_lessons(
        truth, said=np.array([1, 0, 2])[truth], drawn=np.arange(60) % 2 == 0
    )
    taught = fit_head(lessons, CODES, CODES)
    share = accuracy(taught, lessons, CODES)
    assert share.cells == 30
    assert share.right >= 28
    found = agreement(taught, lessons, CODES)
    assert sum(s.cells for s in found.values()) == 60


def test_the_learning_curve_grows_with_the_lessons(make_lessons):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 80)
    lessons = make_lessons(truth, said=np.array([1, 0, 2])[truth], apart=0.7)
    curve = learning_curve(lessons, CODES, CODES)
    assert [cells for cells, _ in curve] == [20, 40, 60, 80]
    assert [share.cells for _, share in curve] == [20, 40, 60, 80]
    first, last = (share.right / share.cells for _, share in (curve[0], curve[-1]))
    assert last > first
    whole = agreement(fit_head(lessons, CODES, CODES), lessons, CODES)
    assert curve[-1][1].right == sum(share.right for share in whole.values())


def test_too_few_lessons_have_no_learning_curve(make_lessons):
    assert learning_curve(make_lessons([0, 1, 0, 1]), CODES, CODES) == []
    one = make_lessons([0] * 20)
    assert learning_curve(one, CODES, CODES) == []
    # the first half is of one class: there is nothing to tell apart in it yet
    late = make_lessons([0] * 20 + [1] * 20)
    assert [cells for cells, _ in learning_curve(late, CODES, CODES)] == [30, 40]
    assert FOLDS == 5


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_last_step_is_all_lessons(make_lessons, steps):
    lessons = make_lessons(np.arange(40) % 3)
    curve = learning_curve(lessons, CODES, CODES, 2.0, steps)
    assert curve[-1][0] == 40
    assert len(curve) == steps
