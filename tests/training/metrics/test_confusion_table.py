"""Bootstrap: against drawing cells one by one, and wider over groups."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.metrics.confusion_table import (
    confusion,
    intervals,
    macro_f1,
    resampled_tables,
)

RNG = np.random.default_rng(3)
TARGETS = RNG.integers(0, 3, 200)
GUESSES = np.where(RNG.random(200) < 0.8, TARGETS, RNG.integers(0, 3, 200))


def accuracy(table: np.ndarray) -> np.ndarray:
    return np.array([np.trace(table) / table.sum()])


def test_tables_of_drawn_cells_hold_as_many_cells() -> None:
    tables = list(resampled_tables(TARGETS, GUESSES, 3, repeats=20))
    assert {int(t.sum()) for t in tables} == {200}
    assert len({t.tobytes() for t in tables}) > 1
    # what never happened cannot be drawn
    never = confusion(TARGETS, GUESSES, 4) == 0
    wide = resampled_tables(TARGETS, GUESSES, 4, repeats=20)
    assert all((table[never] == 0).all() for table in wide)


def test_interval_is_that_of_drawing_cells_one_by_one() -> None:
    rng, drawn = np.random.default_rng(1), []
    for _ in range(2000):
        rows = rng.integers(0, 200, 200)
        drawn.append(macro_f1(confusion(TARGETS[rows], GUESSES[rows], 3)))
    slow = np.percentile(drawn, (2.5, 97.5))

    def score(table: np.ndarray) -> np.ndarray:
        return np.array([macro_f1(table)])

    ((value, *fast),) = intervals(score, TARGETS, GUESSES, 3, repeats=2000, seed=1)
    assert value == macro_f1(confusion(TARGETS, GUESSES, 3))
    assert fast == slow.tolist()


def test_a_group_comes_whole_or_not_at_all() -> None:
    targets, guesses = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1])
    groups = np.array(["ann", "bob", "bob", "cid"])
    own = [
        confusion(targets[groups == g], guesses[groups == g], 2)
        for g in ("ann", "bob", "cid")
    ]
    possible = {
        sum(n * t for n, t in zip(times, own, strict=True)).tobytes()
        for times in np.ndindex(4, 4, 4)
        if sum(times) == 3
    }
    for table in resampled_tables(targets, guesses, 2, groups=groups, repeats=50):
        assert table.tobytes() in possible


def test_patients_who_differ_widen_the_interval() -> None:
    # ten patients of whom five are all right and five all wrong
    groups = np.repeat([f"p{i}" for i in range(10)], 30)
    targets = np.zeros(300, np.int64)
    guesses = np.repeat([0, 1] * 5, 30)
    alone = intervals(accuracy, targets, guesses, 2)[0]
    patients = intervals(accuracy, targets, guesses, 2, groups=groups)[0]
    assert alone[0] == patients[0] == 0.5
    # standard error sqrt(p q / 10) of ten patients against sqrt(p q / 300)
    ratio = (patients[2] - patients[1]) / (alone[2] - alone[1])
    assert ratio == pytest.approx(np.sqrt(30), rel=0.15)


def test_groups_of_one_cell_are_cells() -> None:
    names = np.array([str(i) for i in range(200)])
    one = intervals(accuracy, TARGETS, GUESSES, 3, groups=names, repeats=3000)[0]
    none = intervals(accuracy, TARGETS, GUESSES, 3, repeats=3000)[0]
    assert one == pytest.approx(none, abs=0.012)


def test_one_group_tells_nothing() -> None:
    with pytest.raises(InputError, match="one group 'p'"):
        next(resampled_tables(TARGETS, GUESSES, 3, groups=np.full(200, "p")))


def test_undefined_draws_are_left_out() -> None:
    def sometimes(table: np.ndarray) -> np.ndarray:
        rare = table[2].sum()
        return np.array([table[2, 2] / rare if rare else np.nan, np.nan])

    targets, guesses = np.array([0] * 40 + [2]), np.array([0] * 40 + [2])
    rare, never = intervals(sometimes, targets, guesses, 3)
    assert rare.tolist() == [1, 1, 1]
    assert np.isnan(never).all()
