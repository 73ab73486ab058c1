"""Recipes: read, changed, and refused with the field's name."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.core.errors import InputError
from napari_cytodino.training.config import (
    Recipe,
    build,
    load_recipe,
    read_recipe,
    recipe_folder,
)

if TYPE_CHECKING:
    from pathlib import Path

JUNK = st.sampled_from(
    [None, True, -1, 0, 2**70, 1e308, float("nan"), "", "a\0b", [], {}, [[]], {"": []}]
)

NAMES = sorted(
    p.stem
    for p in recipe_folder().glob("*.toml")
    if "[backbone]" not in p.read_text("utf-8")
)
"""Those that fine-tune a backbone are of another kind: test_finetune_config.py."""


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
        ("fit.setps=7", "unknown field 'setps'"),
        ("fit.steps=many", "steps is 'many'"),
        ("fit.steps=1.5", r"steps is 1\.5"),
        ("mean=[1, 2]", "mean"),
        ("fit", "key=value"),
        ("size.x=1", "size is a value"),
        ("size=30", "no multiple of"),
        ("model.patch=0", "no multiple of"),
        ("split=x.csv", "exactly one"),
        ("emphasis.BLA=-1", r"emphasis of -1\.0"),
        ("emphasis.BLA=much", "emphasis.BLA is 'much'"),
    ],
)
def test_faulty_changes_are_named(change: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        load_recipe("smoke", [change])


def test_files_are_read_and_faults_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text((recipe_folder() / "smoke.toml").read_text("utf-8"), "utf-8")
    assert load_recipe(str(path)) == load_recipe("smoke")
    path.write_text("name = ", "utf-8")
    with pytest.raises(InputError, match="not valid TOML"):
        load_recipe(str(path))
    path.write_text('name = "x"\ntitle = "y"\n', "utf-8")
    with pytest.raises(InputError, match="lacks 'fit'"):
        load_recipe(str(path))


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(NAMES), junk=JUNK, dice=st.data())
def test_junk_in_a_recipe_is_told_and_what_is_taken_comes_back(
    name: str, junk: Any, dice: st.DataObject
) -> None:
    content, where = read_recipe(name)
    whole = asdict(build(Recipe, content, where))
    tables = [whole, *(value for value in whole.values() if isinstance(value, dict))]
    table = dice.draw(st.sampled_from([table for table in tables if table]))
    table[dice.draw(st.sampled_from([*table, "other"]))] = junk
    try:
        recipe = build(Recipe, whole, where)
    except InputError:
        return
    assert build(Recipe, asdict(recipe), where) == recipe


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(NAMES), dice=st.data())
def test_a_recipe_with_one_wrong_character_is_told_or_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, dice: st.DataObject
) -> None:
    text = (recipe_folder() / f"{name}.toml").read_text("utf-8")
    place = dice.draw(st.integers(0, len(text) - 1))
    new = dice.draw(st.sampled_from(["", "=", "[", "]", '"', "\n", "0", "-", "\0"]))
    path = tmp_path_factory.getbasetemp() / "r.toml"
    path.write_text(text[:place] + new + text[place + 1 :], "utf-8")
    try:
        recipe = load_recipe(str(path))
    except InputError:
        return
    assert build(Recipe, asdict(recipe), "again") == recipe


def test_unknown_recipes_list_the_known() -> None:
    with pytest.raises(InputError, match=r"demo, .*mll21-vitl16, .*smoke, starter"):
        load_recipe("nothing")
