"""What the command palette and the menus can do; each opens the dock first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari.viewer

    from napari_cytodino.widgets.dock import CytoDinoDock

PLUGIN, DOCK = "napari-cytodino", "CytoDINO"


def open_dock(viewer: napari.viewer.Viewer) -> CytoDinoDock:
    """Open the dock, or return it where it is open."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    return widget


def classify(viewer: napari.viewer.Viewer) -> None:
    """Classify the cells that are chosen in the dock."""
    open_dock(viewer).controller.classify()


def classify_folder(viewer: napari.viewer.Viewer) -> None:
    """Classify many images with what is chosen in the dock."""
    open_dock(viewer).classify_folder()


def find_cells(viewer: napari.viewer.Viewer) -> None:
    """Find stained nucleated cells in the image that is chosen in the dock."""
    open_dock(viewer).controller.find()


def next_flagged(viewer: napari.viewer.Viewer) -> None:
    """Go to the next flagged cell, the costliest first."""
    open_dock(viewer).controller.next_flagged()


def cancel(viewer: napari.viewer.Viewer) -> None:
    """Stop what is running."""
    open_dock(viewer).controller.cancel()
