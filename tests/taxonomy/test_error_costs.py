"""What errors cost: the table of domain.md 5.3, and what holds for any taxonomy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.distances import error_costs
from napari_cytodino.taxonomy.taxonomy import CostRule, Taxonomy, cost_faults

TREE = Taxonomy.load("hematopoiesis21")
MLL = Taxonomy.load("mll21")
MATURE = {"NGS", "NGB", "LYT", "MON", "EOS", "BAS", "PLM", "EBO"}
DEBRIS = {"ART", "NIF", "KSC", "OTH"}


def expected_cost(of: str, called: str) -> float:
    """Return the cost as domain.md 5.3 puts it in words."""
    if of == called:
        return 1.0
    if of == "FGC":
        return 2.0 if called == "PMO" else 3.0
    if of == "BLA" and called in MATURE | DEBRIS | {"MMZ", "PEB"}:
        return 3.0
    if (of, called) in {("LYI", "LYT"), ("HAC", "LYT"), ("ABE", "EOS")}:
        return 2.0
    if of in MATURE and called in {"BLA", "FGC"}:
        return 1.5
    return 1.0


def test_the_costs_of_the_tree_are_those_of_the_description() -> None:
    found = error_costs(TREE)
    for i, of in enumerate(TREE.codes):
        for j, called in enumerate(TREE.codes):
            assert found[i, j] == expected_cost(of, called), (of, called)


def test_without_rules_risk_and_debris_decide() -> None:
    found = error_costs(MLL)
    values, counts = np.unique(found, return_counts=True)
    # 64 critical called safe, and 7 that count called one of 4 that do not
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {
        1.0: 441 - 64 - 92,
        1.5: 64,
        3.0: 64 + 7 * 4,
    }
    blast = found[MLL.index("BLA")]
    assert {c for c, v in zip(MLL.codes, blast, strict=True) if v == 3} == (
        MATURE | DEBRIS
    )
    # a smudge cell is critical in the paper, but debris itself
    assert found[MLL.index("KSC"), MLL.index("ART")] == 1


@pytest.mark.parametrize("whole", [MLL, TREE], ids=["mll21", "hematopoiesis21"])
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_a_subset_keeps_the_costs(whole: Taxonomy, data: st.DataObject) -> None:
    codes = data.draw(
        st.lists(st.sampled_from(whole.codes), min_size=2, unique=True), label="codes"
    )
    part = Taxonomy.from_dict(whole.subset(codes).to_dict())
    places = [whole.index(code) for code in part.codes]
    assert np.array_equal(error_costs(part), error_costs(whole)[np.ix_(places, places)])


def test_later_rules_overrule_and_the_diagonal_is_ordinary() -> None:
    rules = (
        CostRule(("*",), ("*",), 2.0),
        CostRule(("BLA",), ("NGS", "LYT"), 7.0),
        CostRule(("BLA",), ("LYT",), 4.0),
    )
    part = replace(MLL.subset(["BLA", "LYT", "NGS"]), costs=rules)
    assert error_costs(part).tolist() == [[1, 4, 7], [2, 1, 2], [2, 2, 1]]


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        (CostRule(("BLA",), ("XYZ",), 2.0), "'XYZ', no class"),
        (CostRule(("XYZ",), ("*",), 2.0), "'XYZ', no class"),
        (CostRule(("BLA",), ("*",), 0.0), "cost 0.0 of BLA is not above 0"),
    ],
)
def test_faults_are_told(rule: CostRule, word: str) -> None:
    assert word in cost_faults((rule,), MLL.codes)[0]
    with pytest.raises(InputError, match="Correct its TOML file"):
        replace(MLL, costs=(rule,))


def test_no_rule_no_fault() -> None:
    assert not cost_faults((), MLL.codes)
    assert not cost_faults(TREE.costs, TREE.codes)
