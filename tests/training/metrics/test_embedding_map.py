"""The map of embeddings: purity against a plain loop, on groups one can see."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.metrics import embedding_map
from napari_cytodino.training.metrics.embedding_map import (
    chance_purity,
    map_embeddings,
    map_figures,
    purity,
)

RNG = np.random.default_rng(0)
KINDS = np.repeat([0, 1, 2], [40, 30, 20])
CENTRES = np.array([[0.0] * 8, [20.0] * 8, [40.0] * 8])
APART = (CENTRES[KINDS] + RNG.standard_normal((90, 8))).astype(np.float16)


def test_purity_is_that_of_a_plain_loop() -> None:
    points = RNG.standard_normal((60, 3))
    kinds = RNG.integers(0, 3, 60)
    shares = []
    for i, point in enumerate(points):
        apart = np.linalg.norm(points - point, axis=1)
        apart[i] = np.inf
        near = np.argsort(apart)[:7]
        shares.append((kinds[near] == kinds[i]).mean())
    assert purity(points, kinds, 7) == pytest.approx(np.mean(shares))


def test_a_cell_is_not_its_own_neighbour_even_among_twins() -> None:
    points = np.zeros((4, 2))
    # three neighbours each, one of them alike
    assert purity(points, np.array([0, 0, 1, 1])) == pytest.approx(1 / 3)


def test_one_cell_has_no_neighbours() -> None:
    assert np.isnan(purity(np.zeros((1, 2)), np.zeros(1, np.int64)))


def test_chance_is_the_mean_over_shuffles() -> None:
    points, found = RNG.standard_normal((90, 2)), []
    for _ in range(200):
        found.append(purity(points, RNG.permutation(KINDS)))
    assert chance_purity(KINDS) == pytest.approx(np.mean(found), abs=0.01)


def test_groups_stay_groups_and_the_map_repeats() -> None:
    made = map_embeddings(APART)
    assert made.points.shape == (90, 2)
    assert purity(made.points, KINDS) > 0.95
    assert np.array_equal(made.points, map_embeddings(APART).points)


def test_figures_tell_classes_from_lineages() -> None:
    # the second and third class are mixed, but of one lineage
    mixed = np.where(KINDS == 0, 0, RNG.integers(1, 3, 90))
    made = map_embeddings(APART)
    found = map_figures(made, APART, mixed, np.array([0, 1, 1]))
    assert found["n"] == 90
    assert found["purity_lineage"] > 0.95 > found["purity_class"]
    assert found["purity_class"] > found["purity_class_by_chance"]
    assert found["purity_lineage_on_map"] > 0.95


def test_of_many_cells_some_are_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_map, "MOST", 30)
    made = map_embeddings(APART, seed=1)
    assert len(set(made.rows.tolist())) == len(made.points) == 30
    assert map_figures(made, APART, KINDS, np.arange(3))["purity_class"] > 0.7


def test_what_cannot_be_mapped_is_refused() -> None:
    with pytest.raises(InputError, match="4 cells make no map"):
        map_embeddings(APART[:4])
    broken = APART.copy()
    broken[3, 3] = np.nan
    with pytest.raises(InputError, match="not finite"):
        map_embeddings(broken)
