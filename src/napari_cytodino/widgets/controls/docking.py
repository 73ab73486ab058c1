"""Where our docks go when they are opened for the first time."""

from __future__ import annotations

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock that a widget is in; None before it is in one."""
    parent: QWidget | None = widget
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


def let_go(widget: QWidget, event: QEvent) -> bool:
    """Say whether napari takes a widget out of its dock for good.

    The cross of a dock closes no widget: napari takes it out and deletes the dock.
    """
    return event.type() == QEvent.Type.ParentChange and widget.parent() is None


def tab_with(widget: QWidget, other: QWidget) -> None:
    """Put the dock of a widget behind a tab of another one's, and in front.

    Side by side they would leave each other half of the height. napari puts a dock
    where the user left it last; then, and where one of them floats, all stays.
    """
    dock, beside = dock_of(widget), dock_of(other)
    main = None if dock is None else dock.parentWidget()
    if dock is None or beside is None or not isinstance(main, QMainWindow):
        return
    if dock.isFloating() or beside.isFloating() or _placed(dock):
        return
    if main.dockWidgetArea(dock) == main.dockWidgetArea(beside):
        main.tabifyDockWidget(beside, dock)
    dock.raise_()


def below(widget: QWidget) -> None:
    """Put the dock of a widget below the canvas, where it has the whole width."""
    dock = dock_of(widget)
    main = None if dock is None else dock.parentWidget()
    if dock is None or not isinstance(main, QMainWindow):
        return
    if not dock.isFloating() and not _placed(dock):
        main.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)


def _placed(dock: QDockWidget) -> bool:
    """Say whether the user moved it; the right is where napari puts all docks."""
    from napari.settings import get_settings

    places = get_settings().application.plugin_widget_positions
    return places.get(dock.objectName(), "right") != "right"
