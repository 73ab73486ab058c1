"""Where docks go; in a real viewer: `test_review_dock`."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_cytodino.widgets.controls.docking import below, dock_of, tab_with

RIGHT = Qt.DockWidgetArea.RightDockWidgetArea
BOTTOM = Qt.DockWidgetArea.BottomDockWidgetArea


def docked(window: QMainWindow, name: str) -> tuple[QWidget, QDockWidget]:
    inside, dock = QWidget(), QDockWidget(name, window)
    dock.setObjectName(name)
    dock.setWidget(inside)
    window.addDockWidget(RIGHT, dock)
    return inside, dock


def test_a_place_that_the_user_chose_is_kept(qtbot: Any, monkeypatch: Any) -> None:
    from napari.settings import get_settings

    window = QMainWindow()
    qtbot.addWidget(window)
    (first, one), (second, two) = docked(window, "one"), docked(window, "two")
    monkeypatch.setitem(
        get_settings().application.plugin_widget_positions, "two", "left"
    )
    tab_with(second, first)
    below(second)
    assert window.tabifiedDockWidgets(two) == []
    assert window.dockWidgetArea(two) == RIGHT
    tab_with(first, second)
    assert window.tabifiedDockWidgets(one) == [two]
    two.setFloating(True)
    below(first)
    assert window.dockWidgetArea(one) == BOTTOM


def test_a_widget_in_no_dock_stays(qtbot: Any) -> None:
    lone = QWidget()
    qtbot.addWidget(lone)
    assert dock_of(lone) is None
    tab_with(lone, lone)
    below(lone)
    assert lone.isWindow()
