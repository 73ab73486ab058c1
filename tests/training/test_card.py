"""The model card: figures of the evaluation, data, licence, limits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from napari_cytodino.core.checkpoint import list_checkpoints, load_checkpoint
from napari_cytodino.core.decisions import DecisionPolicy
from napari_cytodino.training.card import figures_block, figures_of, write_card
from napari_cytodino.training.config import load_recipe

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = {"mll-marrow": {"train": 3, "test": 2}, "pbc-blood": {"train": 5, "test": 2}}


@pytest.fixture
def results(smoke_run: Path) -> dict[str, object]:
    return json.loads((smoke_run / "metrics.json").read_text("utf-8"))


def test_figures_come_out_as_they_went_in(results: dict[str, object]) -> None:
    recipe = load_recipe("starter")
    card = write_card(recipe, DecisionPolicy(), COUNTS, results, "abc")
    assert figures_of(card) == figures_block(results)
    assert figures_of("# nothing\n") == ""


def test_the_card_of_real_cells_says_what_it_must(results: dict[str, object]) -> None:
    recipe = load_recipe("starter")
    card = write_card(recipe, DecisionPolicy(), COUNTS, results, "abc")
    for word in (
        "Research use only", "Matek", "Acevedo", "CC BY 4.0", "10.7937/TCIA.AXH3-T579",
        "10.17632/snkd93bnjr.1", "Tuned, no guarantee", "`abc`", *recipe.limits,
    ):  # fmt: skip
        assert word in card
    assert "SYNTHETIC" not in card


def test_the_card_of_drawn_cells_says_so(results: dict[str, object]) -> None:
    recipe = load_recipe("demo")
    counts = {"synthetic": {"train": 3, "test": 2}}
    card = write_card(recipe, DecisionPolicy(), counts, results, "")
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
