"""A class by a part of its name."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_cytodino.review.keys import read_keys
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.widgets.review.class_search import ClassSearch

TAXONOMY = Taxonomy.load("mll21")


@pytest.fixture
def parent(qtbot: Any) -> QWidget:
    made = QWidget()
    qtbot.addWidget(made)
    return made


@pytest.fixture
def search(parent: QWidget) -> ClassSearch:
    dialog = ClassSearch(parent, TAXONOMY, read_keys(TAXONOMY))
    dialog.show()
    return dialog


def shown(search: ClassSearch) -> list[str]:
    items = (search.list.item(row) for row in range(search.list.count()))
    return [i.data(Qt.ItemDataRole.UserRole) for i in items if i and not i.isHidden()]


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("eosin", ["ABE", "EOS"]),
        ("abnormal eos", ["ABE"]),
        ("LYMPHOID imm", ["LYI"]),
        ("zzz", []),
    ],
)
def test_words_in_any_order_narrow_the_list(
    search: ClassSearch, qtbot: Any, words: str, codes: list[str]
) -> None:
    assert len(shown(search)) == len(TAXONOMY)
    qtbot.keyClicks(search.line, words)
    assert shown(search) == codes


def test_a_whole_code_comes_first_and_return_takes_it(
    search: ClassSearch, qtbot: Any
) -> None:
    got: list[str] = []
    search.picked.connect(got.append)
    qtbot.keyClicks(search.line, "eos")
    assert len(shown(search)) > 1
    qtbot.keyClick(search.line, Qt.Key.Key_Return)
    assert got == ["EOS"]
    assert not search.isVisible()


def test_arrows_move_through_what_is_shown(search: ClassSearch, qtbot: Any) -> None:
    got: list[str] = []
    search.picked.connect(got.append)
    qtbot.keyClicks(search.line, "eosin")
    qtbot.keyClick(search.line, Qt.Key.Key_Down)
    qtbot.keyClick(search.line, Qt.Key.Key_Return)
    assert got == ["EOS"]


def test_nothing_fits_nothing_is_taken(search: ClassSearch, qtbot: Any) -> None:
    got: list[str] = []
    search.picked.connect(got.append)
    qtbot.keyClicks(search.line, "zzz")
    qtbot.keyClick(search.line, Qt.Key.Key_Return)
    assert got == []
    assert search.isVisible()
