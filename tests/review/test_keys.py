"""Keys of the review: shipped, a user's own, and those made up for other classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.review.keys import ACTIONS, ReviewKeys, read_keys
from napari_cytodino.taxonomy.taxonomy import CellClass, Lineage, Taxonomy

if TYPE_CHECKING:
    from pathlib import Path

MLL = Taxonomy.load("mll21")


@pytest.mark.parametrize("name", ["mll21", "hematopoiesis21"])
def test_every_class_that_ships_has_one_letter(name: str) -> None:
    keys = read_keys(Taxonomy.load(name))
    assert set(keys.actions) == set(ACTIONS)
    assert set(keys.classes) == set(Taxonomy.load(name).codes)
    assert all(len(key) == 1 for key in keys.classes.values())
    assert keys.classes["BLA"] == "B"


def test_a_users_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text('[actions]\naccept = "Return"\n[classes]\nNGS = "B"\n', "utf-8")
    keys = read_keys(MLL, path)
    assert keys.actions["accept"] == "Return"
    assert keys.actions["undo"] == "Ctrl+Z"
    assert keys.classes["NGS"] == "B"
    # the letter that was taken away is replaced by a free one
    assert keys.classes["BLA"] not in ("", "B")
    assert len(set(keys.classes.values())) == 21


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[classes]\nNGS = "B"\nBLA = "B"', "'B' is given to BLA and NGS"),
        ('[classes]\nNGS = "G, B"\nBLA = "G"', "'G' of BLA begins a key of two"),
        ('[classes]\nNGS = "banana"', "NGS = 'banana' is no key"),
        ('[classes]\nNGS = "Space"', "'Space' is given to accept and NGS"),
        ('[actions]\nfly = "Q"', "gives a key to 'fly'"),
        ("[classes]\nNGS = 4", "classes.NGS is 4, but must be a text"),
        ("[classes", "not valid TOML"),
    ],
)
def test_faults_are_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        read_keys(MLL, path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Review keys"):
        read_keys(MLL, tmp_path / "none.toml")


@given(
    st.lists(
        st.text("abcdefXYZ ", min_size=1, max_size=8).filter(str.strip),
        min_size=2,
        max_size=60,
    )
)
def test_any_classes_get_keys_that_do_not_collide(names: list[str]) -> None:
    template = MLL.classes[0]
    classes = tuple(
        CellClass(f"K{i}", name, "blood", i, "none", template.colour, counted=True)
        for i, name in enumerate(names)
    )
    lineage = Lineage("blood", "Blood", "#123456", sequential=False)
    keys = read_keys(Taxonomy("own", "Own", classes, (lineage,)))
    assert isinstance(keys, ReviewKeys)
    assert set(keys.classes) == {c.code for c in classes}
