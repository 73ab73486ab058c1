"""Where one layer's pixels lie on another's, and among the axes of the viewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


class PlanePlacement:
    """Where 2-D results lie in the viewer: the plane and the placement of a layer.

    Parameters
    ----------
    layer
        The layer whose pixels the results count in.
    point
        The viewer's place along all its axes.
    crops
        True when the first axis counts crops, so that results span it.
    """

    def __init__(
        self,
        layer: Any,
        point: Sequence[float],
        channel_axis: int | None = None,
        *,
        crops: bool = False,
    ) -> None:
        axes = axes_of(layer, channel_axis)
        self.crops = crops
        self.plane = () if crops else plane_of(layer, axes, point)
        keep = [*axes.leading, *axes.spatial]
        scale = np.asarray(layer.scale, float)[keep]
        translate = np.asarray(layer.translate, float)[keep]
        if self.plane:
            lead = len(self.plane)
            translate[:lead] += scale[:lead] * np.array(self.plane)
        self.placement: dict[str, Any] = {"scale": scale, "translate": translate}
        if axes.channel is None:
            self.placement |= {
                "rotate": np.asarray(layer.rotate),
                "shear": np.asarray(layer.shear),
                "affine": np.asarray(layer.affine.affine_matrix),
            }
        self.placement["units"] = [layer.units[a] for a in keep]

    def lift(self, plane: Any) -> Any:
        """Give a numpy or dask plane the layer's leading axes, of length one."""
        return plane[(None,) * len(self.plane)]

    def lift_points(
        self, spots: npt.NDArray[np.float64], rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Give spots y, x of these cells the leading coordinates of the layer."""
        if self.crops:
            return np.concatenate([rows[:, None].astype(float), spots], axis=1)
        lead = np.zeros((len(rows), len(self.plane)))
        return np.concatenate([lead, spots], axis=1)


MICROMETRES = {
    "micrometer": 1.0,
    "micron": 1.0,
    "nanometer": 1e-3,
    "millimeter": 1e3,
    "meter": 1e6,
}
"""Units of length that a layer may have, in micrometres."""


@dataclass(frozen=True)
class Axes:
    """Which axes of a layer's data are rows and columns, and which lead to a plane."""

    ndim: int
    channel: int | None = None

    @property
    def spatial(self) -> tuple[int, int]:
        """The axes y and x."""
        kept = [a for a in range(self.ndim) if a != self.channel]
        return kept[-2], kept[-1]

    @property
    def leading(self) -> tuple[int, ...]:
        """The axes of time and z."""
        kept = [a for a in range(self.ndim) if a != self.channel]
        return tuple(kept[:-2])


def axes_of(layer: Any, channel_axis: int | None = None) -> Axes:
    """Return the axes of a layer; `channel_axis` counts axes that napari displays."""
    rgb = bool(getattr(layer, "rgb", False))
    return Axes(int(layer.ndim), None if rgb else channel_axis)


def plane_of(layer: Any, axes: Axes, point: Sequence[float]) -> tuple[int, ...]:
    """Return the index along each leading axis of the plane the viewer shows.

    Raises
    ------
    InputError
        When the layer has no such plane.
    """
    position = np.asarray(layer.world_to_data(np.asarray(point, float)))
    shape = level_shape(layer)
    plane = []
    for axis in axes.leading:
        index = round(float(position[axis]))
        if not 0 <= index < shape[axis]:
            raise InputError(
                f"Layer '{layer.name}' has no plane {index} on axis {axis}, only 0 to "
                f"{shape[axis] - 1}; move the slider into it."
            )
        plane.append(index)
    return tuple(plane)


def level_shape(layer: Any) -> tuple[int, ...]:
    """Return the shape of the layer's data at its finest level."""
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return tuple(int(n) for n in data.shape)


def yx_affine(
    source: Any,
    source_axes: Axes,
    target: Any,
    target_axes: Axes,
    point: Sequence[float],
) -> npt.NDArray[np.float64]:
    """Return the (2, 3) matrix from y, x in one layer's data to those in another's."""
    full = np.asarray(point, float)
    base = np.asarray(source.world_to_data(full), float)
    ends = []
    for y, x in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        data = base.copy()
        data[list(source_axes.spatial)] = y, x
        world = full.copy()
        here = np.asarray(source.data_to_world(data), float)
        world[-len(here) :] = here[-len(world) :]
        there = np.asarray(target.world_to_data(world), float)
        ends.append(there[list(target_axes.spatial)])
    origin = ends[0]
    return np.stack([ends[1] - origin, ends[2] - origin, origin], axis=1)


def apply(
    matrix: npt.NDArray[np.float64], points: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Map points (N, 2) with a matrix of `yx_affine`."""
    points = np.asarray(points, float).reshape(-1, 2)
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def map_boxes(
    matrix: npt.NDArray[np.float64], boxes: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Map half-open pixel boxes (N, 4); pixel i covers i - 0.5 to i + 0.5."""
    edges = np.asarray(boxes, float).reshape(-1, 4) - 0.5
    corners = np.stack(
        [apply(matrix, edges[:, pick]) for pick in ([0, 1], [0, 3], [2, 1], [2, 3])]
    )
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)], axis=1) + 0.5


def is_identity(matrix: npt.NDArray[np.float64]) -> bool:
    """Say whether the two layers share their pixels."""
    return bool(np.allclose(matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-6))


def micrometres_per_pixel(layer: Any, axes: Axes) -> float | None:
    """Return the side of a pixel in micrometres; None when the layer does not say."""
    axis = axes.spatial[1]
    unit = MICROMETRES.get(str(layer.units[axis]))
    return None if unit is None else float(layer.scale[axis]) * unit
