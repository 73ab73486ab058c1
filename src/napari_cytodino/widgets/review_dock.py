"""The review dock: verdicts, differential, readers and report in one column."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cytodino.core.errors import CytoDinoError
from napari_cytodino.core.review_keys import ReviewKeys, read_keys
from napari_cytodino.widgets import notices, ui
from napari_cytodino.widgets.area_selection import AreaSelection
from napari_cytodino.widgets.card_panel import CardPanel
from napari_cytodino.widgets.cell_menu import CellMenu
from napari_cytodino.widgets.class_search import ClassSearch
from napari_cytodino.widgets.commands import open_dock
from napari_cytodino.widgets.differential_panel import DifferentialPanel
from napari_cytodino.widgets.dock import NOTICE, Column, line
from napari_cytodino.widgets.docking import let_go, tab_with
from napari_cytodino.widgets.preferences import read_preferences, remember_reader
from napari_cytodino.widgets.readers_panel import ReadersPanel
from napari_cytodino.widgets.report_panel import ReportPanel
from napari_cytodino.widgets.review_panel import ReviewPanel
from napari_cytodino.widgets.review_shortcuts import ReviewShortcuts

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer
    from qtpy.QtGui import QCloseEvent, QShowEvent


ORPHANED = "The CytoDINO dock was closed; close this one and open it again."

FOLLOW_MS = 2000
"""How often a viewer that may only look asks what the other one wrote."""


class ReviewDock(QWidget):
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
        self._placed = self._gone = False
        self.controller = controller = self._main.controller
        self.session = controller.session
        self.review = ReviewPanel(controller)
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
        ui.listen(self, controller.reviewing.state, self.refresh)
        ui.listen(self, self.session.chosen, self._take_taxonomy)
        ui.listen(self, controller.actions.search_asked, self.search)
        self._taxonomy: object = None
        self._take_taxonomy()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Take keys and mouse callbacks away; the verdicts are on disk already."""
        self.let_go()
        super().closeEvent(event)

    def event(self, event: QEvent) -> bool:
        """Do the same when napari takes this dock away."""
        if let_go(self, event) and self._placed and not self._gone:
            self.let_go()
            self.deleteLater()
        return bool(super().event(event))

    def let_go(self) -> None:
        """Take keys and mouse callbacks away, and listen no more."""
        if self._gone:
            return
        self._gone = True
        self.follower.stop()
        self.shortcuts.clear()
        self.menu.close()
        self.area.close()
        self.controller.reviewing.state.disconnect(self.refresh)
        self.session.chosen.disconnect(self._take_taxonomy)
        self.controller.actions.search_asked.disconnect(self.search)

    def showEvent(self, event: QShowEvent) -> None:
        """Share the place of the CytoDINO dock, when napari has placed this one."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._place)

    def _place(self) -> None:
        if not self._gone:
            tab_with(self, self._main)

    def _orphaned(self) -> None:
        """Stop with the CytoDINO dock, whose session this dock shows."""
        self.let_go()
        self.setEnabled(False)
        self.notice.setText(ORPHANED)

    def refresh(self) -> None:
        """Follow the beginning and the end of a review."""
        reviewing = self.controller.reviewing
        if reviewing.is_open:
            remember_reader(reviewing.reader)
        self.shortcuts.set_enabled(reviewing.is_open)
        if reviewing.log is not None and reviewing.log.read_only:
            self.follower.start()
        else:
            self.follower.stop()

    def _follow(self) -> None:
        """Take in what the other viewer wrote; a record that is gone is told once."""
        try:
            self.controller.reviewing.follow()
        except CytoDinoError as error:
            self.follower.stop()
            notices.tell(error)

    def search(self) -> None:
        """Ask for a class by name, and give it as the verdict."""
        if self.session.taxonomy is None or not self.controller.reviewing.is_open:
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
            notices.tell(error)
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
