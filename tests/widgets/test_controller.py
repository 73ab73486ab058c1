"""Intentions and what becomes of them; export equals the screen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_cytodino.widgets.drawing import CLASSES, FOUND
from napari_cytodino.widgets.export_panel import whole_table


def test_without_image_or_cells_one_sentence(bench: Any, told: list[str]) -> None:
    bench.controller.classify()
    assert "No cells are chosen" in told[-1]
    bench.controller.find()
    assert "No image" in told[-1]
    assert not bench.session.busy


def test_found_cells_are_chosen(bench: Any, smear: Any) -> None:
    image = bench.viewer.add_image(smear.image, scale=(0.5, 0.5), translate=(3, 4))
    bench.session.choose(image=image)
    bench.controller.find()
    bench.wait()
    layer = bench.session.cells_layer
    assert layer.name == FOUND
    np.testing.assert_allclose(layer.scale, image.scale)
    np.testing.assert_allclose(layer.translate, image.translate)
    bench.classify()
    assert len(bench.session.table) == layer.data.max()


def test_a_grey_image_is_told(bench: Any, smear: Any, told: list[str]) -> None:
    bench.session.choose(image=bench.viewer.add_image(smear.image[..., 0]))
    bench.controller.find()
    bench.wait()
    assert "grey" in told[-1]
    assert len(bench.viewer.layers) == 1


def test_a_missing_checkpoint_is_told(chosen: Any, told: list[str]) -> None:
    chosen.session.choose(checkpoint="/no/such/folder")
    chosen.controller.open_checkpoint()
    chosen.wait()
    assert "/no/such/folder" in told[-1]
    chosen.classify()
    assert "/no/such/folder" in told[-1]
    assert len(chosen.session.table) == 0


@pytest.mark.parametrize(
    "ids", [[7, 900_000, 12, 3, 70_001, 5], [2**33, 1, 9, 4, 8, 6]]
)
def test_export_equals_the_screen(
    bench: Any, smear: Any, ids: list[int], tmp_path: Any
) -> None:
    lookup = np.array([0, *ids])
    labels = bench.viewer.add_labels(lookup[smear.labels])
    labels.features = pd.DataFrame({"index": ids[:2], "theirs": ["a", "b"]})
    bench.choose(bench.viewer.add_image(smear.image), labels)
    bench.classify()
    bench.session.show(mode="class")
    layer = bench.viewer.layers[CLASSES]
    exported = whole_table(bench.session).set_index("label")
    features = labels.features.set_index("index")
    assert sorted(exported.index) == sorted(ids)
    look = bench.controller.picture.marks()
    colours = dict(zip(bench.session.table["label"], look.colours, strict=True))
    for label in ids:
        mask = labels.data == label
        on_screen = layer.colormap.map(np.unique(layer.data[mask]))
        np.testing.assert_allclose(on_screen, [colours[label]], atol=0.01)
        y, x = np.argwhere(mask).mean(axis=0)
        assert exported.loc[label, ["y", "x"]].tolist() == pytest.approx([y, x])
        shown = features["final_class"].fillna("").loc[label]
        assert shown == exported.loc[label, "final_class"]
        assert features.loc[label, "status"] == exported.loc[label, "status"]
    assert features.loc[ids[0], "theirs"] == "a"


def test_closing_lets_go_of_the_viewer(chosen: Any) -> None:
    callbacks = chosen.viewer.mouse_drag_callbacks
    before = len(callbacks)
    chosen.controller.close()
    assert len(callbacks) == before - 1
    chosen.viewer.layers.clear()
    assert chosen.session.image is not None
