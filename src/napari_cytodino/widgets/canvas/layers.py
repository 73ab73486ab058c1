"""Read pixels and cells from napari layers; the only file that does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.cells import (
    Cells,
    CropStack,
    cells_from_boxes,
    cells_from_crops,
    cells_from_labels,
    cells_from_points,
)
from napari_cytodino.common import InputError
from napari_cytodino.images import ImageSource
from napari_cytodino.widgets.canvas.transforms import (
    Axes,
    apply,
    axes_of,
    is_identity,
    level_shape,
    map_boxes,
    plane_of,
    yx_affine,
)
from napari_cytodino.widgets.session import CellsReading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt


CROPS = "crops"
"""The choice of cells that says: each plane of the image is one cell."""

KINDS = ("labels", "image", "points", "shapes")
"""Layers that can be an image or hold cells; napari's own Labels is an Image too."""

HELD = 8192**2
"""Lazy labels of up to so many pixels are read once; larger ones where they are needed,
so that memory does not grow with the image."""

CELL_SHARE = 0.4
"""Diameter of a cell around a point, as a share of the field of view."""


def unwrap(layer: Any) -> Any:
    """Return the layer behind the proxy that napari hands to plugins."""
    return getattr(layer, "__wrapped__", layer)


def layer_type(layer: Any) -> str:
    """Return 'image', 'labels', 'points', 'shapes', or another type in lower case."""
    names = [kind.__name__.lower() for kind in type(unwrap(layer)).__mro__]
    return next((name for name in names if name in KINDS), names[0])


@dataclass(frozen=True)
class SourceSpec:
    """What opens an image later, in the worker; a reference, no pixels."""

    data: Any
    channel_axis: int | None
    plane: tuple[int, ...]
    crops: bool = False

    def open(self) -> ImageSource | CropStack:
        """Return the pixels behind one door; may read a sample of them."""
        if self.crops:
            return CropStack(self.data, channel_axis=self.channel_axis)
        return ImageSource(self.data, channel_axis=self.channel_axis, plane=self.plane)


def may_hold_channels(layer: Any) -> tuple[int, ...]:
    """Return the displayed axes of a grey layer that could be its colour channels."""
    if layer_type(layer) != "image" or layer.rgb or layer.ndim < 3:
        return ()
    shape = level_shape(layer)
    return tuple(axis for axis, size in enumerate(shape) if size in (3, 4))


def may_be_crops(layer: Any) -> bool:
    """Say whether the planes of an image could be crops of one cell each."""
    return layer_type(layer) == "image" and not layer.multiscale and layer.ndim == 3


def source_spec(
    image: Any,
    point: Sequence[float],
    *,
    channel_axis: int | None = None,
    crops: bool = False,
) -> SourceSpec:
    """Return what opens the plane of an image layer that the viewer shows.

    Raises
    ------
    InputError
        When there is no image, or it has no such plane.
    """
    if image is None:
        raise InputError("No image is chosen; open a smear and choose it above.")
    axes = axes_of(image, channel_axis)
    if crops:
        if len(axes.leading) != 1:
            raise InputError(
                f"Image '{image.name}' of shape {level_shape(image)} is no stack of "
                "crops; (N, S, S) or (N, S, S, 3) is needed."
            )
        return SourceSpec(image.data, channel_axis, (), crops=True)
    plane = plane_of(image, axes, point)
    data = list(image.data) if image.multiscale else image.data
    return SourceSpec(data, axes.channel, plane)


def cells_reader(
    image: Any,
    cells: Any,
    point: Sequence[float],
    *,
    channel_axis: int | None = None,
) -> Callable[[int], CellsReading]:
    """Return a function of the crop's side that reads image and cells in a worker.

    Parameters
    ----------
    cells
        A Labels, Points or Shapes layer, or `CROPS`.
    point
        The viewer's place along all its axes, in world coordinates.

    Raises
    ------
    InputError
        When nothing is chosen, or the layers do not lie on each other.
    """
    if cells is None:
        raise InputError(
            "No cells are chosen; choose a Labels, Points or Shapes layer, or press "
            "'Find cells'."
        )
    spec = source_spec(
        image, point, channel_axis=channel_axis, crops=isinstance(cells, str)
    )
    if isinstance(cells, str):
        return lambda side: _read_crops(spec)
    axes, image_axes = axes_of(cells), axes_of(image, channel_axis)
    matrix = yx_affine(cells, axes, image, image_axes, point)
    plane = plane_of(cells, axes, point) if layer_type(cells) == "labels" else ()
    if layer_type(cells) == "labels":
        _check_placement(cells, axes, image, image_axes, matrix)
        data = cells.data[0] if cells.multiscale else cells.data
        return lambda side: _read_labels(spec, data, plane, matrix)
    at = np.asarray(cells.world_to_data(np.asarray(point, float)))
    if layer_type(cells) == "points":
        spots = _spots(np.asarray(cells.data, float), axes, at, matrix)
        return lambda side: _read_points(spec, spots, side)
    if layer_type(cells) == "shapes":
        boxes = _boxes([np.asarray(d, float) for d in cells.data], axes, at, matrix)
        return lambda side: _read_boxes(spec, boxes)
    raise InputError(
        f"Layer '{cells.name}' holds {layer_type(cells)}, not cells; choose a Labels, "
        "Points or Shapes layer."
    )


def bare_reader(
    image: Any, point: Sequence[float], *, channel_axis: int | None = None
) -> Callable[[int], CellsReading]:
    """Return a reader of an image without any cells, for clicks on bare spots."""
    spec = source_spec(image, point, channel_axis=channel_axis)
    none = Cells(
        np.zeros(0, np.int64),
        np.zeros((0, 2)),
        np.zeros((0, 4), np.int64),
        np.zeros(0),
        np.zeros(0, bool),
    )
    return lambda side: CellsReading(none, _open_image(spec))


def _check_placement(
    cells: Any,
    axes: Axes,
    image: Any,
    image_axes: Axes,
    matrix: npt.NDArray[np.float64],
) -> None:
    """Refuse labels that do not lie on the image, rather than cut wrong crops."""
    size = np.array(level_shape(cells))[list(axes.spatial)]
    wanted = np.array(level_shape(image))[list(image_axes.spatial)]
    placed = map_boxes(matrix, np.array([[0, 0, *size]]))[0]
    slack = max(1.0, float(np.abs(matrix[:, :2]).sum(axis=1).max()))
    fits = (placed[:2] >= -slack).all() and (placed[2:] <= wanted + slack).all()
    if is_identity(matrix):
        fits = bool((size == wanted).all())
    if not fits:
        raise InputError(
            f"Labels '{cells.name}' of {size[0]} x {size[1]} pixels do not lie on "
            f"image '{image.name}' of {wanted[0]} x {wanted[1]} pixels; give them the "
            "image's shape, or the scale and translate that put them on it."
        )


def _open_image(spec: SourceSpec) -> ImageSource:
    source = spec.open()
    assert isinstance(source, ImageSource)
    return source


def _read_crops(spec: SourceSpec) -> CellsReading:
    stack = spec.open()
    assert isinstance(stack, CropStack)
    side = min(stack.source(0).shape)
    return CellsReading(cells_from_crops(stack.count, side), stack)


def _read_labels(
    spec: SourceSpec,
    data: Any,
    plane: tuple[int, ...],
    matrix: npt.NDArray[np.float64],
) -> CellsReading:
    source = _open_image(spec)
    labels = label_plane(data, plane)
    if labels.size <= HELD:
        labels = np.asarray(labels)
    cells = cells_from_labels(labels)
    boxes = cells.bbox
    if not is_identity(matrix):
        cells = _moved(cells, matrix, source.shape)
    return CellsReading(cells, source, labels, boxes)


def label_plane(data: Any, plane: tuple[int, ...]) -> Any:
    """Return a plane of label data: as it is in memory, else as a lazy array.

    Parameters
    ----------
    data
        numpy, dask, zarr, xarray or anything that is read by slices.
    plane
        Index along each leading axis; empty where there is none.
    """
    if isinstance(data, np.ndarray):
        return np.asarray(data[plane])
    import dask.array as da

    # zarr and the like would read the whole plane when asked for it
    if not isinstance(data, da.Array):
        chunks = getattr(data, "chunks", None) or "auto"
        data = da.from_array(data, chunks=chunks, name=False)
    return data[plane]


def _moved(
    cells: Cells, matrix: npt.NDArray[np.float64], shape: tuple[int, int]
) -> Cells:
    """Bring cells from the pixels of the labels to those of the image."""
    boxes = map_boxes(matrix, cells.bbox)
    whole = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1)
    limit = np.tile(np.array(shape), 2)
    clipped = np.clip(whole.round(), 0, limit).astype(np.int64)
    touches = (clipped[:, :2] <= 0).any(axis=1) | (
        clipped[:, 2:] >= np.array(shape)
    ).any(axis=1)
    return replace(
        cells,
        centre=apply(matrix, cells.centre),
        bbox=clipped,
        area=cells.area * abs(float(np.linalg.det(matrix[:, :2]))),
        at_border=np.asarray(touches | cells.at_border),
    )


def _spots(
    data: npt.NDArray[np.float64],
    axes: Axes,
    at: npt.NDArray[Any],
    matrix: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return y, x of each point in the image; NaN for points of other planes."""
    spots = apply(matrix, data[:, list(axes.spatial)])
    spots[~_in_plane(data, axes, at)] = np.nan
    return spots


def _boxes(
    shapes: Sequence[npt.NDArray[np.float64]],
    axes: Axes,
    at: npt.NDArray[Any],
    matrix: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return the bounding box of each shape; NaN for shapes of other planes."""
    boxes = np.full((len(shapes), 4), np.nan)
    for row, corners in enumerate(shapes):
        if _in_plane(corners, axes, at).all():
            spots = apply(matrix, corners[:, list(axes.spatial)])
            boxes[row] = (*spots.min(axis=0) + 0.5, *spots.max(axis=0) + 0.5)
    return boxes


def _in_plane(
    data: npt.NDArray[np.float64], axes: Axes, at: npt.NDArray[Any]
) -> npt.NDArray[np.bool_]:
    leading = list(axes.leading)
    near: npt.NDArray[np.bool_] = np.abs(data[:, leading] - at[leading]) <= 0.5
    return np.asarray(near.all(axis=1))


def _read_points(
    spec: SourceSpec, spots: npt.NDArray[np.float64], side: int
) -> CellsReading:
    source = _open_image(spec)
    cells = cells_from_points(spots, source.shape, diameter=CELL_SHARE * side)
    return CellsReading(cells, source)


def _read_boxes(spec: SourceSpec, boxes: npt.NDArray[np.float64]) -> CellsReading:
    source = _open_image(spec)
    return CellsReading(cells_from_boxes(boxes, source.shape), source)
