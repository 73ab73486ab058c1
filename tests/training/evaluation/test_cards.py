"""The model card: figures of the evaluation, data, licence, limits."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_cytodino.checkpoints.checkpoint import list_checkpoints, load_checkpoint
from napari_cytodino.stats.binomial import fewest_cells
from napari_cytodino.stats.fixed_sequence import curve_of
from napari_cytodino.training.evaluation.cards import (
    decisions_block,
    figures_block,
    figures_of,
    with_decisions,
    with_figures,
    write_card,
)
from napari_cytodino.training.recipes.distillation import load_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.uncertainty.calibration import Calibration

COUNTS = {"mll-marrow": {"train": 3, "test": 2}, "pbc-blood": {"train": 5, "test": 2}}


@pytest.fixture
def calibration(smoke_run: Path) -> Calibration:
    measured = load_checkpoint(smoke_run / "checkpoint").calibration
    assert measured is not None
    return measured


@pytest.fixture
def results(smoke_run: Path) -> dict[str, object]:
    return json.loads((smoke_run / "metrics.json").read_text("utf-8"))


def test_figures_come_out_as_they_went_in(
    results: dict[str, object], calibration: Calibration
) -> None:
    recipe = load_recipe("starter")
    card = write_card(recipe, calibration, COUNTS, results, "abc")
    assert figures_of(card) == figures_block(results)
    assert figures_of("# nothing\n") == ""


def test_the_card_of_real_cells_says_what_it_must(
    results: dict[str, object], calibration: Calibration
) -> None:
    recipe = load_recipe("starter")
    card = write_card(recipe, calibration, COUNTS, results, "abc")
    for word in (
        "Research use only", "Matek", "Acevedo", "CC BY 4.0", "10.7937/TCIA.AXH3-T579",
        "10.17632/snkd93bnjr.1", "NOT reached", "no guarantee", "`abc`", *recipe.limits,
    ):  # fmt: skip
        assert word in card
    assert "SYNTHETIC" not in card


def test_the_card_of_drawn_cells_says_so(
    results: dict[str, object], calibration: Calibration
) -> None:
    recipe = load_recipe("demo")
    counts = {"synthetic": {"train": 3, "test": 2}}
    card = write_card(recipe, calibration, counts, results, "")
    assert card.count("SYNTHETIC") >= 2
    assert "Matek" not in card


def test_support_is_shown_for_every_class(results: dict[str, object]) -> None:
    block = figures_block(results)
    for code in load_recipe("smoke").classes:
        assert f"| {code} | 2 |" in block


@pytest.mark.parametrize("info", list_checkpoints(), ids=lambda info: info.name)
def test_shipped_cards_have_figures_and_warnings(info) -> None:
    card = load_checkpoint(info.name).card
    assert "macro F1" in figures_of(card)
    assert "Research use only" in card
    assert "never for a diagnosis" in card


def test_every_accuracy_has_a_line_with_its_threshold_or_none(
    calibration: Calibration,
) -> None:
    n = 2 * fewest_cells(0.005, calibration.delta_per_statement)
    score = np.linspace(1, 0.5, n)
    good = replace(calibration, curve=curve_of(score, np.arange(n) > 0.9 * n))
    lines = decisions_block(good).splitlines()
    (half,) = [line for line in lines if line.startswith("| 99.5% |")]
    row = good.row_by_risk[0.005]
    assert row is not None
    assert f"| {score[score >= good.curve.thresholds[row]].min():.4f} |" in half
    assert half.endswith("| guaranteed |")
    (strictest,) = [line for line in lines if line.startswith("| 99.9% |")]
    assert strictest.endswith("no guarantee |")


def test_decisions_and_figures_are_replaced_and_the_rest_stays(
    results: dict[str, object], calibration: Calibration
) -> None:
    card = write_card(load_recipe("smoke"), calibration, COUNTS, results, "abc")
    warmer = replace(calibration, temperature=3.25)
    told = with_decisions(card, warmer, "A note.")
    assert "Temperature 3.25" in told
    assert "A note." in told
    assert with_decisions(told, calibration) == card
    assert figures_of(with_figures(card, "| none |")) == "| none |"
    bare = with_decisions("# Mine\n", calibration)
    assert bare.startswith("# Mine\n\n## Decisions\n\nTemperature")
    assert with_figures("# Mine\n", "| none |") == "# Mine\n"
