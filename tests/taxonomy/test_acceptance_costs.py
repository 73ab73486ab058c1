"""The order of the review queue: costs by rule, and from a file."""

from pathlib import Path

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.acceptance_costs import (
    ReviewCosts,
    read_costs,
    review_costs,
)
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")


def cost(of: str, called: str, costs: ReviewCosts | None = None) -> float:
    matrix = review_costs(TAXONOMY, costs)
    return float(matrix[TAXONOMY.index(of), TAXONOMY.index(called)])


@pytest.mark.parametrize(
    ("of", "called", "expected"),
    [
        ("BLA", "LYT", 10.0),
        ("LYT", "BLA", 2.0),
        ("MMZ", "NGB", 0.5),
        ("MMZ", "NGS", 1.0),
        ("EBO", "MON", 1.0),
        ("MON", "MON", 0.0),
        # neighbours in maturation, but one is critical and the other is not
        ("MYB", "MMZ", 0.5),
    ],
)
def test_costs_follow_risk_and_maturation(
    of: str, called: str, expected: float
) -> None:
    assert cost(of, called) == expected


def test_nothing_costs_more_than_a_missed_critical_cell() -> None:
    matrix = review_costs(TAXONOMY)
    missed = np.ix_(TAXONOMY.critical_mask, TAXONOMY.safe_mask)
    assert matrix[missed].min() == matrix.max() == ReviewCosts().missed


def test_a_file_replaces_some_costs(tmp_path: Path) -> None:
    path = tmp_path / "costs.toml"
    path.write_text("missed = 20\n")
    costs = read_costs(path)
    assert (costs.missed, costs.other) == (20, 1.0)
    assert cost("BLA", "NGS", costs) == 20


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("missed = -1", "-1"),
        ("missed = 'much'", "much"),
        ("mist = 1", "mist"),
        ("missed", "cannot be read"),
        ("missed = inf", "inf"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "costs.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=word):
        read_costs(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml"):
        read_costs(tmp_path / "none.toml")
