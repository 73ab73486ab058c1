"""The whole gallery by keys; those of verdicts pass through."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cytodino.widgets.gallery.panel import GalleryPanel

KEY = Qt.Key
NONE = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier


class Around(QWidget):
    """Notes the keys that nothing inside took."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        QVBoxLayout(self).addWidget(inside)
        self.heard: list[int] = []

    def keyPressEvent(self, event: Any) -> None:
        self.heard.append(event.key())


@pytest.fixture
def panel(pictured: Any, qtbot: Any) -> GalleryPanel:
    made = GalleryPanel(pictured)
    around = Around(made)
    qtbot.addWidget(around)
    made.around = around
    around.resize(520, 460)
    around.show()
    qtbot.waitExposed(around)
    around.activateWindow()
    made.view.resize_tiles(60)
    made.view.setFocus()
    assert made.view.port.plan.columns < 15
    return made


@pytest.fixture
def press(panel: GalleryPanel, qtbot: Any) -> Any:
    def pressed(key: Qt.Key, keys: Any = NONE) -> int:
        qtbot.keyClick(panel.view, key, keys)
        row = panel.selection.current
        return -1 if row is None else int(panel.model.order.place[row])

    return pressed


def test_the_first_key_shows_where_the_focus_is(
    panel: GalleryPanel, press: Any
) -> None:
    assert press(KEY.Key_Right) == 0
    assert press(KEY.Key_Right) == 1


def test_arrows(panel: GalleryPanel, press: Any) -> None:
    columns = panel.view.port.plan.columns
    press(KEY.Key_Left)
    assert press(KEY.Key_Left) == 0
    assert press(KEY.Key_Right) == 1
    assert press(KEY.Key_Down) == 1 + columns
    assert press(KEY.Key_Up) == 1
    assert press(KEY.Key_Up) == 1
    row = panel.selection.current
    assert panel._session.selected_row == row


def test_home_and_end_of_a_class_and_of_all(panel: GalleryPanel, press: Any) -> None:
    first, second = panel.model.order.sections[:2]
    press(KEY.Key_Right)
    assert press(KEY.Key_End) == first.stop - 1
    assert press(KEY.Key_Right) == second.start
    assert press(KEY.Key_End) == second.stop - 1
    assert press(KEY.Key_Home) == second.start
    assert press(KEY.Key_Home, CTRL) == 0
    assert press(KEY.Key_End, CTRL) == 59
    assert press(KEY.Key_Right) == 59


def test_from_class_to_class(panel: GalleryPanel, press: Any) -> None:
    starts = [section.start for section in panel.model.order.sections]
    press(KEY.Key_Right)
    assert press(KEY.Key_Down, CTRL) == starts[1]
    assert press(KEY.Key_Down, CTRL) == starts[2]
    assert press(KEY.Key_Up, CTRL) == starts[1]
    press(KEY.Key_End, CTRL)
    assert press(KEY.Key_Down, CTRL) == starts[-1]


def test_pages(panel: GalleryPanel, press: Any) -> None:
    press(KEY.Key_Right)
    before = panel.view.port.offset
    place = press(KEY.Key_PageDown)
    assert place >= panel.view.port.plan.columns
    assert panel.view.port.offset > before
    assert press(KEY.Key_PageUp) == 0
    for _ in range(30):
        place = press(KEY.Key_PageDown)
    last = panel.model.order.sections[-1]
    assert last.start <= place < last.stop, "it ends on the last line"


def test_the_current_cell_is_always_in_view(panel: GalleryPanel, press: Any) -> None:
    view = panel.view
    for key in (KEY.Key_End, KEY.Key_Down, KEY.Key_PageDown, KEY.Key_Up, KEY.Key_Home):
        press(key)
        y = view.port.height_of(view.selection.current)
        assert y >= 0
        assert y + view.port.plan.tile_height <= view.viewport().height()


def test_shift_selects_a_run(panel: GalleryPanel, press: Any) -> None:
    press(KEY.Key_Right)
    press(KEY.Key_Right, SHIFT)
    assert press(KEY.Key_Right, SHIFT) == 2
    rows = panel.model.order.rows
    assert set(panel.selection.rows.tolist()) == set(rows[:3].tolist())
    press(KEY.Key_Left, SHIFT)
    assert set(panel.selection.rows.tolist()) == set(rows[:2].tolist())


def test_all_of_a_class(panel: GalleryPanel, press: Any) -> None:
    second = panel.model.order.sections[1]
    press(KEY.Key_Right)
    press(KEY.Key_Down, CTRL)
    press(KEY.Key_A, CTRL)
    rows = panel.model.order.rows[second.start : second.stop]
    assert sorted(panel.selection.rows.tolist()) == sorted(rows.tolist())
    press(KEY.Key_Space, CTRL)
    assert len(panel.selection.rows) == len(second) - 1


def test_return_shows_the_cell_in_the_image(
    pictured: Any, panel: GalleryPanel, press: Any
) -> None:
    press(KEY.Key_Return)
    assert pictured.went == [], "there is none yet"
    press(KEY.Key_Right)
    press(KEY.Key_Return)
    press(KEY.Key_Enter)
    assert pictured.went == [panel.selection.current] * 2


def test_keys_of_verdicts_pass_through(panel: GalleryPanel, press: Any) -> None:
    press(KEY.Key_Right)
    keys = [KEY.Key_B, KEY.Key_Space, KEY.Key_1, KEY.Key_A, KEY.Key_Escape]
    for key in keys:
        press(key)
    press(KEY.Key_Z, CTRL)
    press(KEY.Key_Right, Qt.KeyboardModifier.AltModifier)
    heard = [k for k in panel.around.heard if k not in (KEY.Key_Alt, KEY.Key_Control)]
    assert heard == [*keys, KEY.Key_Z, KEY.Key_Right]


def test_without_cells_all_keys_pass(
    pictured: Any, panel: GalleryPanel, press: Any
) -> None:
    pictured.session.clear_cells()
    for key in (KEY.Key_Right, KEY.Key_Return, KEY.Key_PageDown):
        assert press(key) == -1
    assert len(panel.around.heard) == 3
