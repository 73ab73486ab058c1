"""Layers that appear, go and change."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cytodino.widgets.canvas.layer_watch import LayerWatch


@pytest.fixture
def viewer() -> ViewerModel:
    made = ViewerModel()
    made.add_labels(np.zeros((8, 8), int), name="before")
    return made


def test_changes_of_data_and_place_are_heard(viewer: ViewerModel) -> None:
    changed, removed, listed = [], [], []
    watch = LayerWatch(viewer, changed.append, removed.append)
    watch.listed.connect(lambda: listed.append(1))
    points = viewer.add_points(np.zeros((2, 2)))
    assert listed
    labels = viewer.layers["before"]
    labels.data_setitem((np.array([1]), np.array([1])), 3)
    points.scale = (2, 2)
    assert labels in changed
    assert points in changed
    changed.clear()
    labels.features = {"index": [1]}
    labels.opacity = 0.3
    assert changed == []
    viewer.layers.remove(points)
    assert removed == [points]


def test_topmost_first_and_by_kind(viewer: ViewerModel) -> None:
    watch = LayerWatch(viewer, print, print)
    image = viewer.add_image(np.zeros((8, 8)))
    top = viewer.add_labels(np.zeros((8, 8), int))
    assert watch.layers("labels") == [top, viewer.layers["before"]]
    assert watch.layers("image") == [image]


def test_nothing_is_heard_after_closing(viewer: ViewerModel) -> None:
    changed: list[object] = []
    watch = LayerWatch(viewer, changed.append, changed.append)
    watch.close()
    viewer.layers["before"].data = np.ones((8, 8), int)
    viewer.layers.clear()
    assert changed == []
