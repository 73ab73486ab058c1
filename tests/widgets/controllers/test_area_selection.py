"""Cells within an outline; a real drag is in `test_review_dock`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_cytodino.widgets.controllers.area_selection import OUTLINE, AreaSelection


@pytest.fixture
def area(read_bench: Any) -> AreaSelection:
    return AreaSelection(read_bench.controller)


def drag(area: AreaSelection, viewer: Any, path: Any, *names: str) -> int:
    """Drag along a path of y, x; returns how often the outline was seen."""
    event = SimpleNamespace(
        button=1, modifiers=names, pos=(0, 0), position=path[0], type="mouse_press"
    )
    steps, seen = area.on_press(viewer, event), 0
    if next(steps, "over") == "over":
        return -1
    for place in path[1:]:
        event.type, event.position = "mouse_move", place
        event.pos = (10 * place[1], 10 * place[0])
        next(steps)
        seen += OUTLINE in [layer.name for layer in viewer.layers]
    event.type = "mouse_release"
    assert next(steps, "over") == "over"
    return seen


def test_a_box_takes_centres_within_it(read_bench: Any, area: AreaSelection) -> None:
    viewer, cells = read_bench.viewer, read_bench.session.cells
    y, x = cells.centre[3]
    path = [(y - 5, x - 5), (y, x + 90), (y + 5, x + 5)]
    assert drag(area, viewer, path, "Shift") == 2
    assert read_bench.session.selected_rows.tolist() == [3]
    assert OUTLINE not in [layer.name for layer in viewer.layers]
    assert viewer.scene.camera.mouse_pan


def test_a_free_outline(read_bench: Any, area: AreaSelection) -> None:
    (top, left), (bottom, right) = (
        read_bench.session.cells.centre.min(0) - 5,
        read_bench.session.cells.centre.max(0) + 5,
    )
    # a triangle holds the cells on one side of the diagonal only
    path = [(top, left), (bottom, left), (bottom, right)]
    drag(area, read_bench.viewer, path, "Shift", "Alt")
    centre = read_bench.session.cells.centre
    share = (centre - (top, left)) / (bottom - top, right - left)
    wanted = np.flatnonzero(share[:, 0] > share[:, 1])
    assert 0 < len(wanted) < 6
    assert sorted(read_bench.session.selected_rows) == wanted.tolist()


@pytest.mark.parametrize("names", [(), ("Control",)])
def test_other_drags_are_left_to_napari(
    read_bench: Any, area: AreaSelection, names: tuple[str, ...]
) -> None:
    assert drag(area, read_bench.viewer, [(0, 0), (400, 500)], *names) == -1
    assert len(read_bench.session.selected_rows) == 0


def test_nothing_to_select_from(bench: Any) -> None:
    area = AreaSelection(bench.controller)
    assert drag(area, bench.viewer, [(0, 0), (400, 500)], "Shift") == -1
    area.close()
    assert area.on_press not in bench.viewer.mouse_drag_callbacks
