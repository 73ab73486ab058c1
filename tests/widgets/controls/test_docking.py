"""Where docks go; in a real viewer: `test_review_dock`."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_cytodino.widgets.controls.docking import (
    PluginWidget,
    below,
    dock_of,
    tab_with,
)

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


class Noting(PluginWidget):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def place(self) -> None:
        self.calls.append("place")

    def let_go(self) -> None:
        self.calls.append("let go")


def test_a_widget_is_placed_once_and_let_go_once(qtbot: Any) -> None:
    window, inside = QMainWindow(), Noting()
    qtbot.addWidget(window)
    inside.setParent(None)
    assert inside.calls == [], "it was in no dock yet"
    dock = QDockWidget("one", window)
    dock.setWidget(inside)
    window.addDockWidget(RIGHT, dock)
    window.show()
    qtbot.waitUntil(lambda: inside.calls == ["place"])
    dock.hide()
    dock.show()
    qtbot.wait(10)
    assert inside.calls == ["place"]
    with qtbot.waitSignal(inside.destroyed):
        inside.setParent(None)
    assert inside.calls == ["place", "let go"]
