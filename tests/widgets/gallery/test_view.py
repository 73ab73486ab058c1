"""The view: what is in view, where it stays, what it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QContextMenuEvent, QHelpEvent, QWheelEvent
from qtpy.QtWidgets import QApplication, QToolTip

from napari_cytodino.widgets.gallery.panel import GalleryPanel

if TYPE_CHECKING:
    from napari_cytodino.widgets.gallery._view import GalleryView


@pytest.fixture
def view(pictured: Any, qtbot: Any) -> GalleryView:
    panel = GalleryPanel(pictured)
    qtbot.addWidget(panel)
    panel.resize(700, 420)
    panel.show()
    qtbot.waitExposed(panel)
    made = panel.view
    # a child without its parent in Python would be deleted
    made.panel = panel
    made.resize_tiles(60)
    return made


def centre_of(view: GalleryView, row: int) -> QPoint:
    x, y = view.port.plan.corner(int(view.port.model.order.place[row]))
    half = view.port.plan.tile_width // 2
    return QPoint(x + half, y - view.port.offset + half)


def wheel(view: GalleryView, steps: int, keys: Any) -> None:
    event = QWheelEvent(
        QPointF(50, 50),
        QPointF(50, 50),
        QPoint(0, 0),
        QPoint(0, 120 * steps),
        Qt.MouseButton.NoButton,
        keys,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view.viewport(), event)


def test_only_what_is_in_view_is_read(view: GalleryView, qtbot: Any) -> None:
    view.resize_tiles(200)
    seen = view.port.rows_in_view()
    assert 0 < len(seen) < 12
    view.thumbnails.forget()
    view.request_pictures()
    qtbot.waitUntil(lambda: not view.thumbnails.busy)
    ahead = view.port.rows_in_view(ahead=1.0)
    assert len(view.thumbnails) == len(ahead) < 40
    assert ahead[: len(seen)].tolist() == seen.tolist(), "what is in view comes first"


def test_pictures_come_by_themselves(
    pictured: Any, view: GalleryView, qtbot: Any
) -> None:
    row = int(view.port.model.order.rows[0])

    def painted() -> bool:
        image = view.viewport().grab().toImage()
        found = image.pixelColor(centre_of(view, row)).getRgb()[:3]
        return bool(found == pictured.colour(row))

    qtbot.waitUntil(painted)


def test_the_header_stays_while_its_section_is_in_view(view: GalleryView) -> None:
    first = view.port.model.order.sections[0].kind
    view.port.scroll_by(view.port.plan.header + 20)
    painted = view.viewport().grab().toImage().pixelColor(2, 3)
    assert painted.getRgbF()[:3] == pytest.approx(first.colour[:3], abs=0.01)


def test_a_cell_selected_elsewhere_is_brought_into_view(
    pictured: Any, view: GalleryView
) -> None:
    last = int(view.port.model.order.rows[-1])
    assert last not in view.port.rows_in_view()
    pictured.review.select([last])
    assert view.viewport().rect().contains(centre_of(view, last))


def test_what_is_in_view_stays_when_sizes_change(view: GalleryView) -> None:
    row = int(view.port.model.order.rows[40])
    view.selection.one(row)
    view.port.show_row(row)
    before = view.port.height_of(row)
    view.resize_tiles(90)
    limit = view.verticalScrollBar().maximum()
    assert view.port.height_of(row) == before or view.port.offset in (0, limit)
    assert row in view.port.rows_in_view()
    view.panel.resize(500, 420)
    assert row in view.port.rows_in_view()


def test_what_was_drawn_whole(view: GalleryView, qtbot: Any) -> None:
    assert not len(view.rows_drawn()) or len(view.thumbnails)
    qtbot.waitUntil(lambda: len(view.rows_drawn()) > 0)
    qtbot.waitUntil(lambda: not view.thumbnails.busy)
    view.port.scroll_by(30)
    low, high = view.port.plan.header, view.viewport().height()
    whole = [
        row
        for row in view.port.model.order.rows.tolist()
        if low <= view.port.height_of(row) and view.port.height_of(row) + 60 < high
    ]
    drawn = view.rows_drawn().tolist()
    assert set(drawn) <= set(whole)
    assert len(drawn) >= len(whole) - view.port.plan.columns
    assert len(drawn) < len(view.port.rows_in_view())


def test_the_wheel_scrolls_and_with_ctrl_sizes(view: GalleryView) -> None:
    none = Qt.KeyboardModifier.NoModifier
    wheel(view, -1, none)
    assert view.port.offset > 0
    side = view.panel.zoom.value()
    wheel(view, 1, Qt.KeyboardModifier.ControlModifier)
    assert view.panel.zoom.value() > side
    wheel(view, -1, Qt.KeyboardModifier.ControlModifier)
    assert view.panel.zoom.value() == side


def test_screen_readers_hear_the_current_cell(view: GalleryView) -> None:
    view.selection.one(8)
    words = view.accessibleDescription()
    assert words.startswith("Cell 9: ")
    assert " 3 of 15 in " in words
    assert words.endswith("1 cell selected.")
    assert view.accessibleName()


def test_a_tooltip_says_what_a_cell_is(view: GalleryView) -> None:
    at = centre_of(view, int(view.port.model.order.rows[0]))
    everywhere = view.viewport().mapToGlobal(at)
    QApplication.sendEvent(
        view.viewport(), QHelpEvent(QEvent.Type.ToolTip, at, everywhere)
    )
    assert QToolTip.text().startswith("Cell ")


def test_a_menu_is_asked_for_the_selected_cells(view: GalleryView, qtbot: Any) -> None:
    asked: list[QPoint] = []
    view.menu_requested.connect(asked.append)
    rows = view.port.model.order.rows[:3].tolist()
    view.selection.take(np.array(rows[:2]))
    for row, selected in ((rows[0], rows[:2]), (rows[2], [rows[2]])):
        at = centre_of(view, row)
        event = QContextMenuEvent(
            QContextMenuEvent.Reason.Mouse, at, view.viewport().mapToGlobal(at)
        )
        QApplication.sendEvent(view.viewport(), event)
        assert sorted(view.selection.rows.tolist()) == sorted(selected)
    assert len(asked) == 2


def test_the_focus_can_be_seen(view: GalleryView, qtbot: Any) -> None:
    view.selection.one(int(view.port.model.order.rows[1]))
    qtbot.waitUntil(lambda: not view.thumbnails.busy)
    view.panel.sort.setFocus()
    without = view.viewport().grab().toImage()
    view.panel.activateWindow()
    view.setFocus()
    qtbot.waitUntil(view.hasFocus)
    assert view.viewport().grab().toImage() != without


def test_larger_type_makes_room(view: GalleryView) -> None:
    before, rows = view.port.plan.header, view.minimumSizeHint().height()
    font = view.font()
    font.setPointSizeF(2 * font.pointSizeF())
    view.setFont(font)
    assert view.port.plan.header > 1.6 * before
    assert view.minimumSizeHint().height() > 1.6 * rows
    assert view.sizeHint().height() >= view.minimumSizeHint().height()


def test_a_double_click_shows_the_cell_in_the_image(
    pictured: Any, view: GalleryView, qtbot: Any
) -> None:
    row = int(view.port.model.order.rows[2])
    qtbot.mouseDClick(
        view.viewport(), Qt.MouseButton.LeftButton, pos=centre_of(view, row)
    )
    assert pictured.went == [row]
