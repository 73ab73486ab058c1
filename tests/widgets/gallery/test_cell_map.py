"""The map of the cells: places, colours, and loops that select."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qtpy.QtCore import QPoint, Qt

from napari_cytodino.widgets.gallery.cell_map import CellMap, within


@pytest.fixture
def cell_map(teachable: Any, qtbot: Any) -> CellMap:
    made = CellMap(SimpleNamespace(session=teachable.session, review=teachable.review))
    qtbot.addWidget(made)
    made.resize(400, 400)
    made.show()
    return made


def drawn(cell_map: CellMap, qtbot: Any) -> CellMap:
    cell_map.draw_map.click()
    qtbot.waitUntil(lambda: len(cell_map.places) > 0, timeout=20_000)
    return cell_map


def test_cells_of_a_kind_lie_together(
    cell_map: CellMap, teachable: Any, qtbot: Any
) -> None:
    drawn(cell_map, qtbot)
    truth = np.array(teachable.truth)[cell_map.rows]
    away = np.hypot(
        *(cell_map.places[:, None] - cell_map.places[None]).transpose(2, 0, 1)
    )
    np.fill_diagonal(away, np.inf)
    assert (truth[away.argmin(axis=1)] == truth).mean() > 0.95
    assert not cell_map.draw_map.isVisible()


def test_a_loop_around_some_selects_them(
    cell_map: CellMap, teachable: Any, qtbot: Any
) -> None:
    drawn(cell_map, qtbot)
    plot = cell_map.plot
    x, y = plot.at()[:10].T
    low, high = (
        (int(x.min()) - 4, int(y.min()) - 4),
        (int(x.max()) + 4, int(y.max()) + 4),
    )
    corners = [low, (high[0], low[1]), high, (low[0], high[1]), low]
    places = [QPoint(*corner) for corner in corners]
    qtbot.mousePress(plot, Qt.MouseButton.LeftButton, pos=places[0])
    for place in places[1:]:
        qtbot.mouseMove(plot, place)
        plot.mouseMoveEvent(_Move(place))
    qtbot.mouseRelease(plot, Qt.MouseButton.LeftButton, pos=places[-1])
    chosen = set(teachable.session.selected_rows.tolist())
    assert set(cell_map.rows[:10].tolist()) <= chosen
    assert len(chosen) < 120


class _Move:
    """A move of the mouse, which offscreen platforms do not all send."""

    def __init__(self, place: QPoint) -> None:
        self._place = place

    def position(self) -> Any:
        from qtpy.QtCore import QPointF

        return QPointF(self._place)


def test_a_click_selects_one_cell_and_a_click_beside_none(
    cell_map: CellMap, teachable: Any, qtbot: Any
) -> None:
    drawn(cell_map, qtbot)
    x, y = cell_map.plot.at()[17]
    place = QPoint(round(x), round(y))
    qtbot.mouseClick(cell_map.plot, Qt.MouseButton.LeftButton, pos=place)
    [row] = teachable.session.selected_rows
    at = cell_map.plot.at()[np.flatnonzero(cell_map.rows == row)[0]]
    assert np.hypot(at[0] - x, at[1] - y) < 2
    free = QPoint(1, 1)
    cell_map._session.select(None)
    qtbot.mouseClick(cell_map.plot, Qt.MouseButton.LeftButton, pos=free)
    assert len(teachable.session.selected_rows) <= 1


def test_colours_follow_what_was_taught(
    cell_map: CellMap, teachable: Any, qtbot: Any
) -> None:
    drawn(cell_map, qtbot)
    before = cell_map.grab().toImage()
    assert len(np.unique(cell_map._colours(), axis=0)) == 1
    teachable.say([0, 1, 2, 4, 5, 6])
    assert len(np.unique(cell_map._colours(), axis=0)) > 2
    assert cell_map.grab().toImage() != before


def test_places_of_other_cells_are_forgotten(
    cell_map: CellMap, teachable: Any, qtbot: Any
) -> None:
    drawn(cell_map, qtbot)
    teachable.session.clear_cells()
    assert not len(cell_map.places)
    assert not cell_map.draw_map.isEnabled()
    assert "Classify cells first" in cell_map.hint.text()


def test_a_blind_reader_sees_one_colour(
    cell_map: CellMap, teachable: Any, qtbot: Any
) -> None:
    teachable.say([0, 1, 2, 4, 5, 6])
    drawn(cell_map, qtbot)
    teachable.review.blind = True
    assert len(np.unique(cell_map._colours(), axis=0)) == 1


@given(st.integers(3, 12), st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_within_is_that_of_matplotlib_free_geometry(corners: int, seed: int) -> None:
    from skimage.measure import points_in_poly

    rng = np.random.default_rng(seed)
    loop, points = rng.random((corners, 2)), rng.random((200, 2))
    want = points_in_poly(points, loop)
    np.testing.assert_array_equal(within(loop, points[:, 0], points[:, 1]), want)
