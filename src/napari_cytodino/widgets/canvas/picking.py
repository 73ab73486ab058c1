"""Clicks on the canvas, distinguished from pans and from drawing in a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.cells import CropStack
from napari_cytodino.common import InputError
from napari_cytodino.widgets.canvas.layers import CROPS
from napari_cytodino.widgets.canvas.transforms import axes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_cytodino.widgets.session import Session


STILL = 4.0
"""Screen pixels that the mouse may move during a click."""

LOOKING = ("pan_zoom", "select", "pick")
"""Layer modes in which a click changes nothing, so that it may open a card."""


def click_callback(
    clicked: Callable[[tuple[float, ...]], None], button: int = 1
) -> Callable[[Any, Any], Iterator[None]]:
    """Return a mouse callback that reports clicks in world coordinates.

    Parameters
    ----------
    button
        1 is the left one, 2 the right one.
    """

    def on_press(viewer: Any, event: Any) -> Iterator[None]:
        active = viewer.layers.selection.active
        mode = str(getattr(active, "mode", "pan_zoom"))
        if event.button != button or mode not in LOOKING:
            return
        start, position = np.array(event.pos, float), tuple(event.position)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.array(event.pos, float) - start).max() <= STILL:
            clicked(position)

    return on_press


def pixel_at(session: Session, position: Sequence[float]) -> tuple[float, float]:
    """Return y, x in the image of a place in world coordinates."""
    axes = axes_of(session.image, session.channel_axis)
    place = np.asarray(session.image.world_to_data(np.asarray(position, float)))
    y, x = place[list(axes.spatial)]
    return float(y), float(x)


def row_at(session: Session, position: Sequence[float]) -> int | None:
    """Return the row of the cell at a place in world coordinates, None if bare.

    Raises
    ------
    InputError
        When the labels are lazy and cannot be read there.
    """
    reading, cells = session.reading, session.cells
    if reading is None or cells is None:
        return None
    if session.cells_layer == CROPS or isinstance(reading.source, CropStack):
        axes = axes_of(session.image, session.channel_axis)
        place = session.image.world_to_data(np.asarray(position, float))
        row = round(float(np.asarray(place)[axes.leading[0]]))
        return row if 0 <= row < len(cells) else None
    first = 0
    if reading.labels is not None:
        label = _label_at(session, position)
        if label:
            found = np.flatnonzero(reading.cells.label == label)
            return int(found[0]) if len(found) else None
        first = session.layer_cell_count
    return box_at(session, first, *pixel_at(session, position))


def _label_at(session: Session, position: Sequence[float]) -> int:
    assert session.reading is not None
    labels = session.reading.labels
    assert labels is not None
    axes = axes_of(session.cells_layer)
    place = session.cells_layer.world_to_data(np.asarray(position, float))
    y, x = np.rint(np.asarray(place, float)[list(axes.spatial)]).astype(int)
    if not (0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]):
        return 0
    try:
        return int(labels[y, x])
    except Exception as error:  # each decoder of chunks has errors of its own
        raise InputError(
            f"The labels cannot be read at {y}, {x} ({error}); repair or export them "
            "anew."
        ) from error


def box_at(session: Session, first: int, y: float, x: float) -> int | None:
    """Return the cell with the nearest centre among those whose box holds y, x."""
    assert session.cells is not None
    boxes = session.cells.bbox[first:]
    place = np.array([y, x]) + 0.5
    inside = (boxes[:, :2] <= place).all(axis=1) & (place < boxes[:, 2:]).all(axis=1)
    rows = np.flatnonzero(inside)
    if not len(rows):
        return None
    gaps = session.cells.centre[first:][rows] - (y, x)
    return first + int(rows[np.argmin((gaps**2).sum(axis=1))])
