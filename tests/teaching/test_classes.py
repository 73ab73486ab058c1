"""Further classes: of the taxonomies that ship, or the user's own, at the end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.distances import class_distances
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.teaching.classes import (
    COLOURS,
    new_class,
    shipped_classes,
    with_classes,
)

WHOLE = Taxonomy.load("mll21")
FEW = WHOLE.subset(WHOLE.codes[3:8])
OTHERS = [code for code in WHOLE.codes if code not in FEW]
TREE = Taxonomy.load("hematopoiesis21")
"""Unlike the other it says itself how far apart its classes are."""


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(OTHERS), max_size=6))
def test_classes_that_ship_are_added_at_the_end(added):
    made = with_classes(FEW, added)
    assert made.codes == (*FEW.codes, *dict.fromkeys(added))
    assert made.classes[: len(FEW)] == FEW.classes
    for code in added:
        assert made.classes[made.index(code)] == WHOLE.classes[WHOLE.index(code)]
        assert made.lineage_of(code) == WHOLE.lineage_of(code)
    assert np.isfinite(class_distances(made)).all()


def test_classes_that_are_there_change_nothing():
    assert with_classes(FEW, ()) is FEW
    assert with_classes(FEW, FEW.codes) is FEW
    once = with_classes(FEW, OTHERS[:2])
    assert with_classes(once, [*OTHERS[:2], *FEW.codes]) is once
    own = replace(FEW.classes[0], name="Something else")
    assert with_classes(FEW, [own]) is FEW


@pytest.mark.parametrize("whole", [WHOLE, TREE], ids=["mll21", "hematopoiesis21"])
def test_all_classes_that_ship_can_be_added(whole):
    few = whole.subset(whole.codes[3:8])
    found = shipped_classes(few)
    assert [c.code for c in found] == sorted(set(whole.codes) - set(few.codes))
    made = with_classes(few, [c.code for c in found])
    assert set(made.codes) == set(whole.codes)
    assert shipped_classes(made) == ()
    order = [whole.index(code) for code in made.codes]
    np.testing.assert_allclose(
        class_distances(made), class_distances(whole)[np.ix_(order, order)]
    )


@pytest.mark.parametrize("name", ["mll21", "hematopoiesis21", "ours"])
def test_a_class_that_ships_is_the_same_one_by_its_code(name):
    # the taxonomies that ship call some codes and lineages otherwise
    some = replace(FEW, name=name)
    for shown in shipped_classes(some):
        made = with_classes(some, [shown.code])
        assert made.classes[-1] == shown
        assert made.lineage_of(shown.code).name == shown.lineage


def test_a_taxonomy_of_another_name_takes_from_all_that_ship():
    other = replace(FEW, name="ours")
    assert {c.code for c in shipped_classes(other)} >= set(OTHERS)
    assert with_classes(other, OTHERS[:1]).codes[-1] == OTHERS[0]


@pytest.mark.parametrize("few", [FEW, TREE], ids=["derived", "tree"])
def test_a_class_of_the_users_own_is_added(few):
    lineage = few.lineages[0].name
    near, alone = new_class(few, "near", "Near", lineage), new_class(few, "alone")
    assert (near.name, near.lineage, alone.name) == ("Near", lineage, "alone")
    made = with_classes(few, [near, alone])
    assert made.codes == (*few.codes, "near", "alone")
    assert made.lineage_of("near") == few.lineages[0]
    # a class of no lineage is one of its own, as far as can be from the others
    assert made.lineage_of("alone").name == "alone"
    away, own = class_distances(made), len(few)
    sisters = [made.index(c.code) for c in few.classes_of(lineage)]
    assert away[made.index("near"), sisters].min() <= 2
    assert away[made.index("alone"), :own].min() == 5
    np.testing.assert_array_equal(away[:own, :own], class_distances(few))
    assert made == Taxonomy.from_dict(made.to_dict())


def test_a_taxonomy_without_a_tree_stays_without():
    made = with_classes(FEW, [new_class(FEW, "own"), OTHERS[0]])
    assert made.tree == FEW.tree == ()
    assert made.codes[-2:] == ("own", OTHERS[0])


def test_colours_of_own_classes_are_free_ones():
    made = FEW
    for number in range(len(COLOURS)):
        made = with_classes(made, [new_class(made, f"own{number}")])
    colours = [c.colour.upper() for c in made.classes]
    assert len(set(colours)) == len(colours)
    # more than there are colours for still work
    assert new_class(made, "more").colour in COLOURS
    assert new_class(made, "mine", colour="#010203").colour == "#010203"


def test_a_class_that_nobody_knows_is_refused_with_the_remedy():
    with pytest.raises(
        InputError, match=r"'Blast' is no class of 'mll21'.* of your own"
    ):
        with_classes(FEW, ["Blast"])


def test_a_lineage_that_is_not_there_is_refused():
    with pytest.raises(
        InputError, match="'lymph' is no lineage of 'mll21'; use one of"
    ):
        new_class(FEW, "own", "Own", "lymph")


@pytest.mark.parametrize("code", ["", "a b", "seventeen_letters", "<b>", "ä"])
def test_codes_that_no_table_could_hold_are_refused(code):
    with pytest.raises(InputError, match="1 to 16 letters"):
        new_class(FEW, code)


def test_a_class_that_is_there_is_no_new_one():
    with pytest.raises(InputError, match="is a class already; give verdicts of it"):
        new_class(FEW, FEW.codes[0])


def test_a_class_called_like_a_lineage_is_refused_unless_it_is_of_one():
    name = FEW.lineages[0].name
    with pytest.raises(InputError, match=f"'{name}' is the name of a lineage"):
        new_class(FEW, name)
    assert new_class(FEW, name, "Like a lineage", name).code == name
