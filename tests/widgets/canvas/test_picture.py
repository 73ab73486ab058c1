"""The session's table on the canvas and in `features`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.widgets.canvas.canvas import SHOWN
from napari_cytodino.widgets.canvas.result_layers import CLASSES, SELECTED
from napari_cytodino.widgets.session.messages import CellsReading


def test_nothing_is_drawn_before_there_is_a_table(chosen: Any) -> None:
    picture = chosen.controller.canvas
    assert picture.marks() is None
    picture.draw()
    picture.write_features()
    assert len(chosen.viewer.layers) == 2
    assert "final_class" not in chosen.session.cells_layer.features


def test_results_go_with_their_layer(chosen: Any) -> None:
    chosen.classify()
    assert CLASSES in chosen.viewer.layers
    chosen.session.choose(cells_layer=None)
    assert CLASSES not in chosen.viewer.layers


def test_features_hold_the_table(chosen: Any) -> None:
    chosen.classify()
    features = chosen.session.cells_layer.features.set_index("label")
    for entry in chosen.session.table.to_dict("records"):
        assert features.loc[entry["label"], "status"] == entry["status"]


def test_fly_to_the_selected_cell(judged: Any) -> None:
    viewer, picture = judged.viewer, judged.controller.canvas
    viewer.scene.camera.zoom = 0.05
    judged.session.select(2)
    picture.fly_to_selected()
    center = viewer.scene.camera.center[-2:]
    assert center == pytest.approx(tuple(judged.session.cells.centre[2]))
    ring = picture.result_layers.layer(SELECTED).size[0]
    assert ring * viewer.scene.camera.zoom == pytest.approx(SHOWN)
    viewer.scene.camera.zoom = 3.0
    judged.session.select(4)
    viewer.scene.camera.center = (0.0, -900.0, -900.0)
    picture.fly_to_selected()
    assert viewer.scene.camera.zoom == 3.0, "nearer than needed is the user's choice"
    center = viewer.scene.camera.center[-2:]
    assert center == pytest.approx(tuple(judged.session.cells.centre[4]))
    near = np.add(viewer.scene.camera.center, (0, 5, 5))
    viewer.scene.camera.center = tuple(near)
    picture.fly_to_selected()
    assert viewer.scene.camera.center == pytest.approx(tuple(near)), "it was in view"


def test_without_a_selection_nothing_flies(judged: Any) -> None:
    before = judged.viewer.scene.camera.center
    judged.controller.canvas.fly_to_selected()
    assert judged.viewer.scene.camera.center == before


def test_fly_into_another_plane(chosen: Any, smear: Any) -> None:
    viewer, session = chosen.viewer, chosen.session
    stack = viewer.add_image(np.stack([smear.image] * 3), name="stack", rgb=True)
    layer = viewer.add_labels(np.stack([smear.labels] * 3), name="stack of cells")
    session.choose(image=stack, cells_layer=layer)
    viewer.dims.set_point(0, 2)
    chosen.controller.canvas.place(chosen.controller.point())
    session.set_cells(CellsReading(cells_from_labels(smear.labels), None))
    session.select(1)
    viewer.dims.set_point(0, 0)
    chosen.controller.canvas.fly_to_selected()
    assert viewer.dims.point[0] == 2
