"""Runs that are cancelled, overtaken, doubled or broken, in one viewer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager

from napari_cytodino.common.errors import InputError
from napari_cytodino.widgets.canvas.result_layers import CLASSES
from napari_cytodino.widgets.controllers import controller as controllers
from napari_cytodino.widgets.controllers.controller import BUSY, Controller
from napari_cytodino.widgets.controls import notices
from napari_cytodino.widgets.session.preferences import Preferences
from napari_cytodino.widgets.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

# pytest imports test files by their path: their folder is on no path
sys.path.insert(0, str(Path(__file__).parent))
import benches

bench = benches.bench
chosen = benches.chosen
classifier = benches.classifier
told = benches.told
no_case_of_the_users = benches.no_case_of_the_users

pytestmark = pytest.mark.filterwarnings(benches.NAPARIS_OWN)

CELLS = 6
TICKS = 2 + CELLS
"""The run begins, the cells are read, and each of six batches comes in."""

TELL = notices.error
"""The real one; the bench has another."""


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Preferences(device="cpu", batch_size=1)
    monkeypatch.setattr(controllers, "read_preferences", lambda: small)


def begin(chosen: Any, classifier: Any, batches: int = 2) -> None:
    """Start a run and let it come as far as this."""
    classifier.held = True
    chosen.controller.classify()
    classifier.release(batches)
    chosen.qtbot.waitUntil(lambda: chosen.session.progress.done == batches)


def end(chosen: Any, classifier: Any) -> None:
    """Let a run go where it goes."""
    classifier.release(1000)
    chosen.wait()
    classifier.held = False


def written(layer: Any) -> list[str]:
    """Return the classes that are in a layer's own table."""
    features = layer.features
    return [] if "final_class" not in features else features["final_class"].tolist()


def undisturbed(chosen: Any, smear: Any) -> tuple[pd.DataFrame, Any, list[str]]:
    """Return what a run in a viewer of its own comes to."""
    viewer, session = ViewerModel(), Session()
    session.open_checkpoint(chosen.session.opened)
    other = Controller(viewer, session)
    labels = viewer.add_labels(smear.labels.copy())
    session.choose(image=viewer.add_image(smear.image), cells_layer=labels)
    other.classify()
    chosen.qtbot.waitUntil(lambda: not session.busy, timeout=30_000)
    painted = np.asarray(viewer.layers[CLASSES].data).copy()
    found = session.table, painted, written(labels)
    other.close()
    return found


@pytest.mark.parametrize("tick", range(1, TICKS + 1))
def test_cancel_at_every_tick_and_run_again(
    chosen: Any, classifier: Any, smear: Any, tick: int
) -> None:
    session, ticks = chosen.session, 0

    def follow() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == tick > 1:
            chosen.controller.cancel()
            classifier.release(1000)
        elif ticks > 1:
            # the model is never more than one batch ahead
            classifier.release()

    session.run.connect(follow)
    classifier.held = True
    chosen.controller.classify()
    if tick == 1:
        chosen.controller.cancel()
    chosen.wait()
    session.run.disconnect(follow)
    asked = max(0, tick - 2)
    assert classifier.seen <= asked + 1, "it went on after more than a batch"
    assert len(session.table) in (asked, min(asked + 1, CELLS))
    whole = len(session.table) == CELLS
    assert session.partial is (0 < len(session.table) < CELLS)
    assert "Stopped: " in chosen.messages[-1]
    first = session.table
    classifier.held = False
    chosen.classify()
    table, painted, names = undisturbed(chosen, smear)
    pd.testing.assert_frame_equal(session.table, table)
    if len(first):
        done = table[table["label"].isin(first["label"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(first.reset_index(drop=True), done)
    assert np.array_equal(chosen.viewer.layers[CLASSES].data, painted)
    assert written(session.cells_layer) == names
    assert not session.partial
    assert whole or classifier.seen >= CELLS


def other_pixels(chosen: Any) -> None:
    chosen.session.image.data = 255 - chosen.session.image.data


def other_labels(chosen: Any) -> None:
    layer = chosen.session.cells_layer
    layer.data = np.roll(layer.data, 40, axis=1)


def brush(chosen: Any) -> None:
    layer = chosen.session.cells_layer
    layer.paint((30, 30), 9)


def fill(chosen: Any) -> None:
    layer = chosen.session.cells_layer
    layer.fill(tuple(np.argwhere(layer.data == 2)[0]), 1)


def erase_and_undo(chosen: Any) -> None:
    layer = chosen.session.cells_layer
    layer.paint(tuple(np.argwhere(layer.data == 2)[0]), 0)
    layer.undo()


def put(which: str, name: str, value: Any) -> Callable[[Any], None]:
    def change(chosen: Any) -> None:
        setattr(getattr(chosen.session, which), name, value)

    return change


CHANGES = {
    "pixels": other_pixels,
    "labels": other_labels,
    "brush": brush,
    "fill": fill,
    "undo": erase_and_undo,
} | {
    f"{which} {name}": put(which, name, value)
    for which in ("image", "cells_layer")
    for name, value in {
        "scale": (2, 2),
        "translate": (0, 30),
        "rotate": 10,
        "shear": [0.4],
        "affine": [[1, 0, 7], [0, 1, 0], [0, 0, 1]],
    }.items()
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_layer_changed_during_a_run_gets_no_answers(
    chosen: Any, classifier: Any, told: list[str], change: Callable[[Any], None]
) -> None:
    session, labels = chosen.session, chosen.session.cells_layer
    begin(chosen, classifier)
    known = len(session.table)
    change(chosen)
    drawn = [layer.name for layer in chosen.viewer.layers]
    end(chosen, classifier)
    assert "changed; answers under way are dropped" in chosen.messages[-1]
    assert "changed" in session.stale
    assert len(session.table) == known, "answers for what was there before"
    assert written(labels) == []
    assert [layer.name for layer in chosen.viewer.layers] == drawn
    chosen.classify()
    moved = any("do not lie" in text for text in told)
    assert moved or session.stale == ""
    assert moved or len(session.table) == session.cells_count


@pytest.mark.parametrize("which", ["image", "cells_layer"])
def test_a_layer_renamed_during_a_run_gets_its_answers(
    chosen: Any, classifier: Any, smear: Any, which: str
) -> None:
    session = chosen.session
    begin(chosen, classifier)
    getattr(session, which).name = "<b>another</b>"
    end(chosen, classifier)
    table, painted, names = undisturbed(chosen, smear)
    pd.testing.assert_frame_equal(session.table, table)
    assert np.array_equal(chosen.viewer.layers[CLASSES].data, painted)
    assert written(session.cells_layer) == names
    assert session.stale == ""


def test_points_moved_during_a_run_get_no_answers(
    bench: Any, classifier: Any, smear: Any
) -> None:
    image = bench.viewer.add_image(smear.image)
    points = bench.viewer.add_points(smear.centres)
    bench.choose(image, points)
    begin(bench, classifier)
    known = len(bench.session.table)
    points.data = points.data + 25
    end(bench, classifier)
    assert len(bench.session.table) == known
    assert written(points) == []
    assert "are dropped" in bench.messages[-1]


def test_another_checkpoint_chosen_during_a_run(
    chosen: Any, classifier: Any, tiny_checkpoint: Path
) -> None:
    """No answer of the old model stands under the name of the new one."""
    session, old = chosen.session, chosen.session.opened
    begin(chosen, classifier)
    session.choose(checkpoint=str(tiny_checkpoint))
    assert len(session.table) == 0
    end(chosen, classifier)
    assert session.checkpoint == str(tiny_checkpoint)
    assert session.predictions is None
    assert written(session.cells_layer) == []
    assert "too late" in chosen.messages[-1]
    chosen.classify()
    assert session.opened.sha256 != old.sha256
    assert len(session.table) == CELLS


@pytest.mark.parametrize(
    "error",
    [RuntimeError("<b>CUDA</b> error"), MemoryError(), KeyError(3), StopIteration()],
    ids=lambda error: type(error).__name__,
)
def test_a_worker_that_breaks_is_told_once_and_the_next_run_is_fine(
    chosen: Any,
    classifier: Any,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(notices, "error", TELL)
    notification_manager.notification_ready.connect(told.append)
    run = type(classifier).run

    def broken(self: Any, *args: Any) -> Any:
        yield next(run(self, *args))
        raise error

    monkeypatch.setattr(type(classifier), "run", broken)
    try:
        chosen.classify()
    finally:
        notification_manager.notification_ready.disconnect(told.append)
    assert len(told) == 1
    assert told[0].severity == "error"
    assert len(chosen.session.table) == 1
    assert chosen.session.partial
    monkeypatch.setattr(type(classifier), "run", run)
    chosen.classify()
    assert len(chosen.session.table) == CELLS
    assert not chosen.session.partial


def test_nothing_else_starts_during_a_run(
    chosen: Any, classifier: Any, told: list[str], tmp_path: Path
) -> None:
    begin(chosen, classifier)
    control = chosen.controller
    for start in (
        control.classify,
        lambda: control.classify([1]),
        control.find,
        control.open_checkpoint,
        lambda: control.read_cells(pytest.fail),
        lambda: control.attempt(lambda: control.save(pytest.fail, str)),
    ):
        start()
    assert told == [BUSY] * 6
    with pytest.raises(RuntimeError, match="is running"):
        control.worker.start(
            lambda cancelled: iter(()),
            on_step=pytest.fail,
            on_error=pytest.fail,
            on_end=pytest.fail,
        )
    end(chosen, classifier)
    assert classifier.calls == 1
    assert len(chosen.session.table) == CELLS


def test_an_error_of_reading_is_no_lost_run(chosen: Any, told: list[str]) -> None:
    """Cells that cannot be read are told; the viewer stays as it is."""

    def refuse(side: int) -> Any:
        raise InputError("This file is gone; open another.")

    chosen.controller._reader = lambda bare: refuse
    chosen.classify()
    assert told == ["This file is gone; open another."]
    assert not chosen.session.busy
