"""Distances of classes in the tree, and what confusions cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.taxonomy._tree import Branch
from napari_cytodino.taxonomy.distances import class_distances, derived_tree
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TREE = Taxonomy.load("hematopoiesis21")
MLL = Taxonomy.load("mll21")


@given(
    st.lists(st.sampled_from(TREE.codes), min_size=2, unique=True),
    st.sampled_from("ab"),
)
@settings(deadline=None, max_examples=60)
def test_a_subset_keeps_the_distances(codes: list[str], way: str) -> None:
    part = TREE.subset(codes)
    if way == "b":
        part = Taxonomy.from_dict(part.to_dict())
    places = [TREE.index(code) for code in part.codes]
    whole = class_distances(TREE)[np.ix_(places, places)]
    assert np.array_equal(class_distances(part), whole)


@given(st.from_type(Taxonomy))
@settings(deadline=None, max_examples=80)
def test_distances_are_a_metric_that_follows_the_lineages(taxonomy: Taxonomy) -> None:
    found = class_distances(taxonomy)
    assert np.array_equal(found, found.T)
    assert np.array_equal(found == 0, np.eye(len(taxonomy), dtype=bool))
    detours = (found[:, :, None] + found[None, :, :]).min(axis=1)
    assert (detours >= found).all()
    kin = taxonomy.lineage_index[:, None] == taxonomy.lineage_index
    if not kin.all():
        assert found[kin].max() < found[~kin].min()


@given(st.from_type(Taxonomy), st.randoms())
@settings(deadline=None, max_examples=40)
def test_the_order_of_classes_does_not_matter(taxonomy: Taxonomy, random) -> None:
    order = list(range(len(taxonomy)))
    random.shuffle(order)
    shuffled = replace(taxonomy, classes=tuple(taxonomy.classes[i] for i in order))
    whole = class_distances(taxonomy)
    assert np.array_equal(class_distances(shuffled), whole[np.ix_(order, order)])


def test_stages_of_a_user_count_by_order_not_by_number() -> None:
    cells = [replace(c, stage=10 * c.stage) for c in MLL.classes]
    spread = replace(MLL, classes=tuple(cells))
    assert np.array_equal(class_distances(spread), class_distances(MLL))


def test_of_two_edges_the_shorter_counts_whichever_stands_first() -> None:
    turned = replace(
        MLL.subset(["BLA", "LYT", "MON"]),
        tree=(Branch(("BLA", "MON"), 2.0), Branch(("BLA", "LYT", "MON"), 5.0)),
    )
    assert class_distances(turned).tolist() == [[0, 5, 2], [5, 0, 5], [2, 5, 0]]


def test_a_lineage_named_like_a_class_is_no_trouble() -> None:
    lineages = tuple(
        replace(g, name=g.name.replace("monocytic", "MON")) for g in MLL.lineages
    )
    cells = tuple(
        replace(c, lineage=c.lineage.replace("monocytic", "MON")) for c in MLL.classes
    )
    renamed = replace(MLL, lineages=lineages, classes=cells)
    assert np.array_equal(class_distances(renamed), class_distances(MLL))
    assert derived_tree(renamed) != derived_tree(MLL)
