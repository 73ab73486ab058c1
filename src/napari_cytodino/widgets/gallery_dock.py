"""Gallery and table as a dock of their own, of the same viewer's CytoDINO dock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QTabWidget, QVBoxLayout

from napari_cytodino.widgets.commands import open_dock
from napari_cytodino.widgets.controls import PluginWidget, below
from napari_cytodino.widgets.gallery import CellMap, CellTable, GalleryPanel
from napari_cytodino.widgets.review import cell_menu

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtCore import QPoint


class GalleryDock(PluginWidget):
    """All cells as pictures by class, and as a table.

    Parameters
    ----------
    viewer
        The viewer that this dock belongs to; its CytoDINO dock is opened where it is
        not open yet.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.controller = open_dock(viewer).controller
        self.panel = GalleryPanel(self.controller)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.panel.view.menu_requested.connect(self._open_menu)
        self.table = CellTable(self.controller)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.panel, "&Pictures")
        self.tabs.addTab(self.table, "&Table")
        self.map = CellMap(self.controller)
        self.tabs.addTab(self.map, "Ma&p")
        layout.addWidget(self.tabs)

    def _open_menu(self, place: QPoint) -> None:
        if self.controller.review.is_open:
            cell_menu(self.controller, self).popup(place)

    def place(self) -> None:
        """Take the width below the canvas."""
        below(self)
