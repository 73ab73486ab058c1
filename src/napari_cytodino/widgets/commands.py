"""What the command palette, the menus and the command line can start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

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


def start(napari: Any, image: Path | None) -> None:
    """Open an image, or the SYNTHETIC demo, with the dock beside it, and run.

    Parameters
    ----------
    napari
        The imported package.
    image
        What to open; None draws a smear and classifies it.
    """
    viewer = napari.Viewer(title="CytoDINO")
    prepare(viewer, image)
    napari.run()


def prepare(viewer: Any, image: Path | None) -> Any:
    """Fill a viewer and return its dock."""
    if image is not None:
        viewer.open(str(image))
        return open_dock(viewer)
    from napari_cytodino.synthetic import synthetic_smear

    smear = synthetic_smear(seed=0)
    viewer.add_image(smear.image, name="synthetic smear")
    labels = viewer.add_labels(smear.labels, name="drawn cells", visible=False)
    dock = open_dock(viewer)
    dock.checkpoint.choose("demo")
    dock.session.choose(cells_layer=labels)
    dock.controller.classify()
    return dock
