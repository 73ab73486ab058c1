"""Lineage, neighbouring stage and dangerous errors: counted by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from napari_cytodino.taxonomy.distances import neighbours
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.metrics.confusion_table import confusion
from napari_cytodino.training.metrics.lineages import rates, same_lineage, stage_kappas

MLL = Taxonomy.load("mll21")
RATES = {rate.key: rate for rate in rates(MLL)}


def table_of(*called: tuple[str, str]) -> np.ndarray:
    places = np.array([[MLL.index(code) for code in pair] for pair in called])
    return confusion(places[:, 0], places[:, 1], len(MLL))


def test_neighbours_are_the_steps_of_the_two_lines() -> None:
    line = ("BLA", "PMO", "MYB", "MMZ", "NGB", "NGS")
    wanted = {*pairwise(line), ("PEB", "EBO")}
    near = neighbours(MLL)
    found = {(MLL.codes[a], MLL.codes[b]) for a, b in zip(*near.nonzero(), strict=True)}
    assert found == wanted | {(b, a) for a, b in wanted}


def test_neighbours_of_a_subset_are_successive_in_it() -> None:
    some = MLL.subset(("BLA", "NGS", "NGB", "LYT", "PLM"))
    near = neighbours(some)
    found = {(some.codes[a], some.codes[b]) for a, b in np.argwhere(np.triu(near))}
    assert found == {("BLA", "NGB"), ("NGB", "NGS")}


def test_a_variant_is_no_neighbouring_stage() -> None:
    # FGC is a variant of PMO: to take it for MYB loses the alarm, not a stage
    tree = Taxonomy.load("hematopoiesis21")
    tolerant = next(rate for rate in rates(tree) if rate.key == "tolerant_accuracy")
    fgc, myb, pmo = (tree.index(code) for code in ("FGC", "MYB", "PMO"))
    assert not tolerant.entries[fgc, myb]
    assert tolerant.entries[pmo, myb]


def test_classes_of_one_lineage() -> None:
    same = same_lineage(MLL)
    assert same[MLL.index("EOS"), MLL.index("ABE")]
    assert not same[MLL.index("EOS"), MLL.index("BAS")]
    # 6 + 2 + 1 + 1 + 2 + 3 + 3 + 3 classes a lineage, squared
    assert same.sum() == 36 + 4 + 1 + 1 + 4 + 9 + 9 + 9


@pytest.mark.parametrize(
    ("target", "guess", "right"),
    [
        ("MYB", "MYB", {"accuracy", "tolerant_accuracy", "lineage_accuracy"}),
        ("MYB", "MMZ", {"tolerant_accuracy", "lineage_accuracy"}),
        ("MYB", "NGB", {"lineage_accuracy", "critical_error_rate"}),
        ("BLA", "ART", {"blasts_discarded_rate"}),
        ("BLA", "LYT", {"critical_error_rate"}),
        # a smudge cell is not counted itself: calling it debris discards no blast
        ("KSC", "ART", set()),
        ("LYT", "PLM", {"lineage_accuracy"}),
        ("NGS", "BLA", {"lineage_accuracy"}),
        ("PEB", "EBO", {"tolerant_accuracy", "lineage_accuracy"}),
    ],
)
def test_what_an_answer_counts_as(target: str, guess: str, right: set[str]) -> None:
    table = table_of((target, guess))
    assert {key for key, rate in RATES.items() if rate.count(table)[0]} == right


def test_shares_are_of_the_classes_in_question() -> None:
    table = table_of(
        ("BLA", "LYT"), ("BLA", "BLA"), ("KSC", "LYT"), ("LYT", "LYT"), ("BLA", "OTH")
    )
    assert RATES["accuracy"].count(table) == (2, 5)
    assert RATES["critical_error_rate"].count(table) == (2, 4)
    assert RATES["blasts_discarded_rate"].count(table) == (1, 3)
    assert RATES["critical_error_rate"].share(table) == 0.5


def test_no_critical_cell_is_no_share() -> None:
    table = table_of(("LYT", "BLA"))
    assert RATES["critical_error_rate"].count(table) == (0, 0)
    assert np.isnan(RATES["critical_error_rate"].share(table))


def test_every_rate_says_what_it_is() -> None:
    assert len({rate.key for rate in RATES.values()}) == 5
    assert all(rate.title and rate.definition for rate in RATES.values())


def test_kappa_of_the_maturation_line_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    line = [MLL.index(c.code) for c in MLL.classes_of("granulocytic")]
    stage = rng.integers(0, 6, 400)
    called = np.clip(stage + rng.integers(-1, 2, 400), 0, 5)
    inside = confusion(np.array(line)[stage], np.array(line)[called], len(MLL))
    outside = table_of(("BLA", "LYT"), ("LYT", "BLA"))
    found = stage_kappas(inside + outside, MLL)
    theirs = cohen_kappa_score(stage, called, weights="quadratic")
    assert list(found) == ["granulocytic"]
    assert found["granulocytic"] == (pytest.approx(theirs), 400)


def test_a_taxonomy_without_a_sequence_has_no_stages() -> None:
    flat = replace(
        MLL, lineages=tuple(replace(g, sequential=False) for g in MLL.lineages)
    )
    assert not neighbours(flat).any()
    assert stage_kappas(np.eye(21, dtype=np.int64), flat) == {}
