"""What answers amount to is computed once for each set of answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_cytodino.taxonomy.acceptance_costs import ReviewCosts
from napari_cytodino.widgets.session._evidence import Evidence


def test_nothing_is_known_of_no_answers(demo: Any, six_answers: Any) -> None:
    kept = Evidence()
    assert kept.probabilities(None, demo) is None
    assert kept.probabilities(six_answers, None) is None
    assert kept.cost(None, demo, ReviewCosts()) is None


def test_it_is_kept_until_answers_or_checkpoint_are_others(
    demo: Any, six_answers: Any
) -> None:
    kept = Evidence()
    first = kept.probabilities(six_answers, demo)
    assert kept.probabilities(six_answers, demo) is first
    hotter = replace(demo, policy=replace(demo.policy, temperature=2.0))
    other = kept.probabilities(six_answers, hotter)
    assert other is not first
    assert (other.confidence < first.confidence).all()
    assert kept.probabilities(replace(six_answers), hotter) is not other


def test_costs_follow_what_is_asked(demo: Any, six_answers: Any) -> None:
    kept = Evidence()
    found = kept.probabilities(six_answers, demo)
    cost = kept.cost(found, demo, ReviewCosts())
    assert kept.cost(found, demo, ReviewCosts()) is cost
    assert np.isfinite(cost).all()
    kept.forget()
    again = kept.cost(kept.probabilities(six_answers, demo), demo, ReviewCosts())
    assert again is not cost
    np.testing.assert_array_equal(again, cost)
