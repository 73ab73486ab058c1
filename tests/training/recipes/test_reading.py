"""Recipes read from TOML, with every fault named."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.recipes.distillation import Recipe, load_recipe
from napari_cytodino.training.recipes.reading import build, read_recipe, recipe_folder

if TYPE_CHECKING:
    from pathlib import Path

JUNK = st.sampled_from(
    [None, True, -1, 0, 2**70, 1e308, float("nan"), "", "a\0b", [], {}, [[]], {"": []}]
)

NAMES = sorted(
    p.stem
    for p in recipe_folder().glob("*.toml")
    if not {"[backbone]", "[finder]"} & set(p.read_text("utf-8").split())
)
"""Those with a backbone, and the finder's, are of other kinds with their own tests."""


def test_files_are_read_and_faults_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text((recipe_folder() / "smoke.toml").read_text("utf-8"), "utf-8")
    assert load_recipe(str(path)) == load_recipe("smoke")
    path.write_text("name = ", "utf-8")
    with pytest.raises(InputError, match="not valid TOML"):
        load_recipe(str(path))
    path.write_text('name = "x"\ntitle = "y"\n', "utf-8")
    with pytest.raises(InputError, match=r"mine\.toml: 'fit' is missing"):
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
