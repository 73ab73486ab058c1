"""Mend found cells by hand: add, split, merge or remove one, each to be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from psygnal import Signal

from napari_cytodino.cells import CropStack
from napari_cytodino.common import CytoDinoError, InputError
from napari_cytodino.widgets.canvas import axes_of, source_spec, transforms, unwrap
from napari_cytodino.widgets.controls import notices

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from napari_cytodino.widgets.session import Session

Edit: TypeAlias = "tuple[npt.NDArray[np.bool_], int]"
"""Where in the plane another label comes, and which."""

TOOLS = {
    "add": "Click on a cell that was missed.",
    "split": "Draw a line through a label that covers two cells.",
    "merge": "Draw from one part of a cell to the other.",
    "remove": "Click on a label that is no cell.",
}
"""What a user does with each tool."""

NO_LABELS = (
    "Choose cells in a Labels layer that is held in memory, or find cells first."
)

NOTHING = {
    "add": "There is a cell already; remove it to have it outlined anew.",
    "split": "The line divides no cell; draw it through one.",
    "merge": "These are not two cells; begin on one and end on another.",
    "remove": "There is no cell.",
}
"""What a user reads where a tool has nothing to do."""


class Host(Protocol):
    """What edits need of the controller above them."""

    viewer: Any
    session: Session

    def point(self) -> tuple[float, ...]:
        """Return the viewer's place along all its axes, in world coordinates."""

    def typical_diameter(self) -> float:
        """Return the diameter of a typical cell in pixels."""


class CellEdits:
    """One tool at a time; what it does to the Labels layer napari's undo takes back."""

    changed = Signal()
    """Another tool, or none, is in hand."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.tool = ""
        host.viewer.mouse_drag_callbacks.append(self._drag)

    def close(self) -> None:
        """Let go of the viewer."""
        self.tool = ""
        callbacks = self._host.viewer.mouse_drag_callbacks
        if self._drag in callbacks:
            callbacks.remove(self._drag)

    def take(self, tool: str) -> None:
        """Take a tool of `TOOLS` in hand; an empty name puts it away."""
        layer = self._layer() if tool else None
        if tool and layer is None:
            notices.info(NO_LABELS)
            tool = ""
        if layer is not None:
            # a brush would paint as well, and Ctrl+Z is for the active layer
            layer.mode = "pan_zoom"
            self._host.viewer.layers.selection.active = layer
        self.tool = tool
        self.changed.emit()

    def undo(self) -> None:
        """Take back the last change of the Labels layer."""
        layer = self._layer()
        if layer is None:
            notices.info(NO_LABELS)
            return
        layer.undo()
        # napari is silent about it, but results no longer fit
        layer.events.data(value=layer.data)

    def apply(self, start: npt.NDArray[Any], end: npt.NDArray[Any]) -> None:
        """Use the tool from one place to another, in world coordinates."""
        layer = self._layer()
        if layer is None:
            self.take(self.tool)
            return
        ends = [np.rint(np.asarray(layer.world_to_data(p))[-2:]) for p in (start, end)]
        first, last = (p.astype(int) for p in ends)
        try:
            lead = transforms.plane_of(layer, axes_of(layer), self._host.point())
            mask, value = getattr(self, f"_{self.tool}")(layer, lead, first, last)
        except CytoDinoError as error:
            notices.error(error)
            return
        if not mask.any():
            notices.info(NOTHING[self.tool])
            return
        spots = np.nonzero(mask)
        places = (*(np.full(len(spots[0]), i) for i in lead), *spots)
        layer.data_setitem(places, np.full(len(spots[0]), value, layer.data.dtype))

    def _layer(self) -> Any:
        """Return the chosen Labels layer where it can be edited, else None."""
        layer = unwrap(self._host.session.cells_layer)
        data = getattr(layer, "data", None)
        if not isinstance(data, np.ndarray) or not hasattr(layer, "data_setitem"):
            return None
        return layer if layer in self._host.viewer.layers else None

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        mode = str(getattr(viewer.layers.selection.active, "mode", "pan_zoom"))
        if not self.tool or event.button != 1 or event.modifiers or mode != "pan_zoom":
            return
        start = np.asarray(event.position, float)
        camera = self._host.viewer.scene.camera
        # a line is drawn, not the picture moved
        pan, camera.mouse_pan = camera.mouse_pan, False
        try:
            yield
            while event.type == "mouse_move":
                yield
        finally:
            camera.mouse_pan = pan
        if self.tool:
            self.apply(start, np.asarray(event.position, float))

    def _add(self, layer: Any, lead: Any, at: Any, _: Any) -> Edit:
        from napari_cytodino.finding import cell_at

        host, plane = self._host, layer.data[lead]
        image, axis = host.session.image, host.session.channel_axis
        source = source_spec(image, host.point(), channel_axis=axis).open()
        assert not isinstance(source, CropStack)
        ours, axes = axes_of(layer), axes_of(image, axis)
        to_image = transforms.yx_affine(layer, ours, image, axes, host.point())
        y, x = np.rint(transforms.apply(to_image, at)[0])
        found = cell_at(source, float(y), float(x), host.typical_diameter())
        to_labels = transforms.yx_affine(image, axes, layer, ours, host.point())
        box = transforms.map_boxes(to_labels, np.array(found.bbox))[0]
        low = np.maximum(0, np.floor(box[:2])).astype(int)
        high = np.minimum(plane.shape, np.ceil(box[2:])).astype(int)
        mask = np.zeros(plane.shape, np.bool_)
        part = mask[low[0] : high[0], low[1] : high[1]]
        spots = np.argwhere(np.ones(part.shape, np.bool_)) + low
        spots = np.rint(transforms.apply(to_image, spots)).astype(int) - found.bbox[:2]
        inside = ((spots >= 0) & (spots < found.mask.shape)).all(1)
        part.flat[inside] = found.mask[tuple(spots[inside].T)]
        free = mask & (plane == 0)
        seen = _label(plane, at) or 2 * free.sum() <= mask.sum()
        return free & (not seen), _new_label(layer.data)

    def _remove(self, layer: Any, lead: Any, at: Any, _: Any) -> Edit:
        plane = layer.data[lead]
        label = _label(plane, at)
        return (plane == label) & bool(label), 0

    def _merge(self, layer: Any, lead: Any, at: Any, to: Any) -> Edit:
        plane = layer.data[lead]
        here, there = _label(plane, at), _label(plane, to)
        two = bool(here and there and here != there)
        return (plane == there) & two, here

    def _split(self, layer: Any, lead: Any, at: Any, to: Any) -> Edit:
        plane, along = layer.data[lead], to - at
        count = int(np.abs(along).max()) + 1
        steps = np.rint(at + along * np.linspace(0, 1, count)[:, None]).astype(int)
        labels = [_label(plane, place) for place in steps]
        crossed = max(set(labels) - {0}, key=labels.count, default=0)
        own = (plane == crossed) & bool(crossed)
        y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
        other = own & (along[0] * (x - at[1]) - along[1] * (y - at[0]) > 0)
        parted = other.any() and (own & ~other).any()
        return other & parted, _new_label(layer.data)


def _label(plane: Any, at: Any) -> int:
    inside = (at >= 0).all() and (at < plane.shape).all()
    return int(plane[tuple(at)]) if inside else 0


def _new_label(data: npt.NDArray[Any]) -> int:
    """Return a label that is free in the whole layer."""
    last, most = int(data.max()), np.iinfo(data.dtype).max
    if last == most:
        raise InputError(
            f"Labels of type {data.dtype} end at {most}, which is taken; convert the "
            "Labels layer to int32 (its context menu)."
        )
    return last + 1
