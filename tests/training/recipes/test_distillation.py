"""Recipes: read, changed, and refused with the field's name."""

from __future__ import annotations

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.recipes.distillation import load_recipe
from napari_cytodino.training.recipes.reading import recipe_folder

NAMES = sorted(
    p.stem
    for p in recipe_folder().glob("*.toml")
    if not {"[backbone]", "[finder]"} & set(p.read_text("utf-8").split())
)
"""Those with a backbone, and the finder's, are of other kinds with their own tests."""


def test_the_recipes_of_the_shipped_checkpoints_are_here() -> None:
    assert {"demo", "smoke", "starter"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_valid(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert bool(recipe.synthetic) == ("SYNTHETIC" in recipe.title)
    assert recipe.packed_side > recipe.size
    assert len(recipe.classes_in_order) == len(recipe.classes or [0] * 21)


def test_the_margin_has_the_scale_of_the_input() -> None:
    recipe = load_recipe("starter")
    scale = recipe.size / recipe.field_of_view
    assert recipe.packed_side / (recipe.field_of_view + recipe.margin) == pytest.approx(
        scale
    )


def test_set_reaches_nested_and_new_tables() -> None:
    recipe = load_recipe(
        "smoke",
        ["fit.steps=7", "fit.learning_rate=1", "augmentation.hue=0.5", "title=X y"],
    )
    assert (recipe.fit.steps, recipe.fit.learning_rate) == (7, 1.0)
    assert isinstance(recipe.fit.learning_rate, float)
    assert recipe.augmentation.hue == 0.5
    assert recipe.title == "X y"
    assert load_recipe("smoke", ["emphasis.BLA=2"]).emphasis == {"BLA": 2.0}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("fit.setps=7", "'fit.setps' is an unknown field; known are steps"),
        ("fit.steps=many", "steps is 'many'"),
        ("fit.steps=1.5", r"steps is 1\.5"),
        ("mean=[1, 2]", "mean"),
        ("fit", "key=value"),
        ("size.x=1", "size is a value"),
        ("size=30", "no multiple of"),
        ("model.patch=0", "model.patch is 0, but must be 1 or more"),
        ("split=x.csv", "exactly one"),
        ("emphasis.BLA=-1", r"emphasis\.BLA is -1, but must be 0 or more"),
        ("emphasis.BLA=much", "emphasis.BLA is 'much'"),
    ],
)
def test_faulty_changes_are_named(change: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        load_recipe("smoke", [change])


def test_unknown_recipes_list_the_known() -> None:
    with pytest.raises(InputError, match=r"demo, .*mll21-vitl16, .*smoke, starter"):
        load_recipe("nothing")
