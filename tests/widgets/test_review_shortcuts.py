"""Keys that win over the canvas, in the window and in a dock that floats."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QLineEdit,
    QMainWindow,
    QWidget,
)

from napari_cytodino.widgets.review_dock import ReviewShortcuts

pytestmark = pytest.mark.render


@pytest.fixture
def window(qtbot: Any) -> QMainWindow:
    made = QMainWindow()
    qtbot.addWidget(made)
    made.setCentralWidget(QLineEdit())
    made.show()
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    return made


def test_two_strokes_and_one(window: QMainWindow, qtbot: Any) -> None:
    got: list[str] = []
    inside = QWidget()
    dock = QDockWidget("dock", window)
    dock.setWidget(inside)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    keys = ReviewShortcuts(
        inside, {"B": lambda: got.append("B"), "G, S": lambda: got.append("GS")}
    )
    inside.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    inside.setFocus()
    qtbot.keyClicks(inside, "b")
    assert got == [], "off until a review begins"
    keys.set_enabled(True)
    qtbot.keyClicks(inside, "bgs")
    assert got == ["B", "GS"]
    line = window.centralWidget()
    line.setFocus()
    qtbot.keyClicks(line, "b")
    assert got == ["B", "GS"]
    assert line.text() == "b"
    keys.clear()
    inside.setFocus()
    qtbot.keyClicks(inside, "b")
    assert got == ["B", "GS"]


def test_a_dock_that_floats_has_its_keys_too(window: QMainWindow, qtbot: Any) -> None:
    got: list[str] = []
    inside = QWidget()
    inside.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    dock = QDockWidget("dock", window)
    dock.setWidget(inside)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    dock.setFloating(True)
    keys = ReviewShortcuts(inside, {"B": lambda: got.append("B")})
    keys.set_enabled(True)
    # no window manager makes it active here
    QApplication.setActiveWindow(dock)
    qtbot.waitUntil(inside.isActiveWindow)
    qtbot.keyClicks(inside, "b")
    assert got == ["B"]
