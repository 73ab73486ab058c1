"""Bring the session's table onto the canvas and into `features`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cytodino.results import COLUMNS
from napari_cytodino.widgets.canvas.layers import CROPS, layer_type
from napari_cytodino.widgets.canvas.result_layers import (
    CLICKED,
    SELECTED,
    SPOTS,
    ResultLayers,
)
from napari_cytodino.widgets.canvas.transforms import PlanePlacement
from napari_cytodino.widgets.session import appearance_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_cytodino.widgets.session import Appearance, CellsReading, Session


def write_features(layer: Any, table: pd.DataFrame) -> None:
    """Write the table to the layer's `features` by one assignment.

    Columns of other plugins stay. Labels without a row here keep what others wrote
    of them. Where ids are dense, row number and id agree, as napari's own features
    table expects.
    """
    old = layer.features
    labels = layer_type(layer) == "labels"
    if not labels:
        key = np.arange(1, len(old) + 1)
    elif "index" in old:
        key = old["index"].to_numpy()
    else:
        key = old["label"].to_numpy() if "label" in old else np.arange(len(old))
    others = old.drop(columns=[c for c in old.columns if c in COLUMNS])
    others = others.set_axis(pd.Index(key.astype(np.int64)), axis=0)
    others = others[~others.index.duplicated()]
    ours = table.loc[:, list(COLUMNS)].set_axis(
        pd.Index(table["label"].to_numpy(np.int64)), axis=0
    )
    ours = ours.astype(object).where(ours.notna() & (ours != ""), None)
    rows = _feature_rows(ours.index, others.index, labels, len(old))
    merged = pd.concat([ours.reindex(rows), others.reindex(rows)], axis=1)
    merged["index"] = merged["label"] = rows.to_numpy(np.int64)
    layer.features = merged.reset_index(drop=True).infer_objects()


def _feature_rows(
    ours: pd.Index[int], others: pd.Index[int], labels: bool, count: int
) -> pd.Index[int]:
    if not labels:
        return pd.RangeIndex(1, count + 1)
    rows = ours.union(others)
    last = int(rows.max()) if len(rows) else 0
    if rows.min() >= 0 and last <= 2 * len(rows) + 16:
        return pd.RangeIndex(last + 1)
    return rows


SURROUNDINGS = 4.0
"""Side of what is shown around a cell in review, in fields of view of the model."""

SEEN, SHOWN = 48.0, 96.0
"""A ring of fewer screen pixels than the first is enlarged to the second."""


def painted(reading: CellsReading, layer: Any) -> bool:
    """Say whether cells are painted within their outlines; else they get rings.

    Of lazy labels without coarser levels, napari would ask for all at every change.
    """
    in_memory = isinstance(reading.labels, np.ndarray)
    return in_memory or (reading.labels is not None and layer.multiscale)


class Canvas:
    """What of a session is on the canvas, and in which plane."""

    def __init__(self, viewer: Any, session: Session) -> None:
        self._viewer, self._session = viewer, session
        self.result_layers = ResultLayers(viewer)
        self._image_frame: PlanePlacement | None = None
        self._cells_frame: PlanePlacement | None = None

    def image_frame(self, point: Sequence[float]) -> PlanePlacement:
        """Return where pixels of the image lie at this place of the viewer."""
        session = self._session
        crops = session.cells_layer == CROPS
        return PlanePlacement(session.image, point, session.channel_axis, crops=crops)

    def place(self, point: Sequence[float]) -> None:
        """Remember the plane that the viewer shows, for results to come."""
        session = self._session
        self._image_frame = self._cells_frame = None
        if session.image is None:
            return
        self._image_frame = self.image_frame(point)
        if layer_type(session.cells_layer) == "labels":
            self._cells_frame = PlanePlacement(session.cells_layer, point)

    def in_plane(self, point: Sequence[float]) -> bool:
        """Say whether the viewer shows the plane that the results are of."""
        frame = self._image_frame
        return frame is not None and self.image_frame(point).plane == frame.plane

    def clear(self) -> None:
        """Take earlier results off the canvas."""
        self.result_layers.clear()

    def marks(self) -> Appearance | None:
        """Return how the classified cells look now."""
        session = self._session
        if session.predictions is None or session.taxonomy is None:
            return None
        return appearance_of(
            session.table,
            session.predictions.done,
            session.taxonomy,
            session.mode,
            session.hidden,
        )

    def draw(self) -> None:
        """Draw the table, or nothing where there is none."""
        session, frame = self._session, self._image_frame
        look = self.marks()
        if look is None or frame is None or session.cells is None:
            return
        main = range(session.layer_cell_count)
        reading = session.reading
        layer = session.cells_layer
        if reading is not None and painted(reading, layer):
            if self._cells_frame is not None and layer in self._viewer.layers:
                self.result_layers.draw_labels(layer, reading, look, self._cells_frame)
        else:
            self.result_layers.draw_spots(
                SPOTS, session.cells, look, main, frame, session.table
            )
        clicked = range(session.layer_cell_count, len(session.cells))
        self.result_layers.draw_spots(
            CLICKED, session.cells, look, clicked, frame, session.table
        )
        self.result_layers.draw_review(session.cells, look, frame, session.table)
        self.draw_selected()

    def touch(self, rows: npt.NDArray[np.int64]) -> None:
        """Paint a few cells anew at once; badges and rings follow with `draw`."""
        session, reading = self._session, self._session.reading
        predictions, taxonomy = session.predictions, session.taxonomy
        if predictions is None or taxonomy is None or reading is None:
            return
        rows = np.unique(rows)
        lines = (np.cumsum(predictions.done) - 1)[rows]
        some = np.zeros(len(predictions.done), bool)
        some[rows] = True
        look = appearance_of(
            session.table.iloc[lines], some, taxonomy, session.mode, session.hidden
        )
        self.result_layers.touch(reading, look)

    def draw_selected(self) -> None:
        """Show which cells are selected."""
        session, frame = self._session, self._image_frame
        if session.cells is not None and frame is not None:
            rows = session.selected_rows
            self.result_layers.draw_selected(
                session.cells, rows[rows < len(session.cells)], frame
            )

    def show_at_scale(self) -> None:
        """Bring the selected cell into the middle, as large as every other one.

        The scale depends on the field of view alone, so that sizes can be compared from
        cell to cell.
        """
        session, layer = self._session, self.result_layers.layer(SELECTED)
        if layer is None or not len(layer.data) or self._image_frame is None:
            return
        camera = self._viewer.scene.camera
        scale = float(np.asarray(self._image_frame.placement["scale"])[-1])
        side = SURROUNDINGS * session.crop_side() * scale
        camera.center = tuple(self._place_of(layer))
        camera.zoom = min(self._viewer.canvas.size) / side

    def fly_to_selected(self) -> None:
        """Bring the selected cell onto the canvas, large enough to see.

        Where it is so already, the view stays: a picture that jumps is hard to read.
        """
        layer = self.result_layers.layer(SELECTED)
        if layer is None or not len(layer.data):
            return
        camera = self._viewer.scene.camera
        center = self._place_of(layer)
        side = float(layer.size[0]) * float(np.asarray(layer.scale)[-1])
        half = min(self._viewer.canvas.size) / camera.zoom / 2 - side / 2
        small = side * camera.zoom < SEEN
        if small or np.abs(np.subtract(center, camera.center)).max() > half:
            camera.center = tuple(center)
        if small:
            camera.zoom = SHOWN / side

    def _place_of(self, layer: Any) -> list[float]:
        """Go to the plane of the first ring, and return where the camera sees it."""
        place = np.asarray(layer.data_to_world(layer.data[0]), float)
        dims, camera = self._viewer.dims, self._viewer.scene.camera
        center = list(camera.center)
        for axis, value in enumerate(place, start=dims.ndim - len(place)):
            if axis in dims.displayed:
                # the camera counts the displayed axes only, and from behind
                center[dims.displayed.index(axis) - len(dims.displayed)] = value
            else:
                dims.set_point(axis, value)
        return center

    def write_features(self) -> None:
        """Write the rows of the user's layer into its `features`."""
        session = self._session
        layer = session.cells_layer
        if session.predictions is None or layer is None or isinstance(layer, str):
            return
        if layer not in self._viewer.layers:
            return
        rows = np.flatnonzero(session.predictions.done)
        write_features(layer, session.table[rows < session.layer_cell_count])
