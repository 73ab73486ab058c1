"""Gallery and table as a dock of their own, of the same viewer's CytoDINO dock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_cytodino.widgets.commands import open_dock
from napari_cytodino.widgets.controls import below, let_go
from napari_cytodino.widgets.gallery import CellTable, GalleryPanel
from napari_cytodino.widgets.review import cell_menu

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtCore import QPoint
    from qtpy.QtGui import QShowEvent


class GalleryDock(QWidget):
    """All cells as pictures by class, and as a table.

    Parameters
    ----------
    viewer
        The viewer that this dock belongs to; its CytoDINO dock is opened where it is
        not open yet.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._placed = False
        self.controller = open_dock(viewer).controller
        self.panel = GalleryPanel(self.controller)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.panel.view.menu_asked.connect(self._open_menu)
        self.table = CellTable(self.controller)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.panel, "&Pictures")
        self.tabs.addTab(self.table, "&Table")
        layout.addWidget(self.tabs)

    def _open_menu(self, place: QPoint) -> None:
        if self.controller.review.is_open:
            cell_menu(self.controller, self).popup(place)

    def showEvent(self, event: QShowEvent) -> None:
        """Take the width below the canvas, when napari has placed this dock."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._place)

    def event(self, event: QEvent) -> bool:
        """Go when napari takes this dock away; what followed the session stops."""
        if self._placed and let_go(self, event):
            self._placed = False
            self.deleteLater()
        return bool(super().event(event))

    def _place(self) -> None:
        if self._placed:
            below(self)
