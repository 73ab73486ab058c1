"""Keys of the review, in the whole window of the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QDockWidget, QShortcut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qtpy.QtWidgets import QWidget


class ReviewShortcuts:
    """Shortcuts that win over those of napari's canvas while a review goes on.

    napari's own keys are bound on the canvas, so a shortcut of the window is asked
    first; a field in which one writes keeps its letters, as Qt asks it before any
    shortcut. A dock that floats is a tool window, to which Qt gives the same keys.

    Parameters
    ----------
    dock
        The widget whose life the shortcuts share.
    acts
        What each key does, by its name in Qt (``"B"``, ``"Ctrl+Z"``, ``"G, B"``).
    """

    def __init__(self, dock: QWidget, acts: Mapping[str, Callable[[], None]]) -> None:
        self._dock = dock
        self._acts = dict(acts)
        self._shortcuts: list[QShortcut] = []

    def set_enabled(self, on: bool) -> None:
        """Bind all keys in the window that the dock is in now, or take them away."""
        self.clear()
        if not on:
            return
        window = self._window()
        for key, act in self._acts.items():
            shortcut = QShortcut(QKeySequence(key), window)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            # holding a key down must not give a verdict on cells unseen
            shortcut.setAutoRepeat(False)
            shortcut.activated.connect(act)
            self._shortcuts.append(shortcut)

    def clear(self) -> None:
        """Take all keys away."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []

    def _window(self) -> QWidget:
        """Return the viewer's window; docks that float get its shortcuts from Qt."""
        top = self._dock.window()
        main = top.parentWidget() if isinstance(top, QDockWidget) else None
        return main or top
