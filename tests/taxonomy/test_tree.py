"""Distances on the tree: those of domain.md 5.2, a metric, the same in every subset."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy._tree import LARGEST, Branch, tree_faults, undefined_parts
from napari_cytodino.taxonomy.distances import class_distances, neighbours
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TREE = Taxonomy.load("hematopoiesis21")
MLL = Taxonomy.load("mll21")


def distance(taxonomy: Taxonomy, a: str, b: str) -> float:
    return float(class_distances(taxonomy)[taxonomy.index(a), taxonomy.index(b)])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        # the blast, joined to what it may become
        ("BLA", "PMO", 1),
        ("BLA", "PEB", 2),
        ("BLA", "LYI", 2),
        ("BLA", "MON", 2),
        # a series
        ("PMO", "NGS", 4),
        ("BLA", "NGS", 5),
        ("PEB", "EBO", 1),
        ("LYI", "LYT", 1),
        # variants
        ("FGC", "PMO", 1),
        ("FGC", "MYB", 2),
        ("ABE", "EOS", 1),
        ("HAC", "LYT", 1),
        ("KSC", "LYT", 2),
        # between myeloid series, between lineages, to what is not counted
        ("NGS", "EOS", 3),
        ("BAS", "MON", 3),
        ("NGS", "EBO", 5),
        ("NGS", "LYT", 5),
        ("PLM", "MON", 5),
        ("OTH", "MYB", 5),
        ("ART", "NGS", 6),
        ("NIF", "BLA", 6),
        ("KSC", "EOS", 6),
        # no short cut for the leukaemic promyelocyte, none by way of the blast
        ("FGC", "NGS", 5),
        ("EBO", "LYT", 5),
    ],
)
def test_the_tree_of_haematopoiesis(a: str, b: str, expected: float) -> None:
    assert distance(TREE, a, b) == distance(TREE, b, a) == expected


def test_the_classes_of_the_tree_are_the_papers_in_the_papers_order() -> None:
    assert TREE.codes == MLL.codes
    for ours, theirs in zip(TREE.classes, MLL.classes, strict=True):
        assert (ours.name, ours.colour) == (theirs.name, theirs.colour)
        assert (ours.counted, ours.me_ratio) == (theirs.counted, theirs.me_ratio)
    critical = {c.code for c in TREE.classes if c.risk == "critical"}
    assert critical == {"ABE", "BLA", "FGC", "HAC", "KSC", "LYI"}
    assert np.array_equal(TREE.safe_mask, MLL.safe_mask)
    assert TREE.lineage_of("FGC") == TREE.lineage_of("PMO")
    assert TREE.lineage_of("HAC") == TREE.lineage_of("LYT")
    assert TREE.lineage_of("BLA") != TREE.lineage_of("PMO")


def test_lineages_and_stages_alone_give_a_tree() -> None:
    assert not MLL.tree
    assert distance(MLL, "BLA", "PMO") == 1
    assert distance(MLL, "BLA", "NGS") == 5
    assert distance(MLL, "LYI", "PLM") == 2
    # one more than the longest series
    assert distance(MLL, "BLA", "MON") == distance(MLL, "NGS", "EBO") == 6
    # without long series what domain.md gives
    short = MLL.subset(["PEB", "EBO", "MON"])
    assert distance(short, "EBO", "MON") == 5


def test_stages_left_out_are_no_step() -> None:
    part = MLL.subset(["BLA", "MYB", "NGS"])
    assert distance(part, "BLA", "MYB") == distance(part, "MYB", "NGS") == 1
    assert distance(part, "BLA", "NGS") == 2


def steps_between(edges: set[tuple[str, str]], start: str) -> dict[str, int]:
    """Count edges by walking, as a check on the shortest paths."""
    found, queue = {start: 0}, deque([start])
    while queue:
        here = queue.popleft()
        for a, b in edges:
            for near, far in ((a, b), (b, a)):
                if near == here and far not in found:
                    found[far] = found[here] + 1
                    queue.append(far)
    return found


@given(st.sets(st.sampled_from(list(combinations("abcdef", 2))), min_size=5))
@settings(deadline=None, max_examples=60)
def test_links_of_one_length_are_counted_like_steps(
    edges: set[tuple[str, str]],
) -> None:
    codes = sorted({code for edge in edges for code in edge})
    tree = tuple(Branch(edge, 1.0) for edge in sorted(edges))
    reach = {code: steps_between(edges, code) for code in codes}
    joined = all(len(found) == len(codes) for found in reach.values())
    faults = tree_faults(tree, codes)
    assert joined == (not faults)
    if joined:
        part = replace(
            MLL,
            classes=tuple(replace(MLL.classes[0], code=code) for code in codes),
            tree=tree,
        )
        expected = [[reach[a][b] for b in codes] for a in codes]
        assert class_distances(part).tolist() == expected


def named_neighbours(taxonomy: Taxonomy) -> set[tuple[str, str]]:
    mask = neighbours(taxonomy)
    assert np.array_equal(mask, mask.T)
    codes = taxonomy.codes
    return {(codes[i], codes[j]) for i, j in zip(*np.triu(mask).nonzero(), strict=True)}


def test_neighbours_are_the_next_stages_of_sequential_lineages() -> None:
    series = [("MYB", "PMO"), ("MMZ", "MYB"), ("MMZ", "NGB"), ("NGB", "NGS")]
    pair = ("EBO", "PEB")
    assert named_neighbours(MLL) == {("BLA", "PMO"), *series, pair}
    # the blast is of no lineage there, and the variant of PMO is nobody's next stage
    assert named_neighbours(TREE) == {*series, pair}


def test_neighbours_are_taken_from_the_classes_at_hand() -> None:
    part = ["BLA", "MYB", "NGS", "LYT"]
    assert named_neighbours(MLL.subset(part)) == {("BLA", "MYB"), ("MYB", "NGS")}
    # a tree of its own knows that stages are missing
    assert not named_neighbours(TREE.subset(part))


@pytest.mark.parametrize(
    ("branch", "word"),
    [
        (Branch(("a", "b"), 0.0), "0.0 long"),
        (Branch(("a", "b"), -1.0), "-1.0 long"),
        (Branch(("a", "b"), 1e4), "long, not up to 1000"),
        (Branch(("a", "a", "b"), 1.0), "holds a class twice"),
        (Branch((), 1.0), "is empty"),
        (Branch(("a", "b"), 1.0, name="a"), "has the code of a class"),
        (Branch(("a", "c"), 1.0), "does not join a, b"),
        (Branch(tuple(f"n{i}" for i in range(LARGEST)), 1.0), "more than 200"),
    ],
)
def test_faults_are_told(branch: Branch, word: str) -> None:
    assert any(word in fault for fault in tree_faults((branch,), ("a", "b")))


@pytest.mark.parametrize("length", [float("nan"), float("inf"), True, "1"])
def test_a_length_is_a_finite_number(length: float) -> None:
    with pytest.raises(
        InputError, match=r"^Branch: length is .* must be a (finite )?n"
    ):
        Branch(("a", "b"), length)


def test_a_class_may_not_stand_in_two_parts_of_a_branch() -> None:
    tree = (Branch(("a", "b"), 1.0, name="ab"), Branch(("ab", "a"), 2.0))
    assert "twice" in tree_faults(tree, ("a", "b"))[0]
    assert not tree_faults(tree[:1], ("a", "b"))
    doubled = (tree[0], Branch(("ab", "c"), 2.0, name="ab"))
    assert "branch 'ab' stands twice" in tree_faults(doubled, ("a", "b", "c"))


def test_a_lost_class_is_named_alone() -> None:
    faults = tree_faults((Branch(("a", "b", "c"), 1.0),), ("a", "b", "c", "d"))
    assert faults == ["its tree does not join d to the rest"]


def test_a_tree_without_a_class_is_refused_with_the_taxonomy() -> None:
    with pytest.raises(InputError, match="does not join ABE, EOS to the rest"):
        replace(TREE, tree=tuple(b for b in TREE.tree if b.name != "eosinophils"))


def test_strangers_are_parts_that_nothing_explains() -> None:
    assert not undefined_parts(TREE.tree, TREE.codes)
    tree = (Branch(("ab", "c"), 1.0), Branch(("a", "b"), 1.0, name="ab"))
    assert undefined_parts(tree, ("a", "b")) == ["ab", "c"]
