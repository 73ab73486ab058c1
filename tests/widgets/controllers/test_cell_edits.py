"""Tools on a small Labels layer; undo takes each back, misuse changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_cytodino.widgets.controllers.cell_edits import (
    NO_LABELS,
    NOTHING,
    TOOLS,
    CellEdits,
)
from napari_cytodino.widgets.session.session import Session


@dataclass
class Hand:
    """A user with a mouse, on a viewer whose session has no dock."""

    viewer: Any = field(default_factory=ViewerModel)
    session: Session = field(default_factory=Session)

    def __post_init__(self) -> None:
        self.edits = CellEdits(self)

    def point(self) -> tuple[float, ...]:
        return tuple(self.viewer.dims.point)

    def typical_diameter(self) -> float:
        return 90.0

    def have(self, labels: Any, **place: Any) -> Any:
        layer = self.viewer.add_labels(labels, **place)
        self.session.choose(cells_layer=layer)
        return layer

    def use(self, tool: str, start: Any, end: Any = None, **event: Any) -> None:
        """Take a tool and drag it, or click with it, in world coordinates."""
        self.edits.take(tool)
        drag(self.viewer, start, start if end is None else end, **event)


def drag(viewer: Any, start: Any, end: Any, **more: Any) -> None:
    for kind, run, at in (
        ("mouse_press", mouse_press_callbacks, start),
        ("mouse_move", mouse_move_callbacks, end),
        ("mouse_release", mouse_release_callbacks, end),
    ):
        plain = {"button": 1, "modifiers": (), "pos": (9, 9), "is_dragging": True}
        plain |= {"view_direction": None, "dims_displayed": [0, 1]}
        event = SimpleNamespace(**plain | {"type": kind, "position": tuple(at)} | more)
        wrapped = ReadOnlyWrapper(event, exceptions=("handled",))
        run(viewer, wrapped)
        if viewer.layers.selection.active is not None:
            run(viewer.layers.selection.active, wrapped)


def two_cells() -> Any:
    """Return labels 3 and 7: squares of 20 pixels, ten apart."""
    labels = np.zeros((60, 90), np.int32)
    labels[20:40, 10:30], labels[20:40, 40:60] = 3, 7
    return labels


@pytest.fixture
def hand() -> Hand:
    return Hand()


def test_remove(hand: Hand, told: list[str]) -> None:
    layer = hand.have(two_cells())
    hand.use("remove", (25, 15))
    np.testing.assert_array_equal(layer.data, np.where(two_cells() == 7, 7, 0))
    layer.undo()
    np.testing.assert_array_equal(layer.data, two_cells())
    assert told == []


def test_merge(hand: Hand, told: list[str]) -> None:
    layer = hand.have(two_cells())
    hand.use("merge", (25, 45), (25, 15))
    np.testing.assert_array_equal(layer.data, 7 * (two_cells() > 0))
    layer.undo()
    np.testing.assert_array_equal(layer.data, two_cells())
    assert told == []


def test_split(hand: Hand, told: list[str]) -> None:
    layer = hand.have(two_cells())
    hand.use("split", (10, 15), (50, 15))
    parts = np.unique(layer.data)
    assert parts.tolist() == [0, 3, 7, 8]
    np.testing.assert_array_equal(layer.data > 0, two_cells() > 0)
    left = layer.data[25, 10], layer.data[25, 29]
    assert set(left) == {3, 8}
    assert (layer.data[20:40, 40:60] == 7).all()
    hand.edits.undo()
    np.testing.assert_array_equal(layer.data, two_cells())
    assert told == []


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["split", "merge", "remove"]),
            st.tuples(st.integers(-5, 65), st.integers(-5, 95)),
            st.tuples(st.integers(-5, 65), st.integers(-5, 95)),
        ),
        max_size=6,
    )
)
def test_whatever_is_done_cells_are_only_relabelled_and_undo_leads_back(
    told: list[str], actions: list[Any]
) -> None:
    hand = Hand()
    layer = hand.have(two_cells())
    history = [layer.data.copy()]
    for tool, start, end in actions:
        told.clear()
        hand.use(tool, start, end)
        if told:
            assert told == [NOTHING[tool]]
            np.testing.assert_array_equal(layer.data, history[-1])
        else:
            assert (layer.data != history[-1]).any()
            assert not ((layer.data > 0) & (history[0] == 0)).any()
            history.append(layer.data.copy())
    for before in reversed(history[:-1]):
        layer.undo()
        np.testing.assert_array_equal(layer.data, before)


@pytest.mark.parametrize("factor", [1, 2])
def test_add_outlines_the_cell_under_the_click(
    hand: Hand, smear: Any, told: list[str], factor: int
) -> None:
    """Labels may be coarser than the image."""
    image = hand.viewer.add_image(smear.image, scale=(0.5, 0.5))
    hand.session.choose(image=image)
    coarse = smear.labels[::factor, ::factor].copy()
    truth = coarse == 2
    coarse[truth] = 0
    layer = hand.have(coarse.copy(), scale=(factor / 2, factor / 2))
    spot = np.argwhere(truth).mean(0).round()
    hand.use("add", layer.data_to_world(spot))
    assert told == []
    new = layer.data == 7
    assert new[tuple(spot.astype(int))]
    assert (new & truth).sum() > 0.4 * (new | truth).sum()
    np.testing.assert_array_equal(layer.data[~new], coarse[~new])
    hand.use("add", layer.data_to_world(spot))
    assert told == [NOTHING["add"]], "a cell that is there gets no second outline"
    layer.undo()
    np.testing.assert_array_equal(layer.data, coarse)


def test_the_plane_that_is_shown_is_edited(hand: Hand, told: list[str]) -> None:
    layer = hand.have(np.stack([two_cells()] * 3), scale=(1, 2, 2), translate=(0, 5, 5))
    hand.viewer.dims.set_point(0, 1)
    hand.use("remove", layer.data_to_world((1, 25, 15)))
    assert [bool((plane == 3).any()) for plane in layer.data] == [True, False, True]
    hand.use("split", *(layer.data_to_world((1, y, 50)) for y in (10, 50)))
    assert [len(np.unique(plane)) for plane in layer.data] == [3, 3, 3]
    assert layer.data[1].max() == 8
    assert told == []


@pytest.mark.parametrize("tool", TOOLS)
def test_where_there_is_nothing_nothing_happens(
    hand: Hand, told: list[str], smear: Any, tool: str
) -> None:
    image = hand.viewer.add_image(smear.image[:60, :90])
    hand.session.choose(image=image)
    layer = hand.have(two_cells())
    for start, end in (((-9, -9), (-9, -5)), ((500, 5), (500, 9))):
        told.clear()
        hand.use(tool, start, end)
        assert len(told) == 1
        np.testing.assert_array_equal(layer.data, two_cells())


@pytest.mark.parametrize(
    ("tool", "start", "end"),
    [
        ("remove", (5, 5), (5, 5)),
        ("merge", (25, 15), (25, 20)),
        ("merge", (25, 15), (5, 5)),
        ("merge", (5, 5), (25, 15)),
        ("split", (25, 15), (25, 15)),
        ("split", (5, 5), (5, 80)),
        ("add", (25, 15), (25, 15)),
    ],
)
def test_misuse_is_said_in_a_sentence(
    hand: Hand, told: list[str], smear: Any, tool: str, start: Any, end: Any
) -> None:
    hand.session.choose(image=hand.viewer.add_image(smear.image[:60, :90]))
    layer = hand.have(two_cells())
    hand.use(tool, start, end)
    assert told == [NOTHING[tool]]
    np.testing.assert_array_equal(layer.data, two_cells())


@pytest.mark.parametrize("kind", ["none", "lazy", "points", "removed"])
def test_without_labels_in_memory_no_tool_is_taken(
    hand: Hand, told: list[str], kind: str
) -> None:
    if kind == "lazy":
        hand.have(da.from_array(two_cells()))
    elif kind == "points":
        hand.session.choose(cells_layer=hand.viewer.add_points([[1, 1]]))
    elif kind == "removed":
        hand.viewer.layers.remove(hand.have(two_cells()))
    for tool in TOOLS:
        told.clear()
        hand.use(tool, (25, 15))
        assert told == [NO_LABELS]
        assert hand.edits.tool == ""
    hand.edits.undo()
    assert told == [NO_LABELS] * 2


def test_labels_that_go_take_the_tool_with_them(hand: Hand, told: list[str]) -> None:
    layer = hand.have(two_cells())
    hand.edits.take("remove")
    hand.session.choose(cells_layer=None)
    drag(hand.viewer, (25, 15), (25, 15))
    assert told == [NO_LABELS]
    assert hand.edits.tool == ""
    np.testing.assert_array_equal(layer.data, two_cells())


def test_without_an_image_nothing_is_added(hand: Hand, told: list[str]) -> None:
    layer = hand.have(two_cells())
    hand.use("add", (5, 5))
    assert "No image is chosen" in told[0]
    np.testing.assert_array_equal(layer.data, two_cells())


def test_labels_that_are_used_up(hand: Hand, told: list[str]) -> None:
    layer = hand.have((two_cells() // 3 * 100 + 55 * (two_cells() == 7)).astype("u1"))
    before = layer.data.copy()
    assert before.max() == 255
    hand.use("split", (10, 15), (50, 15))
    assert "int32" in told[0]
    np.testing.assert_array_equal(layer.data, before)


def test_a_tool_neither_paints_nor_moves_the_view(hand: Hand) -> None:
    other = hand.viewer.add_labels(np.zeros((60, 90), int))
    layer = hand.have(two_cells())
    layer.mode = "paint"
    hand.viewer.layers.selection.active = other
    camera = hand.viewer.scene.camera
    hand.use("split", (10, 15), (50, 15))
    assert hand.viewer.layers.selection.active is layer
    np.testing.assert_array_equal(layer.data > 0, two_cells() > 0)
    assert camera.mouse_pan
    during: list[bool] = []
    camera.events.mouse_pan.connect(lambda: during.append(camera.mouse_pan))
    hand.use("split", (25, 70), (25, 80))
    assert during == [False, True]


@pytest.mark.parametrize("more", [{"button": 2}, {"modifiers": ("Shift",)}])
def test_other_drags_and_brushes_are_left_to_napari(
    hand: Hand, told: list[str], more: dict[str, Any]
) -> None:
    layer = hand.have(two_cells())
    hand.use("remove", (25, 15), **more)
    np.testing.assert_array_equal(layer.data, two_cells())
    hand.edits.take("remove")
    layer.mode = "pick"
    drag(hand.viewer, (25, 15), (25, 15))
    layer.mode = "pan_zoom"
    hand.use("", (25, 15))
    np.testing.assert_array_equal(layer.data, two_cells())
    assert told == []


def test_closed_it_hears_no_more(hand: Hand) -> None:
    layer = hand.have(two_cells())
    hand.edits.take("remove")
    hand.edits.close()
    hand.edits.close()
    drag(hand.viewer, (25, 15), (25, 15))
    np.testing.assert_array_equal(layer.data, two_cells())


def test_results_no_longer_fit_what_was_edited(chosen: Any, smear: Any) -> None:
    chosen.classify()
    edits, layer = chosen.controller.edits, chosen.session.cells_layer
    y, x = np.argwhere(smear.labels == 2)[200]
    edits.take("remove")
    drag(chosen.viewer, (y, x), (y, x))
    assert chosen.session.selected_row is None, "a click with a tool selects"
    assert not (layer.data == 2).any()
    assert "press Classify" in chosen.session.stale
    chosen.classify()
    assert len(chosen.session.table) == 5
    assert not chosen.session.stale
    edits.undo()
    assert (layer.data == 2).any()
    assert "press Classify" in chosen.session.stale
    edits.take("")
    drag(chosen.viewer, (y, x), (y, x))
