"""A circle on the canvas, to be drawn over one cell: it says how large cells are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_cytodino.widgets.canvas.layers import unwrap
from napari_cytodino.widgets.canvas.result_layers import OWN, restore_active

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.widgets.canvas.transforms import PlanePlacement

CIRCLE = "Cell size"

COLOUR = "#ffb000"
"""Of the circle: apart from stains, in dark and light themes, for the colour-blind."""

LINE = 1 / 16
"""Width of the line, in diameters."""

SAME = 1e-3
"""Change of the diameter, as a share, up to which it counts as none."""


class CellCircle:
    """A layer of ours with one circle, that a user moves and resizes."""

    resized = Signal(float)
    """The diameter in pixels of the image."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._active: Any = None
        self._diameter = 0.0

    @property
    def shown(self) -> bool:
        """Whether the circle is on the canvas."""
        return self._layer is not None and self._layer in self._viewer.layers

    def show(self, frame: PlanePlacement, diameter: float) -> None:
        """Draw the circle in the middle of what the viewer shows of the image."""
        self.hide()
        self._active = self._viewer.layers.selection.active
        self._diameter = diameter
        nowhere = _corners(np.zeros(2), diameter)
        self._layer = unwrap(
            self._viewer.add_shapes(
                [frame.lift_points(nowhere, np.zeros(4, np.int64))],
                shape_type="ellipse",
                name=CIRCLE,
                metadata={OWN: CIRCLE},
                edge_color=COLOUR,
                edge_width=LINE * diameter,
                face_color="transparent",
                **frame.placement,
            )
        )
        self._draw(self._middle(), diameter)
        self._layer.mode = "select"
        self._layer.events.set_data.connect(self._moved)

    def resize(self, diameter: float) -> None:
        """Give the circle another diameter, where it is."""
        if not self.shown or not len(self._layer.data):
            return
        self._diameter = diameter
        corners = np.asarray(self._layer.data[0], float)
        self._draw(corners[:, -2:].mean(0), diameter)

    def hide(self) -> None:
        """Take the circle away."""
        if self.shown:
            own = self._viewer.layers.selection.active == self._layer
            self._viewer.layers.remove(self._layer)
            if own:
                restore_active(self._viewer, self._active)
        self._layer = self._active = None

    def _middle(self) -> npt.NDArray[np.float64]:
        """Return what the viewer shows in the middle, in pixels of the image."""
        dims = self._viewer.dims
        place, shown = np.array(dims.point, float), list(dims.displayed)
        place[shown] = self._viewer.scene.camera.center[-len(shown) :]
        return np.asarray(self._layer.world_to_data(place), float)[-2:]

    def _draw(self, middle: npt.NDArray[np.float64], diameter: float) -> None:
        layer = self._layer
        lead = np.asarray(layer.data[0], float)[:, :-2]
        with layer.events.set_data.blocker():
            layer.data = [np.hstack([lead, _corners(middle, diameter)])]
            layer.edge_width = [LINE * diameter]
            layer.selected_data = {0}

    def _moved(self) -> None:
        if not self.shown or not len(self._layer.data):
            return
        corners = np.asarray(self._layer.data[0], float)[:3, -2:]
        sides = np.linalg.norm(np.diff(corners, axis=0), axis=1)
        diameter = float(np.sqrt(sides.prod()))
        if diameter > 0 and abs(diameter / self._diameter - 1) > SAME:
            self._diameter = diameter
            self.resized.emit(diameter)


def _corners(
    middle: npt.NDArray[np.float64], diameter: float
) -> npt.NDArray[np.float64]:
    half = diameter / 2
    signs = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)], float)
    return np.asarray(middle + half * signs)
