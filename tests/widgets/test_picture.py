"""The session's table on the canvas and in `features`."""

from __future__ import annotations

from typing import Any

from napari_cytodino.widgets.drawing import CLASSES


def test_nothing_is_drawn_before_there_is_a_table(chosen: Any) -> None:
    picture = chosen.controller.picture
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
