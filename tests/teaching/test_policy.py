"""Thresholds of taught answers: those of the checkpoint, with no promise left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_cytodino.teaching.lessons import Lessons
from napari_cytodino.teaching.policy import EXAMPLES, FEW, LEAST, taught_policy
from napari_cytodino.uncertainty.decisions import UNREACHABLE, DecisionPolicy

OWN = ("c0", "c1", "c2")
BASE = DecisionPolicy(
    temperature=1.7,
    min_confidence=0.8,
    min_margin=0.3,
    min_lineage=0.85,
    max_critical=0.02,
    max_foreign=0.2,
    set_limits={"line": 0.9},
    guarantee="at most 1 % are wrong",
)


def test_thresholds_stay_and_the_promise_goes(make_lessons):
    made = taught_policy(BASE, make_lessons([0, 1] * 5), OWN)
    assert made == replace(BASE, temperature=1.0, guarantee="", set_limits={})


def test_where_the_checkpoint_accepts_nothing_a_usual_limit_holds(make_lessons):
    shut = DecisionPolicy(
        min_confidence=UNREACHABLE,
        min_lineage=UNREACHABLE,
        max_critical=0.0,
        uncalibrated="it was calibrated for other weights",
    )
    made = taught_policy(shut, make_lessons([0, 1] * 5), OWN)
    assert (made.min_confidence, made.min_lineage) == (LEAST, LEAST)
    assert made.max_critical == DecisionPolicy().max_critical
    assert made.uncalibrated == ""
    exact = taught_policy(replace(shut, min_confidence=1.0), make_lessons([0, 1]), OWN)
    assert exact.min_confidence == 1.0


@pytest.mark.parametrize("cells", [1, EXAMPLES - 1, EXAMPLES])
def test_a_new_class_is_rare_until_it_has_examples(make_lessons, cells):
    lessons = make_lessons([0] * 9 + [3] * cells)
    made = taught_policy(BASE, lessons, OWN)
    assert made.rare == (("c3",) if cells < EXAMPLES else ())


def test_a_class_of_the_checkpoint_with_few_lessons_is_not_rare(make_lessons):
    assert taught_policy(BASE, make_lessons([0] * 9 + [1]), OWN).rare == ()


def test_rare_classes_of_the_checkpoint_stay_rare_until_they_are_taught(make_lessons):
    rare = replace(BASE, rare=("c2", "c1", "c0"))
    lessons = make_lessons([0] * EXAMPLES + [1] * (EXAMPLES - 1) + [3])
    assert taught_policy(rare, lessons, OWN).rare == ("c1", "c2", "c3")


@pytest.mark.parametrize(("cells", "moved"), [(FEW - 1, False), (FEW, True)])
def test_unlike_cells_are_known_from_twenty_taught_ones_on(make_lessons, cells, moved):
    unlike = np.linspace(2, 4, cells).astype(np.float32)
    lessons = make_lessons(np.arange(cells) % 2, unfamiliarity=unlike)
    made = taught_policy(BASE, lessons, OWN)
    assert made.max_unfamiliarity == (4.0 if moved else BASE.max_unfamiliarity)


def test_the_limit_of_unlike_cells_never_sinks(make_lessons):
    near = np.full(30, 0.2, np.float32)
    lessons = make_lessons(np.arange(30) % 2, unfamiliarity=near)
    assert taught_policy(BASE, lessons, OWN).max_unfamiliarity == 1.0


@pytest.mark.parametrize("nobody_knows", [np.nan, np.inf])
def test_distances_that_nobody_knows_do_not_count(make_lessons, nobody_knows):
    unlike = np.full(30, nobody_knows, np.float32)
    lessons = make_lessons(np.arange(30) % 2, unfamiliarity=unlike)
    assert taught_policy(BASE, lessons, OWN).max_unfamiliarity == 1.0
    unlike[: FEW - 1] = 3
    lessons = make_lessons(np.arange(30) % 2, unfamiliarity=unlike)
    assert taught_policy(BASE, lessons, OWN).max_unfamiliarity == 1.0


def test_without_lessons_only_the_promise_goes():
    made = taught_policy(BASE, Lessons.none(4, 3), OWN)
    assert made == replace(BASE, temperature=1.0, guarantee="", set_limits={})
