"""Sets of possible classes: by hand, and by a rule known to cover."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cytodino.stats.binomial import exact_interval
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.metrics._prediction_sets import (
    possible_classes,
    set_figures,
)
from napari_cytodino.uncertainty.labelled import LabelledPredictions

MLL = Taxonomy.load("mll21")
GROUPS = {c.code: c.lineage for c in MLL.classes}


def cells_of(*codes: str) -> LabelledPredictions:
    targets = np.array([MLL.index(code) for code in codes])
    logits = np.zeros((len(codes), len(MLL)), np.float32)
    sources = np.where(np.arange(len(codes)) % 2, "east", "west")
    return LabelledPredictions(targets, logits, sources)


def chances(**shares: float) -> np.ndarray:
    p = np.zeros(len(MLL), np.float32)
    for code, share in shares.items():
        p[MLL.index(code)] = share
    return p


def test_a_class_is_possible_from_the_limit_of_its_lineage_on() -> None:
    p = chances(BLA=0.5, PMO=0.25, LYT=0.125)[None]
    limits = {GROUPS["BLA"]: 0.75, GROUPS["LYT"]: 0.75}
    found = possible_classes(p, MLL, limits)[0]
    assert {MLL.codes[i] for i in np.flatnonzero(found)} == {"BLA", "PMO"}
    assert not possible_classes(p, MLL, {}).any()


def test_sizes_and_coverage_by_hand() -> None:
    cells = cells_of("BLA", "BLA", "LYT", "LYT")
    possible = np.zeros((4, len(MLL)), bool)
    possible[0, MLL.index("BLA")] = True
    possible[1, [MLL.index("PMO"), MLL.index("LYT")]] = True
    possible[2, [MLL.index("PMO"), MLL.index("LYT")]] = True
    found = set_figures(cells, MLL, possible, 0.95)
    rows = {(r["kind"], r["name"]): r for r in found["rows"]}
    whole = rows["all", "all cells"]
    assert (whole["k"], whole["n"], whole["value"]) == (2, 4, 0.5)
    assert (whole["mean_size"], whole["single"], whole["empty"]) == (1.25, 0.25, 0.25)
    assert (whole["low"], whole["high"]) == pytest.approx(
        exact_interval(2, 4), abs=1e-6
    )
    assert rows["class", "BLA"]["value"] == 0.5
    assert rows["class", "NGS"]["value"] is None
    assert rows["class", "NGS"]["mean_size"] is None
    assert rows["lineage", GROUPS["LYT"]]["n"] == 2
    assert rows["source", "east"]["n"] == rows["source", "west"]["n"] == 2
    assert found["sizes"][:3] == [1, 1, 2]
    assert sum(found["sizes"]) == 4
    assert found["level"] == 0.95


def test_parts_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    cells = cells_of(*rng.choice(MLL.codes, 200))
    rows = set_figures(cells, MLL, rng.random((200, len(MLL))) < 0.3)["rows"]
    for kind in ("source", "lineage", "class"):
        own = [r for r in rows if r["kind"] == kind]
        assert sum(r["n"] for r in own) == 200
        assert sum(r["k"] for r in own) == rows[0]["k"]


def test_a_conformal_limit_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.full(len(MLL), 0.1), 4000)
    targets = np.array([rng.choice(len(MLL), p=row) for row in p])
    score = 1 - p[np.arange(4000), targets]
    limit = float(np.quantile(score[:2000], 0.95))
    limits = {g.name: limit for g in MLL.lineages}
    held = possible_classes(p[2000:], MLL, limits)[np.arange(2000), targets[2000:]]
    assert held.mean() == pytest.approx(0.95, abs=0.015)
