"""Transforms between layers."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cytodino.common.errors import InputError
from napari_cytodino.widgets.canvas.transforms import (
    apply,
    axes_of,
    is_identity,
    map_boxes,
    micrometres_per_pixel,
    plane_of,
    yx_affine,
)


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def test_half_resolution_lands_on_the_image(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((40, 60, 3), np.uint8), scale=(0.5, 0.5))
    labels = viewer.add_labels(
        np.zeros((20, 30), int), scale=(1, 1), translate=(0.25, 0.25)
    )
    matrix = yx_affine(labels, axes_of(labels), image, axes_of(image), (0, 0))
    np.testing.assert_allclose(matrix, [[2, 0, 0.5], [0, 2, 0.5]])
    assert map_boxes(matrix, np.array([[1, 2, 3, 4]])).tolist() == [[2, 4, 6, 8]]
    assert apply(matrix, np.array([[1, 1]])).tolist() == [[2.5, 2.5]]
    assert not is_identity(matrix)


def test_rotation_is_followed(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((40, 60)))
    points = viewer.add_points(np.array([[3.0, 7.0]]), rotate=90)
    matrix = yx_affine(points, axes_of(points), image, axes_of(image), (0, 0))
    there = apply(matrix, points.data)[0]
    np.testing.assert_allclose(there, points.data_to_world((3.0, 7.0)), atol=1e-9)
    assert not np.allclose(there, [3, 7])


def test_plane_follows_the_slider(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((4, 8, 9)), scale=(2, 1, 1), translate=(10, 0, 0))
    viewer.dims.set_point(0, 14)
    assert plane_of(image, axes_of(image), viewer.dims.point) == (2,)
    with pytest.raises(InputError, match="no plane 7 on axis 0"):
        plane_of(image, axes_of(image), (24, 0, 0))


def test_channels_are_no_plane(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((3, 8, 9)))
    axes = axes_of(image, 0)
    assert axes.spatial == (1, 2)
    assert axes.leading == ()


def test_micrometres_only_where_the_layer_says_so(viewer: ViewerModel) -> None:
    plain = viewer.add_image(np.zeros((8, 9)), scale=(0.2, 0.2))
    assert micrometres_per_pixel(plain, axes_of(plain)) is None
    for unit, factor in (("um", 1), ("nm", 1e-3), ("mm", 1e3)):
        layer = viewer.add_image(np.zeros((8, 9)), scale=(0.2, 0.2), units=unit)
        assert micrometres_per_pixel(layer, axes_of(layer)) == pytest.approx(
            0.2 * factor
        )
        viewer.layers.remove(layer)
