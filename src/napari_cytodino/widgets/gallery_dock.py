"""The gallery as a dock of its own, beside the CytoDINO dock of the same viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cytodino.widgets.commands import open_dock
from napari_cytodino.widgets.docking import below
from napari_cytodino.widgets.gallery import GalleryPanel

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QShowEvent


class GalleryDock(QWidget):
    """All cells as pictures, by class.

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
        layout.addWidget(self.panel)
        self._placed = False

    def showEvent(self, event: QShowEvent) -> None:
        """Take the width below the canvas, when napari has placed this dock."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._place)

    def _place(self) -> None:
        below(self)
