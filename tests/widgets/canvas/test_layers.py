"""Reading images and cells from every kind of layer."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cytodino.cells.crops import CropStack
from napari_cytodino.common.errors import InputError
from napari_cytodino.images.source import ImageSource
from napari_cytodino.widgets.canvas import layers
from napari_cytodino.widgets.canvas.layers import (
    CROPS,
    bare_reader,
    cells_reader,
    label_plane,
    layer_type,
    may_be_crops,
    may_hold_channels,
    source_spec,
)

RGB = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
LABELS = np.zeros((40, 60), np.int64)
LABELS[5:15, 10:20] = 70_000
LABELS[20:30, 30:50] = 3


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def read(viewer: ViewerModel, image: Any, cells: Any, **options: Any) -> Any:
    return cells_reader(image, cells, viewer.dims.point, **options)(32)


def pixels(source: Any) -> np.ndarray:
    assert isinstance(source, ImageSource)
    return source.read(0, 0, *source.shape)


LAYOUTS = {
    "rgb": (RGB, {}),
    "rgba": (np.concatenate([RGB, RGB[..., :1]], axis=-1), {}),
    "dask": (da.from_array(RGB, chunks=(20, 20, 3)), {}),
    "multiscale": ([RGB, RGB[::2, ::2]], {"multiscale": True}),
    "uint16": (RGB.astype(np.uint16) * 257, {}),
    "float": (RGB / 255, {}),
    "scaled": (RGB, {"scale": (0.2, 0.2), "translate": (3, 4)}),
    "grey": (RGB[..., 0], {"rgb": False}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read(viewer: ViewerModel, layout: str) -> None:
    data, options = LAYOUTS[layout]
    image = viewer.add_image(data, **options)
    place = {k: v for k, v in options.items() if k in ("scale", "translate")}
    reading = read(viewer, image, viewer.add_labels(LABELS, **place))
    assert reading.cells.label.tolist() == [3, 70_000]
    assert reading.cells.bbox.tolist() == [[20, 30, 30, 50], [5, 10, 15, 20]]
    got = pixels(reading.source).astype(int)
    wanted = RGB if layout != "grey" else np.repeat(RGB[..., :1], 3, axis=-1)
    assert np.abs(got - wanted).max() <= 2


def test_channel_first_is_asked_for(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.moveaxis(RGB, -1, 0), rgb=False)
    assert may_hold_channels(image) == (0,)
    labels = viewer.add_labels(LABELS)
    reading = read(viewer, image, labels, channel_axis=0)
    np.testing.assert_array_equal(pixels(reading.source), RGB)
    grey = read(viewer, image, labels)
    assert not grey.source.colour


def test_one_plane_of_a_stack(viewer: ViewerModel) -> None:
    stack = np.stack([RGB, RGB // 2, RGB // 3])
    image = viewer.add_image(stack)
    deep = np.stack([LABELS, LABELS * 0 + 5, LABELS])
    labels = viewer.add_labels(deep)
    viewer.dims.set_point(0, 1)
    reading = read(viewer, image, labels)
    np.testing.assert_array_equal(pixels(reading.source), RGB // 2)
    assert reading.cells.label.tolist() == [5]
    flat = read(viewer, image, viewer.add_labels(LABELS))
    assert flat.cells.label.tolist() == [3, 70_000]


class OnDisk:
    """An array that is read by slices, as zarr is, and counts what was read."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.read = array, 0
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.chunks = tuple(min(n, 16) for n in array.shape)

    def __getitem__(self, place: Any) -> np.ndarray:
        part = self.array[place]
        self.read += part.size
        return part


@pytest.mark.parametrize("plane", [(), (1,)])
def test_lazy_labels_are_held_up_to_a_limit(
    viewer: ViewerModel, plane: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = np.stack([LABELS * 0, LABELS]) if plane else LABELS
    stored = OnDisk(whole)
    image = viewer.add_image(RGB)
    labels = viewer.add_labels(da.from_array(whole, chunks=stored.chunks))
    if plane:
        viewer.dims.set_point(0, 1)
    held = read(viewer, image, labels)
    assert isinstance(held.labels, np.ndarray)
    monkeypatch.setattr(layers, "HELD", LABELS.size - 1)
    lazy = read(viewer, image, labels)
    assert isinstance(lazy.labels, da.Array)
    assert lazy.labels.shape == LABELS.shape
    np.testing.assert_array_equal(lazy.labels, LABELS)
    assert lazy.cells.label.tolist() == held.cells.label.tolist()
    assert lazy.cells.bbox.tolist() == held.cells.bbox.tolist()


@pytest.mark.parametrize("plane", [(), (1,)])
def test_a_plane_of_stored_labels_is_read_part_by_part(plane: tuple[int, ...]) -> None:
    whole = np.stack([LABELS * 0, LABELS]) if plane else LABELS
    stored = OnDisk(whole)
    lazy = label_plane(stored, plane)
    assert stored.read == 0
    np.testing.assert_array_equal(np.asarray(lazy[:10, :10]), LABELS[:10, :10])
    assert 0 < stored.read <= 2 * 16**2


def test_labels_of_another_scale(viewer: ViewerModel) -> None:
    image = viewer.add_image(RGB)
    half = viewer.add_labels(LABELS[::2, ::2], scale=(2, 2), translate=(0.5, 0.5))
    reading = read(viewer, image, half)
    assert reading.cells.bbox.tolist() == [[20, 30, 30, 50], [6, 10, 16, 20]]
    assert reading.cells.area[0] == 200
    assert reading.label_boxes.tolist()[0] == [10, 15, 15, 25]


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((30, 30), {}),
        ((40, 60), {"scale": (2, 2)}),
        ((40, 60), {"translate": (100, 0)}),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    viewer: ViewerModel, shape: tuple[int, int], options: dict[str, Any]
) -> None:
    image = viewer.add_image(RGB, name="smear")
    labels = viewer.add_labels(np.ones(shape, int), name="nuclei", **options)
    with pytest.raises(InputError, match=r"'nuclei' of .* do not lie on image 'smear'"):
        read(viewer, image, labels)


def test_empty_labels_are_refused(viewer: ViewerModel) -> None:
    image = viewer.add_image(RGB)
    with pytest.raises(InputError, match="holds no cell"):
        read(viewer, image, viewer.add_labels(LABELS * 0))


def test_points_and_boxes_in_image_pixels(viewer: ViewerModel) -> None:
    image = viewer.add_image(RGB, scale=(0.5, 0.5))
    points = viewer.add_points(np.array([[5.0, 10.0], [99.0, 99.0]]))
    reading = read(viewer, image, points)
    assert reading.cells.centre.tolist() == [[10, 20]]
    assert reading.cells.label.tolist() == [1]
    assert "point 2" in reading.cells.left_out[0]
    boxes = viewer.add_shapes([np.array([[2, 3], [2, 8], [6, 8], [6, 3.0]])])
    reading = read(viewer, image, boxes)
    assert reading.cells.bbox.tolist() == [[4, 6, 13, 17]]


def test_points_of_other_planes_are_left_out(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.stack([RGB, RGB]))
    points = viewer.add_points(np.array([[0, 5.0, 10.0], [1, 20, 20]]))
    viewer.dims.set_point(0, 1)
    assert read(viewer, image, points).cells.label.tolist() == [2]


def test_a_stack_of_crops(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.stack([RGB[:40, :40]] * 5))
    assert may_be_crops(image)
    reading = read(viewer, image, CROPS)
    assert isinstance(reading.source, CropStack)
    assert len(reading.cells) == 5
    flat = viewer.add_image(RGB, name="smear")
    assert not may_be_crops(flat)
    with pytest.raises(InputError, match=r"'smear' .* is no stack"):
        read(viewer, flat, CROPS)


def test_missing_choices_are_named(viewer: ViewerModel) -> None:
    image = viewer.add_image(RGB)
    with pytest.raises(InputError, match="No image"):
        source_spec(None, (0, 0))
    with pytest.raises(InputError, match="No cells"):
        cells_reader(image, None, (0, 0))
    with pytest.raises(InputError, match="holds image"):
        cells_reader(image, image, (0, 0))


def test_an_image_without_cells(viewer: ViewerModel) -> None:
    image = viewer.add_image(RGB)
    reading = bare_reader(image, (0, 0))(32)
    assert len(reading.cells) == 0
    assert reading.source.shape == (40, 60)


def test_kinds(viewer: ViewerModel) -> None:
    assert layer_type(viewer.add_image(RGB)) == "image"
    assert layer_type(viewer.add_labels(LABELS)) == "labels"
    assert layer_type(viewer.add_points()) == "points"
    assert layer_type(viewer.add_shapes()) == "shapes"
    assert layer_type(None) == "nonetype"
