"""Intentions and what becomes of them; export equals the screen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from napari_cytodino.widgets.canvas.result_layers import CLASSES, FOUND, REVIEW
from napari_cytodino.widgets.controllers import controller as controllers
from napari_cytodino.widgets.controllers.controller import NONE_FLAGGED, NOT_YET
from napari_cytodino.widgets.session.preferences import Preferences
from napari_cytodino.widgets.session.snapshot import whole_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


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


@pytest.mark.parametrize(("set_to", "asked"), [(0, None), (3, 3)])
def test_the_device_chooses_the_batch_size_unless_the_user_did(
    chosen: Any, monkeypatch: pytest.MonkeyPatch, set_to: int, asked: int | None
) -> None:
    preferences = Preferences(batch_size=set_to)
    monkeypatch.setattr(controllers, "read_preferences", lambda: preferences)
    assert chosen.controller._request(None).batch_size == asked


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
    look = bench.controller.canvas.marks()
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


@pytest.mark.parametrize("which", ["painted", "deleted"])
def test_a_layer_that_changes_does_not_stop_what_is_saved(
    judged: Any, which: str
) -> None:
    labels, go = judged.session.cells_layer, threading.Event()

    def steps(cancelled: Callable[[], bool]) -> Iterator[str]:
        yield "begun"
        go.wait(20)
        yield f"cancelled: {cancelled()}"

    judged.controller.attempt(lambda: judged.controller.save(steps, str))
    if which == "painted":
        labels.data_setitem((np.array([0]), np.array([0])), 9)
        assert "Layer 'cells' changed; press Classify" in judged.session.stale
    else:
        judged.viewer.layers.remove(labels)
        assert judged.session.cells_layer is None
    go.set()
    judged.wait()
    assert judged.messages[-2:] == ["begun", "cancelled: False"]
    assert not any("dropped" in message for message in judged.messages)


def test_closing_lets_go_of_the_viewer(chosen: Any) -> None:
    callbacks = chosen.viewer.mouse_drag_callbacks
    before = len(callbacks)
    chosen.controller.close()
    assert len(callbacks) == before - 2, "clicks and tools listen on"
    chosen.viewer.layers.clear()
    assert chosen.session.image is not None


def test_the_next_flagged_cell_is_shown(judged: Any) -> None:
    controller, session = judged.controller, judged.session
    seen = []
    for _ in range(4):
        controller.next_flagged()
        seen.append(session.selected_row)
    assert sorted(seen[:3]) == [3, 4, 5]
    assert seen[3] == seen[0], "after the last comes the first"
    controller.next_flagged(-1)
    assert session.selected_row == seen[2]
    camera = judged.viewer.scene.camera
    apart = session.cells.centre[seen[2]] - np.array(camera.center[-2:])
    assert np.abs(apart).max() < min(judged.viewer.canvas.size) / camera.zoom / 2


def test_costs_come_from_the_file_of_the_preferences(
    judged: Any, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "costs.toml"
    for text, missed in (("missed = 30", 30), ("missed = -1", 30)):
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(
            "napari_cytodino.widgets.controllers.controller.read_preferences",
            lambda: Preferences(review_costs=str(path)),
        )
        judged.controller.next_flagged()
        assert judged.session.costs.missed == missed
    assert "missed is -1" in told[-1]


def test_nothing_flagged_is_said(judged: Any, told: list[str]) -> None:
    judged.session.set_min_confidence(0.01)
    judged.session.predictions.unfamiliarity[:] = 0.5
    judged.session._weighed = None
    judged.session.rebuild()
    judged.controller.next_flagged()
    judged.session.clear_cells()
    judged.controller.next_flagged()
    assert told == [NONE_FLAGGED, NOT_YET]


def test_moved_thresholds_reach_the_canvas_and_the_layer(judged: Any) -> None:
    review = judged.controller.canvas.result_layers.layer(REVIEW)
    assert len(review.data) == 3
    judged.session.set_risk(0.05)
    judged.qtbot.waitUntil(lambda: len(review.data) == 1, timeout=20_000)
    layer = judged.viewer.layers["cells"]
    judged.qtbot.waitUntil(lambda: "status" in layer.features, timeout=20_000)
