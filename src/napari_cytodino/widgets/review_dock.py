"""The review dock: verdicts, differential, readers and report in one column."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QDockWidget, QShortcut, QVBoxLayout, QWidget

from napari_cytodino.common import CytoDinoError
from napari_cytodino.review import ReviewKeys, read_keys
from napari_cytodino.widgets.commands import open_dock
from napari_cytodino.widgets.controllers import AreaSelection
from napari_cytodino.widgets.controls import PluginWidget, notices, tab_with, ui
from napari_cytodino.widgets.dock import NOTICE, Column, line
from napari_cytodino.widgets.panels import CardPanel
from napari_cytodino.widgets.review import (
    CellMenu,
    ClassSearch,
    DifferentialPanel,
    ReadersPanel,
    ReportPanel,
    ReviewPanel,
    TeachingPanel,
)
from napari_cytodino.widgets.session import read_preferences, remember_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import napari.viewer
    from qtpy.QtGui import QCloseEvent


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


ORPHANED = "The CytoDINO dock was closed; close this one and open it again."

FOLLOW_MS = 2000
"""How often a viewer that may only look asks what the other one wrote."""


class ReviewDock(PluginWidget):
    """Read the cells that the CytoDINO dock of the same viewer classified.

    Parameters
    ----------
    viewer
        The viewer that this dock belongs to; its CytoDINO dock is opened where it is
        not open yet.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._main = open_dock(viewer)
        self._gone = False
        self.controller = controller = self._main.controller
        self.session = controller.session
        self.review = ReviewPanel(controller)
        self.teaching = TeachingPanel(controller)
        self.card = CardPanel(controller)
        # bare spots are cut out where cells are found, in the other dock
        self.card.cut.setVisible(False)
        self.differential = DifferentialPanel(controller)
        self.readers = ReadersPanel(controller)
        self.report = ReportPanel(controller, self.differential)
        self.shortcuts = ReviewShortcuts(self, {})
        self.follower = QTimer(self)
        self.follower.setInterval(FOLLOW_MS)
        self.follower.timeout.connect(self._follow)
        self.menu = CellMenu(controller, self)
        self.area = AreaSelection(controller)
        self._lay_out()
        self._main.destroyed.connect(self._orphaned)
        ui.listen(self, controller.review.state, self.refresh)
        ui.listen(self, self.session.chosen, self._take_taxonomy)
        ui.listen(self, controller.actions.search_requested, self.search)
        self._taxonomy: object = None
        self._take_taxonomy()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Take keys and mouse callbacks away; the verdicts are on disk already."""
        self.let_go()
        super().closeEvent(event)

    def let_go(self) -> None:
        """Take keys and mouse callbacks away, and listen no more."""
        if self._gone:
            return
        self._gone = True
        self.follower.stop()
        self.shortcuts.clear()
        self.menu.close()
        self.area.close()
        self.controller.review.state.disconnect(self.refresh)
        self.session.chosen.disconnect(self._take_taxonomy)
        self.controller.actions.search_requested.disconnect(self.search)

    def place(self) -> None:
        """Share the place of the CytoDINO dock."""
        if not self._gone:
            tab_with(self, self._main)

    def _orphaned(self) -> None:
        """Stop with the CytoDINO dock, whose session this dock shows."""
        self.let_go()
        self.setEnabled(False)
        self.notice.setText(ORPHANED)

    def refresh(self) -> None:
        """Follow the beginning and the end of a review."""
        reviewing = self.controller.review
        if reviewing.is_open:
            remember_reader(reviewing.reader)
        self.shortcuts.set_enabled(reviewing.is_open)
        if reviewing.log is not None and reviewing.log.read_only:
            self.follower.start()
        else:
            self.follower.stop()

    def _follow(self) -> None:
        """Take in what the other viewer wrote; report once that a record is gone."""
        try:
            self.controller.review.refresh()
        except CytoDinoError as error:
            self.follower.stop()
            notices.error(error)

    def search(self) -> None:
        """Ask for a class by name, and give it as the verdict."""
        if self.session.taxonomy is None or not self.controller.review.is_open:
            return
        dialog = ClassSearch(self, self.session.taxonomy, self.controller.keys)
        dialog.picked.connect(self.controller.actions.set_class)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _take_taxonomy(self) -> None:
        """Take the keys for the classes of the checkpoint that is open."""
        taxonomy = self.session.taxonomy
        if taxonomy is None or taxonomy is self._taxonomy:
            return
        self._taxonomy = taxonomy
        path = read_preferences().keys
        try:
            keys = read_keys(taxonomy, Path(path).expanduser() if path else None)
        except CytoDinoError as error:
            notices.error(error)
            keys = read_keys(taxonomy)
        self.controller.keys = keys
        self.shortcuts.clear()
        self.shortcuts = ReviewShortcuts(self, self._acts(keys))
        self.review.set_keys(keys)
        self.refresh()

    def _acts(self, keys: ReviewKeys) -> dict[str, Callable[[], None]]:
        actions = self.controller.actions
        acts: dict[str, Callable[[], None]] = {
            key: getattr(actions, name) for name, key in keys.actions.items()
        }
        for code, key in keys.classes.items():
            acts[key] = partial(actions.set_class, code)
        return acts

    def _lay_out(self) -> None:
        inside = QWidget()
        self.column = Column(inside)
        column = QVBoxLayout(inside)
        parts = (
            self.review,
            self.teaching,
            self.card,
            self.differential,
            self.readers,
            self.report,
        )
        for place, part in enumerate(parts):
            if place:
                column.addWidget(line())
            column.addWidget(part)
        column.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.column, 1)
        self.notice = ui.hint(NOTICE)
        layout.addWidget(self.notice)
