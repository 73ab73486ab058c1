"""How large cells and pixels are: estimated, of a layer, or shown with a circle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from superqt.utils import qdebounced

from napari_cytodino.common import CytoDinoError
from napari_cytodino.finding import CELL, PixelSize
from napari_cytodino.images import SANE_MICRONS
from napari_cytodino.widgets.canvas import CellCircle, axes_of, micrometres_per_pixel
from napari_cytodino.widgets.controls import notices
from napari_cytodino.widgets.session import RunState

if TYPE_CHECKING:
    from napari_cytodino.widgets.canvas import Canvas
    from napari_cytodino.widgets.session import Session

UNKNOWN = 100.0
"""Diameter of the circle in pixels while nothing is known of the scale."""

REST_MS = 250
"""Rest after a change before cells are found anew."""

LIVE = 4_000_000
"""Pixels up to which cells are found anew at once when the sensitivity changes."""

NEAR = 0.15
"""Difference of scales, as a share, from which on the dock says crops are scaled."""


class Host(Protocol):
    """What sizes need of the controller above them."""

    viewer: Any
    session: Session
    canvas: Canvas

    def find(self) -> None:
        """Find the cells of the image."""

    def point(self) -> tuple[float, ...]:
        """Return the viewer's place along all its axes, in world coordinates."""


class CellSizes:
    """What a user says of sizes, and what is known of them."""

    def __init__(self, host: Host) -> None:
        self._host, self._session = host, host.session
        self.circle = CellCircle(host.viewer)
        self.circle.resized.connect(self._resized)
        self._find_soon = qdebounced(self._find_again, timeout=REST_MS)
        self._image: Any = None
        self._session.chosen.connect(self._follow)

    def close(self) -> None:
        """Let go of the viewer."""
        self._session.chosen.disconnect(self._follow, missing_ok=True)
        self._find_soon.cancel()
        self.circle.hide()

    def set_diameter(self, diameter: float) -> None:
        """Take the diameter of a typical cell in pixels; 0 has it estimated."""
        self._session.choose(cell_size=diameter or None)
        self.circle.resize(diameter or self.typical())

    def show_circle(self, shown: bool) -> None:
        """Show or hide the circle."""
        if not shown or self._session.image is None:
            self.circle.hide()
            return
        try:
            frame = self._host.canvas.image_frame(self._host.point())
        except CytoDinoError as error:
            notices.error(error)
        else:
            self.circle.show(frame, self._session.cell_size or self.typical())

    def set_sensitivity(self, sensitivity: float) -> None:
        """Take another sensitivity; cells that were found are found anew."""
        self._session.choose(sensitivity=sensitivity)
        self._find_soon()

    def typical(self) -> float:
        """Return the diameter of a typical cell in pixels, as far as it is known."""
        known = self._session.pixel_size or self.of_layer()
        return UNKNOWN if known is None else CELL / known.microns

    def of_layer(self) -> PixelSize | None:
        """Return the size of a pixel that the image's layer gives."""
        image = self._session.image
        if image is None:
            return None
        axes = axes_of(image, self._session.channel_axis)
        microns = abs(micrometres_per_pixel(image, axes) or 0.0)
        if not SANE_MICRONS[0] <= microns <= SANE_MICRONS[1]:
            return None
        return PixelSize(microns, microns, microns, "file")

    def known(self) -> PixelSize | None:
        """Return the size of a pixel that is known; the layer's as it is now."""
        session = self._session
        if session.pixel_size is None or session.pixel_size.origin == "file":
            session.learn_pixel_size(self.of_layer())
        return session.pixel_size

    def in_words(self) -> str:
        """Return what is known of sizes, and what follows for the crops."""
        session = self._session
        known = session.pixel_size
        if known is None:
            return ""
        wide = session.cell_size or CELL / known.microns
        text = f"{str(known).capitalize()}. Cells are about {wide:.0f} px wide"
        text += self._of_crops(known)
        if known.doubtful and not session.cell_size:
            text += ". This is a guess: set the cell size"
        return f"{text}."

    def _of_crops(self, known: PixelSize) -> str:
        session = self._session
        model = session.opened.preprocessing if session.opened else None
        if model is None or model.microns_per_pixel is None or session.field_of_view:
            return ""
        if abs(session.crop_side() / model.field_of_view - 1) <= NEAR:
            return ""
        wide = CELL / model.microns_per_pixel
        return f"; the model expects {wide:.0f} px: crops are scaled"

    def _follow(self) -> None:
        """Begin anew with another image: the circle goes, its own scale counts."""
        if self._session.image is not self._image:
            self._image = self._session.image
            self.circle.hide()
            self.known()

    def _resized(self, diameter: float) -> None:
        size = max(1, round(diameter))
        if size != self._session.cell_size:
            self._session.choose(cell_size=float(size))

    def _find_again(self) -> None:
        session = self._session
        if session.state is RunState.FINDING:
            self._find_soon()
        elif not session.busy and self._found_small():
            self._host.find()

    def _found_small(self) -> bool:
        """Say whether the cells were found, not edited since, and soon found anew."""
        layer = self._session.cells_layer
        found = self._host.canvas.result_layers.unedited(layer)
        return found and layer.data.size <= LIVE
