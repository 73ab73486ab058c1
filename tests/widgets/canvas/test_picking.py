"""Clicks: which pixel, which cell, and what is no click."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_cytodino.widgets.canvas.layers import CROPS
from napari_cytodino.widgets.canvas.picking import click_callback, pixel_at, row_at


def press(viewer: Any, moves: int = 0, button: int = 1) -> list[tuple[float, ...]]:
    heard: list[tuple[float, ...]] = []
    event = SimpleNamespace(
        type="mouse_press", button=button, pos=(10, 10), position=(3.0, 4.0)
    )
    steps = click_callback(heard.append)(viewer, event)
    for _ in steps:
        if moves:
            event.type, event.pos, moves = "mouse_move", (10, 10 + 9 * moves), moves - 1
        else:
            event.type = "mouse_release"
    return heard


def test_a_click_is_reported_where_it_began(chosen: Any) -> None:
    chosen.viewer.layers.selection.active = chosen.session.image
    assert press(chosen.viewer) == [(3.0, 4.0)]


def test_pans_other_buttons_and_painting_are_no_clicks(chosen: Any) -> None:
    assert press(chosen.viewer, moves=2) == []
    assert press(chosen.viewer, button=2) == []
    chosen.viewer.layers.selection.active = chosen.session.cells_layer
    chosen.session.cells_layer.mode = "paint"
    assert press(chosen.viewer) == []


def test_cells_are_found_by_their_pixels(chosen: Any, smear: Any) -> None:
    chosen.classify()
    for row, (y, x) in enumerate(smear.centres):
        wanted = int(smear.labels[round(y), round(x)]) - 1
        assert row_at(chosen.session, (y, x)) == (wanted if wanted >= 0 else None), row
    assert row_at(chosen.session, (-50, -50)) is None


def test_scaled_layers_are_followed(bench: Any, smear: Any) -> None:
    place = {"scale": (0.5, 0.5), "translate": (7, 9)}
    image = bench.viewer.add_image(smear.image, **place)
    bench.choose(image, bench.viewer.add_labels(smear.labels, **place))
    bench.classify()
    y, x = np.argwhere(smear.labels == 2).mean(axis=0)
    world = (7 + y / 2, 9 + x / 2)
    assert pixel_at(bench.session, world) == pytest.approx((y, x))
    assert row_at(bench.session, world) == 1


def test_the_nearest_box_wins(bench: Any, smear: Any) -> None:
    image = bench.viewer.add_image(smear.image)
    points = bench.viewer.add_points(np.array([[100.0, 100.0], [110.0, 100.0]]))
    bench.choose(image, points)
    bench.classify()
    assert row_at(bench.session, (103, 100)) == 0
    assert row_at(bench.session, (108, 100)) == 1
    assert row_at(bench.session, (300, 300)) is None


def test_a_crop_is_its_plane(bench: Any, smear: Any) -> None:
    image = bench.viewer.add_image(np.stack([smear.image[:64, :64]] * 4))
    bench.choose(image, CROPS)
    bench.classify()
    assert row_at(bench.session, (2, 5, 5)) == 2
    assert row_at(bench.session, (9, 5, 5)) is None
