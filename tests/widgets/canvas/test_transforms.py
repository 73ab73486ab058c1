"""Frames: the plane and the placement of results."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel

from napari_cytodino.widgets.canvas.transforms import PlanePlacement


def test_a_plane_lies_where_its_layer_lies() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(
        np.zeros((5, 8, 9)), scale=(3, 0.5, 0.5), translate=(1, 2, 3)
    )
    frame = PlanePlacement(layer, (7, 0, 0))
    assert frame.plane == (2,)
    own = viewer.add_labels(frame.lift(np.ones((8, 9), np.uint8)), **frame.placement)
    for y, x in ((0, 0), (3, 4)):
        assert own.data_to_world((0, y, x)) == layer.data_to_world((2, y, x))
    spots = frame.lift_points(np.array([[3.0, 4.0]]), np.array([0]))
    assert spots.tolist() == [[0, 3, 4]]


def test_channels_are_left_out() -> None:
    layer = ViewerModel().add_image(np.zeros((3, 8, 9)), scale=(1, 2, 2))
    frame = PlanePlacement(layer, (0, 0, 0), 0)
    assert frame.plane == ()
    assert frame.placement["scale"].tolist() == [2, 2]


def test_crops_span_their_axis() -> None:
    layer = ViewerModel().add_image(np.zeros((4, 8, 8)))
    frame = PlanePlacement(layer, (0, 0, 0), crops=True)
    spots = frame.lift_points(np.full((2, 2), 3.5), np.array([1, 3]))
    assert spots[:, 0].tolist() == [1, 3]
