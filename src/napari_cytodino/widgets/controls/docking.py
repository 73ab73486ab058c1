"""Our widgets in docks: where they go when first opened, and how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent


class PluginWidget(QWidget):
    """A widget that napari puts into a dock, and takes out of it for good."""

    _placed = False

    def place(self) -> None:
        """Put the dock where it belongs."""

    def let_go(self) -> None:
        """Stop what must not outlive the dock."""

    def showEvent(self, event: QShowEvent) -> None:
        """Go to the right place, when napari has placed the dock."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._place)

    def event(self, event: QEvent) -> bool:
        """Go when napari takes this widget away.

        The cross of a dock closes no widget: napari takes it out and deletes the dock.
        """
        taken = event.type() == QEvent.Type.ParentChange and self.parent() is None
        if taken and self._placed:
            self._placed = False
            self.let_go()
            self.deleteLater()
        return bool(super().event(event))

    def _place(self) -> None:
        if self._placed:
            self.place()


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock that a widget is in; None before it is in one."""
    parent: QWidget | None = widget
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


def tab_with(widget: QWidget, other: QWidget) -> None:
    """Put the dock of a widget behind a tab of another one's, and in front.

    Side by side they would leave each other half of the height. napari puts a dock
    where the user left it last; then, and where one of them floats, all stays.
    """
    dock, beside = _movable(widget), dock_of(other)
    if dock is None or beside is None or beside.isFloating():
        return
    main = dock.parentWidget()
    if main.dockWidgetArea(dock) == main.dockWidgetArea(beside):
        main.tabifyDockWidget(beside, dock)
    dock.raise_()


def below(widget: QWidget) -> None:
    """Put the dock of a widget below the canvas, where it has the whole width."""
    dock = _movable(widget)
    if dock is not None:
        dock.parentWidget().addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)


def _movable(widget: QWidget) -> QDockWidget | None:
    """Return the dock of a widget; None where it floats or the user moved it."""
    from napari.settings import get_settings

    dock = dock_of(widget)
    if dock is None or dock.isFloating():
        return None
    places = get_settings().application.plugin_widget_positions
    # the right is where napari puts all docks
    usual = places.get(dock.objectName(), "right") == "right"
    return dock if usual and isinstance(dock.parentWidget(), QMainWindow) else None
