"""The circle over one cell: its size counts in pixels of the image, wherever it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_cytodino.widgets.canvas.cell_circle import CIRCLE, LINE, CellCircle
from napari_cytodino.widgets.canvas.transforms import PlanePlacement

SHAPE = (200, 300)


class Scene:
    """A viewer with an image, a circle, and what the circle says."""

    def __init__(self, lead: tuple[int, ...] = (), **place: Any) -> None:
        self.viewer = ViewerModel()
        pixels = np.zeros((*lead, *SHAPE, 3), np.uint8)
        self.image = self.viewer.add_image(pixels, **place)
        self.circle = CellCircle(self.viewer)
        self.said: list[float] = []
        self.circle.resized.connect(self.said.append)

    @property
    def layer(self) -> Any:
        return self.viewer.layers[CIRCLE]

    @property
    def corners(self) -> Any:
        return np.asarray(self.layer.data[0])[:, -2:]

    def show(self, diameter: float = 40.0) -> None:
        point = self.viewer.dims.point
        self.circle.show(PlanePlacement(self.image, point), diameter)

    def drag(self, start: Any, end: Any) -> None:
        """Drag from one place to another, in pixels of the circle's layer."""
        # as on a canvas that is zoomed in: handles are small
        self.layer.scale_factor = 0.01
        lead = np.asarray(self.layer.data[0])[0, :-2]
        first, last = (self.layer.data_to_world([*lead, *at]) for at in (start, end))
        for kind, run, at in (
            ("mouse_press", mouse_press_callbacks, first),
            ("mouse_move", mouse_move_callbacks, (np.add(first, last)) / 2),
            ("mouse_move", mouse_move_callbacks, last),
            ("mouse_release", mouse_release_callbacks, last),
        ):
            event = SimpleNamespace(
                type=kind, position=at, modifiers=(), button=1, is_dragging=True
            )
            run(self.layer, ReadOnlyWrapper(event))


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from([(), (3,)]),
    st.sampled_from([0.05, 1.0, 2.5]),
    st.integers(-50, 50),
    st.integers(20, 90),
    st.integers(-10, 40),
)
def test_a_dragged_corner_tells_the_diameter_in_pixels(
    lead: tuple[int, ...], scale: float, shift: int, diameter: int, more: int
) -> None:
    scene = Scene(lead, scale=(scale,) * (2 + len(lead)), translate=(shift,) * 2)
    scene.viewer.scene.camera.center = (0.0, shift + 90 * scale, shift + 150 * scale)
    scene.show(diameter)
    np.testing.assert_allclose(scene.corners.mean(0), (90, 150), atol=1e-3)
    np.testing.assert_allclose(np.ptp(scene.corners, axis=0), diameter, atol=1e-3)
    low, high = scene.corners.min(0), scene.corners.max(0)
    scene.drag(high, high + more)
    assert bool(scene.said) is (more != 0)
    last = scene.said[-1] if scene.said else diameter
    assert last == pytest.approx(diameter + more, abs=0.01)
    np.testing.assert_allclose(scene.corners.min(0), low, atol=1e-2)


@pytest.mark.parametrize("turned", [{"rotate": 30}, {"scale": (-1, 1)}])
def test_a_turned_image_changes_no_size(turned: dict[str, Any]) -> None:
    scene = Scene(**turned)
    place = scene.image.data_to_world((70, 120))
    scene.viewer.scene.camera.center = (0.0, *place)
    scene.show(50)
    np.testing.assert_allclose(scene.corners.mean(0), (70, 120), atol=1e-3)
    with scene.layer.events.set_data.blocker():
        scene.layer._data_view.rotate(0, 30, center=(70, 120))
    scene.layer._data_view.scale(0, 1.2, center=(70, 120))
    scene.layer.refresh()
    assert scene.said == [pytest.approx(60, abs=0.01)]


def test_it_lies_in_the_plane_that_is_shown() -> None:
    scene = Scene((4,))
    scene.viewer.dims.set_point(0, 2)
    scene.show()
    assert scene.layer.data_to_world(scene.layer.data[0][0])[0] == 2
    assert scene.viewer.dims.point[0] == 2


def test_moving_it_or_turning_the_page_says_nothing() -> None:
    scene = Scene((4,))
    scene.show(40)
    before = scene.corners.mean(0)
    start = before + np.array([3, 1])
    scene.drag(start, start + 30)
    np.testing.assert_allclose(scene.corners.mean(0), before + 30, atol=1e-2)
    scene.viewer.dims.set_point(0, 1)
    scene.layer.refresh()
    assert scene.said == []


def test_a_new_size_is_taken_in_place_and_not_told() -> None:
    scene = Scene()
    scene.show(40)
    middle = scene.corners.mean(0)
    scene.circle.resize(90)
    np.testing.assert_allclose(scene.corners.mean(0), middle, atol=1e-3)
    np.testing.assert_allclose(np.ptp(scene.corners, axis=0), 90, atol=1e-3)
    assert scene.layer.shape_type == ["ellipse"]
    assert scene.layer.edge_width == [pytest.approx(LINE * 90)]
    assert scene.said == []
    scene.drag(scene.corners.max(0), scene.corners.max(0) + 10)
    assert scene.said[-1] == pytest.approx(100, abs=0.01)


def test_hidden_it_leaves_all_as_it_was() -> None:
    scene = Scene(scale=(0.5, 0.5))
    labels = scene.viewer.add_labels(np.ones(SHAPE, int), scale=(0.5, 0.5))
    labels.mode = "paint"
    view = scene.viewer.scene.camera.center, scene.viewer.scene.camera.zoom
    scene.show()
    assert scene.circle.shown
    assert scene.viewer.layers.selection.active is scene.layer
    assert scene.layer.mode == "select"
    scene.circle.hide()
    scene.circle.hide()
    assert not scene.circle.shown
    assert list(scene.viewer.layers) == [scene.image, labels]
    assert scene.viewer.layers.selection.active is labels
    assert labels.mode == "paint"
    assert labels.data.all()
    assert view == (scene.viewer.scene.camera.center, scene.viewer.scene.camera.zoom)


def test_the_layer_chosen_meanwhile_stays_chosen() -> None:
    scene = Scene()
    points = scene.viewer.add_points()
    scene.show()
    scene.viewer.layers.selection.active = scene.image
    scene.circle.hide()
    assert scene.viewer.layers.selection.active is scene.image
    assert points in scene.viewer.layers


def test_a_deleted_circle_or_layer_is_drawn_anew() -> None:
    scene = Scene()
    scene.show()
    scene.layer.remove_selected()
    scene.circle.resize(30)
    scene.show(50)
    assert [layer.name for layer in scene.viewer.layers].count(CIRCLE) == 1
    scene.viewer.layers.remove(scene.layer)
    assert not scene.circle.shown
    scene.circle.resize(30)
    scene.show(60)
    np.testing.assert_allclose(np.ptp(scene.corners, axis=0), 60, atol=1e-3)
    assert scene.said == []
