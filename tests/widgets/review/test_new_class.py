"""The window that adds a class."""

from __future__ import annotations

from typing import Any

import pytest

from napari_cytodino import load_checkpoint
from napari_cytodino.taxonomy.taxonomy import CellClass
from napari_cytodino.widgets.review.new_class import NewClassDialog


@pytest.fixture
def dialog(qtbot: Any) -> NewClassDialog:
    from qtpy.QtWidgets import QWidget

    parent = QWidget()
    qtbot.addWidget(parent)
    given: list[Any] = []

    def take(one: Any) -> bool:
        given.append(one)
        return one != "HAC"

    made = NewClassDialog(parent, load_checkpoint("starter").taxonomy, take)
    made.given = given
    made.parent_kept = parent
    return made


def test_it_offers_what_the_checkpoint_lacks(dialog: NewClassDialog) -> None:
    codes = {dialog.shipped.itemData(i) for i in range(1, dialog.shipped.count())}
    assert len(codes) == 9
    assert {"KSC", "PLM", "HAC"} <= codes
    assert "NGS" not in codes


def test_a_shipped_class_is_named_by_its_code(dialog: NewClassDialog) -> None:
    dialog.shipped.setCurrentIndex(dialog.shipped.findData("PLM"))
    assert not dialog.code.isEnabled()
    dialog.accept()
    assert dialog.given == ["PLM"]


def test_where_it_is_not_taken_the_window_stays(dialog: NewClassDialog) -> None:
    dialog.shipped.setCurrentIndex(dialog.shipped.findData("HAC"))
    dialog.show()
    dialog.accept()
    assert dialog.given == ["HAC"]
    assert dialog.isVisible()


def test_a_class_of_ones_own(dialog: NewClassDialog) -> None:
    dialog.code.setText("ABC")
    dialog.name.setText("My cell")
    dialog.lineage.setCurrentIndex(dialog.lineage.findData("lymphoid"))
    dialog.accept()
    [made] = dialog.given
    assert isinstance(made, CellClass)
    assert (made.code, made.name, made.lineage) == ("ABC", "My cell", "lymphoid")


@pytest.mark.parametrize(
    ("code", "said"),
    [("", "1 to 16 letters"), ("NGS", "a class already"), ("a b", "code")],
)
def test_what_cannot_be_is_told_and_the_window_stays(
    dialog: NewClassDialog, told: list[str], code: str, said: str
) -> None:
    dialog.code.setText(code)
    dialog.show()
    dialog.accept()
    assert said in told[-1]
    assert dialog.isVisible()
    assert not dialog.given
