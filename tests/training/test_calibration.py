"""Calibration: the temperature that was put in comes out; thresholds hold."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cytodino.core.decisions import DecisionPolicy
from napari_cytodino.core.taxonomy import Taxonomy
from napari_cytodino.training.calibration import (
    GRID,
    accepted_cells,
    as_predictions,
    choose_policy,
    fit_temperature,
)

WHOLE = Taxonomy.load("mll21")
TAXONOMY = WHOLE.subset([c.code for c in WHOLE.classes if c.risk == "safe"][:3])


def drawn(n: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits, too sharp by the temperature, and targets they predict."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(n, 3)) * 3
    chance = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    targets = (rng.random((n, 1)) > chance.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return (honest * temperature).astype(np.float32), targets


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found(temperature: float) -> None:
    logits, targets = drawn(20_000, temperature)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.08)


def test_accepted_error_holds_on_the_cells_it_was_chosen_on() -> None:
    logits, targets = drawn(5000, 1.0)
    lab = np.full(5000, "lab")
    policy = choose_policy(
        logits, targets, lab, TAXONOMY, temperature=1.0, accepted_error=0.02
    )
    taken = accepted_cells(logits, TAXONOMY, policy)
    wrong = logits.argmax(axis=1) != targets
    assert 0.1 < taken.mean() < 1
    assert wrong[taken].mean() <= 0.02
    assert wrong.mean() > 0.05
    looser = choose_policy(
        logits, targets, lab, TAXONOMY, temperature=1.0, accepted_error=0.1
    )
    assert looser.min_confidence < policy.min_confidence
    assert policy.guarantee == ""


def test_a_hard_source_is_not_hidden_by_an_easy_one() -> None:
    logits, targets = drawn(4000, 1.0)
    easy = np.zeros((4000, 3), np.float32)
    easy[np.arange(4000), targets] = 8
    both = np.concatenate([logits, easy]), np.concatenate([targets, targets])
    named = np.array(["hard"] * 4000 + ["easy"] * 4000)
    mixed = np.full(8000, "all")
    chosen = [
        choose_policy(*both, s, TAXONOMY, temperature=1.0, accepted_error=0.02)
        for s in (named, mixed)
    ]
    assert chosen[0].min_confidence > chosen[1].min_confidence


def test_nothing_good_enough_gives_the_strictest_threshold() -> None:
    logits = np.tile(np.array([[9, 0, 0]], np.float32), (50, 1))
    policy = choose_policy(
        logits, np.ones(50, np.int64), np.full(50, "lab"), TAXONOMY,
        temperature=1.0, accepted_error=0.02,
    )  # fmt: skip
    assert policy.min_confidence == GRID[-1]


def test_accepted_cells_follow_the_policy() -> None:
    logits = np.array([[9, 0, 0], [1, 0.9, 0]], np.float32)
    taken = accepted_cells(logits, TAXONOMY, DecisionPolicy(min_confidence=0.8))
    assert taken.tolist() == [True, False]
    assert as_predictions(logits).done.all()
