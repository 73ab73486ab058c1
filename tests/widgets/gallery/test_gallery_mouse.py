"""Clicks, the rubber band, and cells that are dragged, by real mouse events."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL
from napari_cytodino.widgets.gallery._gestures import EDGE
from napari_cytodino.widgets.gallery.panel import GalleryPanel

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier


class Hand:
    """A mouse over the gallery; rows are named by their place."""

    def __init__(self, panel: GalleryPanel) -> None:
        self.panel, self.view = panel, panel.view

    def row(self, place: int) -> int:
        return int(self.panel.model.order.rows[place])

    def spot(self, place: int) -> QPoint:
        x, y = self.view.port.plan.corner(place)
        return QPoint(x + 20, y - self.view.port.offset + 20)

    def click(self, place: int, keys: Any = NONE) -> list[int]:
        QTest.mouseClick(self.view.viewport(), LEFT, keys, self.spot(place))
        return self.selected()

    def selected(self) -> list[int]:
        place = self.panel.model.order.place
        return sorted(int(place[row]) for row in self.panel.selection.rows)

    def press(self, at: QPoint, keys: Any = NONE) -> None:
        QTest.mousePress(self.view.viewport(), LEFT, keys, at)

    def move(self, at: QPoint) -> None:
        QTest.mouseMove(self.view.viewport(), at)

    def release(self, at: QPoint, keys: Any = NONE) -> None:
        QTest.mouseRelease(self.view.viewport(), LEFT, keys, at)

    def drag(self, start: QPoint, end: QPoint, keys: Any = NONE) -> None:
        self.press(start, keys)
        self.move(start + QPoint(15, 15))
        self.move(end)
        self.release(end, keys)


@pytest.fixture
def hand(pictured: Any, qtbot: Any) -> Hand:
    panel = GalleryPanel(pictured)
    qtbot.addWidget(panel)
    panel.resize(900, 700)
    panel.show()
    qtbot.waitExposed(panel)
    panel.view.resize_tiles(50)
    panel.activateWindow()
    return Hand(panel)


def test_clicks(hand: Hand) -> None:
    assert hand.click(3) == [3]
    assert hand.click(5, CTRL) == [3, 5]
    assert hand.click(3, CTRL) == [5]
    hand.click(4)
    assert hand.click(7, SHIFT) == [4, 5, 6, 7]
    assert hand.click(2, SHIFT) == [2, 3, 4]
    hand.click(9, CTRL)
    assert hand.click(10, SHIFT | CTRL) == [2, 3, 4, 9, 10]
    assert hand.click(3) == [3], "one of many, once the button is released"


def test_a_click_beside_the_cells_selects_none(hand: Hand) -> None:
    hand.click(3)
    bare = QPoint(hand.view.viewport().width() - 2, hand.view.port.plan.header + 3)
    QTest.mouseClick(hand.view.viewport(), LEFT, CTRL, bare)
    assert hand.selected() == [3]
    QTest.mouseClick(hand.view.viewport(), LEFT, NONE, bare)
    assert hand.selected() == []


def test_the_canvas_follows_a_click_and_the_gallery_the_canvas(
    pictured: Any, hand: Hand
) -> None:
    hand.click(6)
    assert pictured.session.selected_row == hand.row(6)
    hand.view.resize_tiles(160)
    hand.view.verticalScrollBar().setValue(0)
    pictured.session.select(hand.row(59))
    assert hand.selected() == [59]
    assert hand.row(59) in hand.view.port.rows_in_view()


def test_rubber_band(hand: Hand) -> None:
    corner = hand.spot(0) - QPoint(24, 24)
    assert hand.view.port.row_at(corner) is None
    hand.drag(corner, hand.spot(2))
    assert hand.selected() == [0, 1, 2]
    assert hand.view.gestures.band is None
    between = hand.spot(6) - QPoint(25, 0)
    assert hand.view.port.row_at(between) is None
    hand.drag(between, hand.spot(7), CTRL)
    assert hand.selected() == [0, 1, 2, 6, 7]
    hand.drag(between, hand.spot(6))
    assert hand.selected() == [6]


def test_the_band_scrolls_at_the_edge(hand: Hand, qtbot: Any) -> None:
    hand.view.resize_tiles(160)
    height = hand.view.viewport().height()
    corner = hand.spot(0) - QPoint(24, 24)
    hand.press(corner)
    hand.move(hand.spot(0))
    hand.move(QPoint(200, height - 3))
    qtbot.waitUntil(lambda: hand.view.port.offset > 2 * EDGE)
    hand.release(QPoint(200, height - 3))
    stopped = hand.view.port.offset
    qtbot.wait(100)
    assert hand.view.port.offset == stopped
    assert len(hand.selected()) > 1


def section(hand: Hand, number: int) -> Any:
    return hand.panel.model.order.sections[number]


def test_drag_to_another_section(pictured: Any, hand: Hand) -> None:
    second = section(hand, 1)
    rows = [hand.row(0), hand.row(1)]
    hand.click(0)
    hand.click(1, SHIFT)
    hand.drag(hand.spot(1), hand.spot(second.start))
    for row in rows:
        assert pictured.review.verdict_of(row).cell_class == second.kind.code
        assert hand.panel.model.kind_of(row) == second.kind
    assert not hand.view.gestures.busy


def test_drag_takes_a_cell_that_was_not_selected(pictured: Any, hand: Hand) -> None:
    second, row = section(hand, 1), hand.row(4)
    hand.click(0)
    hand.drag(hand.spot(4), hand.spot(second.start))
    assert pictured.review.verdict_of(row).cell_class == second.kind.code
    assert pictured.review.verdict_of(hand.row(0)) is None


def test_drag_to_a_code_above(pictured: Any, hand: Hand) -> None:
    row = hand.row(2)
    chip = hand.panel.strip.chips[NOT_A_CELL]
    end = hand.view.viewport().mapFromGlobal(chip.mapToGlobal(chip.rect().center()))
    hand.press(hand.spot(2))
    hand.move(hand.spot(2) + QPoint(15, 15))
    hand.move(end)
    assert chip.aimed
    hand.release(end)
    assert not chip.aimed
    assert pictured.review.verdict_of(row).cell_class == NOT_A_CELL


def test_a_drop_where_it_came_from_or_nowhere_says_nothing(
    pictured: Any, hand: Hand
) -> None:
    hand.drag(hand.spot(0), hand.spot(3))
    hand.drag(hand.spot(0), QPoint(-300, -300))
    assert not len(pictured.session.reviews)


def test_escape_lets_go(pictured: Any, hand: Hand, qtbot: Any) -> None:
    second = section(hand, 1)
    hand.press(hand.spot(0))
    hand.move(hand.spot(0) + QPoint(15, 15))
    hand.move(hand.spot(second.start))
    assert hand.view.gestures.aim == second.kind
    qtbot.keyClick(hand.view, Qt.Key.Key_Escape)
    assert not hand.view.gestures.busy
    hand.release(hand.spot(second.start))
    assert not len(pictured.session.reviews)


def test_nothing_can_be_dragged_in_a_closed_case(pictured: Any, hand: Hand) -> None:
    pictured.review.lock("signed")
    hand.panel.updater.refresh()
    second = section(hand, 1)
    hand.drag(hand.spot(0), hand.spot(second.start))
    assert not len(pictured.session.reviews)
    assert hand.selected() == [0]


def test_other_buttons_select_nothing(hand: Hand) -> None:
    spot = hand.spot(3)
    QTest.mouseClick(hand.view.viewport(), Qt.MouseButton.MiddleButton, NONE, spot)
    assert hand.selected() == []


def test_a_target_is_looked_for_beside_the_view_too(hand: Hand) -> None:
    looked: list[QPoint] = []

    def elsewhere(at: QPoint) -> Any:
        looked.append(at)
        return section(hand, 2).kind

    hand.view.gestures.elsewhere = elsewhere
    hand.press(hand.spot(0))
    hand.move(hand.spot(1))
    hand.move(hand.spot(section(hand, 1).start))
    assert hand.view.gestures.aim == section(hand, 1).kind
    assert not looked
    hand.move(QPoint(10, -40))
    assert hand.view.gestures.aim == section(hand, 2).kind
    assert looked == [hand.view.viewport().mapToGlobal(QPoint(10, -40))]
    hand.view.gestures.cancel()
