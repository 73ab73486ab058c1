"""Draw the classes: layers of our own above the user's, which stay untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import pandas as pd

from napari_cytodino.widgets.canvas._label_overlay import LabelOverlay
from napari_cytodino.widgets.canvas.layers import unwrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_cytodino.cells import Cells
    from napari_cytodino.widgets.canvas.transforms import PlanePlacement
    from napari_cytodino.widgets.session import Appearance, CellsReading


CLASSES = "Classes"

SPOTS = "Cells: classes"

REVIEW = "Review"

SELECTED = "Selected cell"

CLICKED = "Clicked cells"

FOUND = "Found cells"

THICK = "Too thick to count"

OWN = "napari-cytodino"
"""Key in the metadata of our layers, known before other code hears of the layer."""

CONTOUR_LIMIT = 4_000_000
"""Above this many pixels cells are filled: outlines cost seconds at 8192 x 8192."""

OUTLINE = 1 / 28
"""Width of an outline, as a share of the median cell's side."""

RING = 1.25
"""Diameter of a ring around a cell, in sides of its box."""

HALO = 1.35
"""Diameter of the ring around the selected cell, likewise."""

BADGE = 0.3
"""Side of a badge, as a share of the median cell's side."""

BADGE_LIMITS = (2, 22)
"""Least and largest side of a badge on the screen: close up it covers no cell."""

INSET = 0.12
"""How far a badge lies within the corner of its cell's box, to belong to it."""

SYMBOLS = {"?": "square", "~": "disc", "×": "diamond"}
"""Shape of the badge of each sign."""

SIGN_TEXT = {
    "string": "{sign}",
    "size": 10,
    "color": "#101010",
    "anchor": "center",
}

MOST_SIGNS = 2_000
"""Above so many badges their shapes speak alone: napari lays out 30 texts in 1 ms."""


class ResultLayers:
    """Our layers of one viewer; a layer that the user deletes is drawn anew later."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layers: dict[str, Any] = {}
        self._classes: LabelOverlay | None = None
        self._shown: LabelOverlay | None = None
        self._badges: tuple[Any, ...] = ()
        self._few_badges = True
        self._found = 0

    def owns(self, layer: Any) -> bool:
        """Say whether this is one of our layers, other than cells that were found."""
        return str(unwrap(layer).metadata.get(OWN, FOUND)) != FOUND

    def layer(self, name: str) -> Any:
        """Return our layer of this name while it is in the viewer, else None."""
        own = self._layers.get(name)
        return own if own is not None and own in self._viewer.layers else None

    def clear(self) -> None:
        """Remove our layers, but not the cells that were found."""
        for name in (CLASSES, SPOTS, REVIEW, CLICKED, SELECTED):
            own = self.layer(name)
            if own is not None:
                self._viewer.layers.remove(own)
            self._layers.pop(name, None)
        self._classes = self._shown = None

    def add_found(self, labels: npt.NDArray[Any], frame: PlanePlacement) -> Any:
        """Add cells that were found as a Labels layer.

        Those found before go, unless the user has changed them since.
        """
        old = self.layer(FOUND)
        if old is not None and self.unedited(old):
            self._viewer.layers.remove(old)
        layer = unwrap(
            self._viewer.add_labels(
                frame.lift(labels), name=FOUND, metadata={OWN: FOUND}, **frame.placement
            )
        )
        self._layers[FOUND], self._found = layer, crc32(layer.data.tobytes())
        return layer

    def add_thick(
        self, places: Sequence[tuple[float, float]], size: float, frame: PlanePlacement
    ) -> None:
        """Mark regions in which no cell can be told from the next.

        Parameters
        ----------
        places
            Middles, y and x in pixels of the image.
        size
            Of a mark, in pixels of the image.
        frame
            Where the image lies.
        """
        rows = np.arange(len(places))
        spots = frame.lift_points(np.reshape(places, (-1, 2)).astype(float), rows)
        look = {
            "symbol": "cross",
            "size": size,
            "face_color": "#101010",
            "border_color": "#f0f0f0",
        }
        words = {"string": "{note}", "size": 10, "color": "#101010", "anchor": "center"}
        features = pd.DataFrame({"note": [THICK] * len(rows)})
        self._points(THICK, spots, look, features, frame, text=words)

    def unedited(self, layer: Any) -> bool:
        """Say whether these are the cells found last, as they were found."""
        if layer is None or layer is not self.layer(FOUND):
            return False
        data = layer.data
        if not isinstance(data, np.ndarray):
            return False
        return crc32(data.tobytes()) == self._found

    def draw_labels(
        self,
        layer: Any,
        reading: CellsReading,
        marks: Appearance,
        frame: PlanePlacement,
    ) -> None:
        """Show the classes of cells that come from a label image."""
        values = np.zeros(len(reading.cells), np.uint8)
        main = marks.rows < len(values)
        values[marks.rows[main]] = marks.values[main]
        picture = self._classes
        if picture is None or picture.labels is not reading.labels:
            picture = self._classes = LabelOverlay(layer, reading, frame)
        if self.layer(CLASSES) is None or picture is not self._shown:
            picture.paint(values)
            self._add_classes(picture, marks, frame, reading)
        else:
            picture.paint(values, reading.label_boxes)
        own = self._layers[CLASSES]
        colours = _colour_dict(marks)
        if not _same_colours(own.colormap.color_dict, colours):
            own.colormap = _direct(colours)
        own.refresh(extent=False)

    def _add_classes(
        self,
        picture: LabelOverlay,
        marks: Appearance,
        frame: PlanePlacement,
        reading: CellsReading,
    ) -> None:
        old = self.layer(CLASSES)
        if old is not None:
            self._viewer.layers.remove(old)
        active = self._viewer.layers.selection.active
        data = picture.data()
        layer = unwrap(
            self._viewer.add_labels(
                data if len(data) > 1 else data[0],
                multiscale=len(data) > 1,
                name=CLASSES,
                metadata={OWN: CLASSES},
                colormap=_direct(_colour_dict(marks)),
                opacity=0.9,
                **frame.placement,
            )
        )
        layer.editable = False
        # of lazy levels napari outlines only what the screen shows
        small = picture.lazy or data[0].size <= CONTOUR_LIMIT
        boxes = reading.label_boxes
        side = float(np.median(_sides(boxes))) if boxes is not None else 0.0
        layer.contour = max(2, round(side * OUTLINE)) if small else 0
        layer.opacity = 0.9 if small else 0.5
        self._layers[CLASSES], self._shown = layer, picture
        restore_active(self._viewer, active)

    def touch(self, reading: CellsReading, marks: Appearance) -> None:
        """Paint these few cells of a label image anew at once, and nothing else.

        Only where that is quick: other looks follow with the next whole drawing.
        """
        own, picture, boxes = self.layer(CLASSES), self._classes, reading.label_boxes
        if own is None or picture is None or picture.labels is not reading.labels:
            return
        if not picture.quick or boxes is None:
            return
        main = marks.rows < len(picture.values)
        picture.fill(marks.rows[main], marks.values[main], boxes)
        own.refresh(extent=False)

    def draw_spots(
        self,
        name: str,
        cells: Cells,
        marks: Appearance,
        rows: Sequence[int],
        frame: PlanePlacement,
        table: pd.DataFrame,
    ) -> None:
        """Show the classes of points, boxes, crops or clicked cells as rings."""
        picked = np.flatnonzero(np.isin(marks.rows, np.asarray(rows)))
        chosen = marks.rows[picked]
        look: dict[str, Any] = {
            "symbol": "disc",
            "size": _sides(cells.bbox[chosen]) * RING,
            "face_color": "transparent",
            "border_color": marks.colours[picked],
            "shown": marks.shown[picked],
        }
        features = table.iloc[picked].reset_index(drop=True)
        self._points(
            name, frame.lift_points(cells.centre[chosen], chosen), look, features, frame
        )

    def draw_review(
        self,
        cells: Cells,
        marks: Appearance,
        frame: PlanePlacement,
        table: pd.DataFrame,
    ) -> None:
        """Put a badge at flagged cells; its shape and sign tell why, not its colour."""
        picked = np.flatnonzero(marks.signs != "")
        rows = marks.rows[picked]
        badges = (rows, marks.signs[picked], table["reason"].to_numpy(object)[picked])
        drawn, of = self._badges, (cells, frame)
        self._badges = (*of, *badges)
        if (
            self.layer(REVIEW) is not None
            and all(one is other for one, other in zip(drawn, of, strict=False))
            and all(map(np.array_equal, drawn[len(of) :], badges))
        ):
            # other colours change no badge, and napari takes long over many of them
            return
        features = table.iloc[picked][["label", "status", "reason"]]
        features = features.reset_index(drop=True).assign(sign=marks.signs[picked])
        sides = _sides(cells.bbox)
        look = {
            "symbol": [SYMBOLS[sign] for sign in features["sign"]],
            "size": float(np.median(sides)) * BADGE,
            "face_color": "#FFFFFF",
            "border_color": "#101010",
            "canvas_size_limits": BADGE_LIMITS,
        }
        inward = INSET * sides[rows, None] * np.array([1.0, -1.0])
        corners = cells.bbox[rows][:, [0, 3]] + inward
        few = len(rows) <= MOST_SIGNS
        layer = self.layer(REVIEW)
        if layer is not None and few is not self._few_badges:
            layer.text.visible = few
        self._few_badges = few
        spots, text = frame.lift_points(corners, rows), {**SIGN_TEXT, "visible": few}
        self._points(REVIEW, spots, look, features, frame, text=text)

    def draw_selected(
        self, cells: Cells, rows: npt.NDArray[np.int64], frame: PlanePlacement
    ) -> None:
        """Put a thin ring around the cells that are selected."""
        look = {
            "symbol": "disc",
            "size": _sides(cells.bbox[rows]) * HALO,
            "face_color": "transparent",
            "border_color": "#101010",
        }
        spots = frame.lift_points(cells.centre[rows], rows)
        features = pd.DataFrame({"label": cells.label[rows]})
        self._points(SELECTED, spots, look, features, frame)

    def _points(
        self,
        name: str,
        data: npt.NDArray[np.float64],
        look: dict[str, Any],
        features: pd.DataFrame,
        frame: PlanePlacement,
        *,
        text: dict[str, Any] | None = None,
    ) -> None:
        """Make a Points layer, or update it and keep what the user set on it."""
        layer = self.layer(name)
        if layer is not None:
            layer.data = data
            layer.features = features
            for key, value in look.items():
                if len(data) or key == "symbol":
                    setattr(layer, key, value)
            return
        if len(data) == 0:
            return
        active = self._viewer.layers.selection.active
        layer = unwrap(
            self._viewer.add_points(
                data,
                ndim=data.shape[1],
                name=name,
                metadata={OWN: name},
                features=features,
                border_width=0.08 if text else 0.02 if name == SELECTED else 0.05,
                text=text,
                **look,
                **frame.placement,
            )
        )
        layer.editable = False
        self._layers[name] = layer
        restore_active(self._viewer, active)


def restore_active(viewer: Any, layer: Any) -> None:
    """Make the layer active again that adding one of ours pushed aside."""
    if layer is not None and layer in viewer.layers:
        viewer.layers.selection.active = unwrap(layer)


def _sides(boxes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return np.asarray(sides, float)


def _colour_dict(marks: Appearance) -> dict[int | None, npt.NDArray[np.float64]]:
    colours: dict[int | None, Any] = {
        place: np.array(colour, float) for place, colour in enumerate(marks.palette)
    }
    colours[None] = np.zeros(4)
    return colours


def _same_colours(one: Any, other: dict[int | None, npt.NDArray[np.float64]]) -> bool:
    return set(one) == set(other) and all(
        np.allclose(one[key], other[key], atol=1e-3) for key in other
    )


def _direct(colours: dict[int | None, npt.NDArray[np.float64]]) -> Any:
    from napari.utils.colormaps import DirectLabelColormap

    return DirectLabelColormap(color_dict=colours)
