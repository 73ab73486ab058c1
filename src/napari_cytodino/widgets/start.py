"""Start napari with the dock, for the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


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
    from napari_cytodino.widgets.commands import open_dock

    if image is not None:
        viewer.open(str(image))
        return open_dock(viewer)
    from napari_cytodino.core.synthetic import synthetic_smear

    smear = synthetic_smear(seed=0)
    viewer.add_image(smear.image, name="synthetic smear")
    labels = viewer.add_labels(smear.labels, name="drawn cells", visible=False)
    dock = open_dock(viewer)
    dock.checkpoint.choose("demo")
    dock.session.choose(cells_layer=labels)
    dock.controller.classify()
    return dock
