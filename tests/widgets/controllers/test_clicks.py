"""Clicks on classified, unclassified and bare places."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cytodino.widgets.canvas.result_layers import CLICKED
from napari_cytodino.widgets.controllers.clicks import OTHER_PLANE


def inside(smear: Any, label: int) -> tuple[float, float]:
    spots = np.argwhere(smear.labels == label)
    y, x = spots[len(spots) // 2]
    return float(y), float(x)


def test_a_classified_cell_is_shown_with_its_picture(chosen: Any, smear: Any) -> None:
    chosen.classify()
    crops: list[Any] = []
    chosen.controller.clicks.crop.connect(crops.append)
    chosen.controller.clicks.click(inside(smear, 4))
    assert chosen.session.selected_row == 3
    chosen.qtbot.waitUntil(lambda: len(crops) > 0)
    side = chosen.session.crop_side()
    assert crops[-1].shape == (side, side, 3)


def test_an_unclassified_cell_is_classified_alone(
    chosen: Any, smear: Any, classifier: Any
) -> None:
    chosen.controller.clicks.click(inside(smear, 2))
    chosen.wait()
    chosen.qtbot.waitUntil(lambda: len(chosen.session.table) == 1)
    chosen.wait()
    assert chosen.session.table["label"].tolist() == [2]
    assert chosen.session.selected_row == 1
    assert classifier.seen == 1


def test_a_bare_spot_needs_the_toggle(chosen: Any) -> None:
    chosen.classify()
    chosen.controller.clicks.click((2.0, 2.0))
    assert chosen.session.selected_row is None
    assert CLICKED not in chosen.viewer.layers


def test_a_bare_spot_is_cut_classified_and_kept(bench: Any, smear: Any) -> None:
    bench.session.choose(image=bench.viewer.add_image(smear.image))
    clicks = bench.controller.clicks
    clicks.cut_bare_spots = True
    for count, label in enumerate((1, 3), start=1):
        clicks.click(inside(smear, label))
        bench.qtbot.waitUntil(
            lambda count=count: len(bench.session.table) == count, timeout=20_000
        )
        bench.wait()
    layer = bench.viewer.layers[CLICKED]
    assert layer.features["label"].tolist() == [1, 2]
    assert len(layer.data) == 2
    for box, label in zip(bench.session.cells.bbox, (1, 3), strict=True):
        y, x = inside(smear, label)
        assert box[0] - 50 <= y <= box[2] + 50
        assert box[1] - 50 <= x <= box[3] + 50
    clicks.click(inside(smear, 1))
    bench.wait()
    assert bench.session.cells_count == 2, "a cell that is there is not cut again"
    assert bench.session.selected_row == 0


def test_clicked_cells_join_the_next_run(chosen: Any) -> None:
    chosen.classify()
    chosen.controller.clicks.cut_bare_spots = True
    chosen.controller.clicks.click((4.0, 4.0))
    chosen.qtbot.waitUntil(lambda: len(chosen.session.table) == 7, timeout=20_000)
    chosen.wait()
    chosen.classify()
    assert len(chosen.session.table) == 7
    assert 7 not in chosen.session.cells_layer.features["label"].tolist()


def test_another_plane_is_not_mixed_up(bench: Any, smear: Any, told: list[str]) -> None:
    image = bench.viewer.add_image(np.stack([smear.image] * 2))
    bench.choose(image, bench.viewer.add_labels(smear.labels))
    bench.viewer.dims.set_point(0, 0)
    bench.classify()
    bench.viewer.dims.set_point(0, 1)
    bench.controller.clicks.click((1.0, *inside(smear, 1)))
    assert told[-1] == OTHER_PLANE
    assert bench.session.selected_row is None


def test_clicks_without_an_image_do_nothing(bench: Any) -> None:
    bench.controller.clicks.click((1.0, 1.0))
    assert bench.session.selected_row is None
