"""Flagged cells in the order of what accepting them would cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cytodino.taxonomy.acceptance_costs import ReviewCosts, review_costs
from napari_cytodino.widgets.session.review_queue import following, place_in, queue
from napari_cytodino.widgets.session.session import Session


def test_only_flagged_cells_the_costliest_first(judged: Any) -> None:
    session = judged.session
    rows = queue(session)
    assert sorted(rows.tolist()) == [3, 4, 5]
    price = session.probabilities.expected_cost(review_costs(session.taxonomy))[rows]
    assert (np.diff(price) <= 0).all()
    session.set_risk(0.02)
    assert sorted(queue(session).tolist()) == [4, 5]


def test_rows_count_all_cells_of_a_partial_run(judged: Any) -> None:
    session = judged.session
    session.predictions.done[:4] = False
    session.rebuild()
    assert sorted(queue(session).tolist()) == [4, 5]


def test_other_costs_give_another_order(judged: Any) -> None:
    session = judged.session
    session.costs = ReviewCosts(missed=0, false_alarm=0, neighbour=0, other=1)
    matrix = review_costs(session.taxonomy, session.costs)
    price = session.probabilities.expected_cost(matrix)
    rows = queue(session)
    assert (np.diff(price[rows]) <= 0).all()
    dear = review_costs(session.taxonomy)
    assert not np.allclose(session.probabilities.expected_cost(dear)[rows], price[rows])


def test_steps_go_round_and_begin_at_the_first() -> None:
    rows = np.array([7, 2, 5])
    assert following(rows, None, 1) == 7
    assert following(rows, 3, 1) == 7, "not in the queue"
    assert following(rows, 7, 1) == 2
    assert following(rows, 5, 1) == 7
    assert following(rows, 7, -1) == 5
    assert following(rows[:0], 7, 1) is None
    assert place_in(rows, 5) == 2
    assert place_in(rows, None) is None


def test_nothing_is_flagged_before_there_are_answers() -> None:
    assert len(queue(Session())) == 0
