"""Select many cells on the canvas: Shift and drag a box, with Alt a free outline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.cells import CropStack
from napari_cytodino.widgets.canvas import OWN, restore_active, unwrap
from napari_cytodino.widgets.canvas import picking as pointer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from napari_cytodino.widgets.controllers.controller import Controller


OUTLINE = "Selecting"

COLOUR = "#F0E442"

STEP = 3.0
"""Screen pixels between two corners of a free outline."""


class AreaSelection:
    """Selects the cells whose centres lie within what is drawn.

    The view does not move meanwhile, and the outline goes when the button is released.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._viewer = controller.viewer
        self._layer: Any = None
        self._viewer.mouse_drag_callbacks.append(self.on_press)

    def close(self) -> None:
        """Let go of the viewer."""
        callbacks = self._viewer.mouse_drag_callbacks
        if self.on_press in callbacks:
            callbacks.remove(self.on_press)

    def on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        """Follow a drag with Shift held down."""
        names = {str(getattr(m, "name", m)) for m in event.modifiers}
        mode = str(getattr(viewer.layers.selection.active, "mode", "pan_zoom"))
        if event.button != 1 or "Shift" not in names or mode not in pointer.LOOKING:
            return
        if not self._possible():
            return
        free = "Alt" in names
        corners = [np.array(event.position, float)]
        last = np.array(event.pos, float)
        camera = self._viewer.scene.camera
        pan, camera.mouse_pan = camera.mouse_pan, False
        try:
            yield
            while event.type == "mouse_move":
                here = np.array(event.pos, float)
                if np.abs(here - last).max() >= STEP:
                    last = here
                    place = np.array(event.position, float)
                    corners = [*corners, place] if free else [corners[0], place]
                    self._draw(self._ring(corners, free=free))
                yield
        finally:
            camera.mouse_pan = pan
            self._erase()
        if len(corners) > 1:
            self.select(self._ring(corners, free=free))

    def select(self, ring: npt.NDArray[np.float64]) -> None:
        """Select the cells within an outline in world coordinates, (M, ndim)."""
        from skimage.measure import points_in_poly

        session = self._controller.session
        assert session.cells is not None
        outline = np.array([pointer.pixel_at(session, place) for place in ring])
        inside = points_in_poly(session.cells.centre, outline)
        self._controller.review.select(np.flatnonzero(inside))

    def _possible(self) -> bool:
        session, controller = self._controller.session, self._controller
        reading, image = session.reading, session.image
        if reading is None or session.cells is None or image is None:
            return False
        if isinstance(reading.source, CropStack):
            return False
        if unwrap(image) not in self._viewer.layers:
            return False
        return controller.canvas.in_plane(controller.point())

    def _ring(
        self, corners: Sequence[npt.NDArray[np.float64]], *, free: bool
    ) -> npt.NDArray[np.float64]:
        """Return the outline; a box has two opposite corners, along the display."""
        if free:
            return np.array(corners)
        first, last = corners[0], corners[-1]
        across, down = first.copy(), first.copy()
        rows, columns = self._viewer.dims.displayed[-2:]
        across[columns], down[rows] = last[columns], last[rows]
        return np.array([first, across, last, down])

    def _draw(self, ring: npt.NDArray[np.float64]) -> None:
        if len(ring) < 3:
            return
        if self._layer is None:
            active = self._viewer.layers.selection.active
            self._layer = unwrap(
                self._viewer.add_shapes(
                    [ring],
                    shape_type="polygon",
                    name=OUTLINE,
                    metadata={OWN: OUTLINE},
                    face_color="#F0E44220",
                    edge_color=COLOUR,
                    edge_width=2 / self._viewer.scene.camera.zoom,
                )
            )
            restore_active(self._viewer, active)
        else:
            self._layer.data = [ring]

    def _erase(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
