"""The recipe that ships, and what a recipe may not say."""

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.recipes.finder import FinderRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe


def test_the_recipe_that_ships_is_whole():
    recipe = build(FinderRecipe, *read_recipe("finder"))
    assert recipe.name == "finder"
    assert recipe.finder.steps >= 1000
    assert recipe.finder.width == 16


@pytest.mark.parametrize(
    "change", ["finder.steps=0", "finder.average=1", "finder.rate=0", "finder.width=2"]
)
def test_what_cannot_be_is_named(change):
    name = change.split("=")[0]
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        build(FinderRecipe, *read_recipe("finder", [change]))
