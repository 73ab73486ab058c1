"""A run: batches, time left, partial results, layers that go meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cytodino.widgets.canvas.result_layers import CLASSES, REVIEW
from napari_cytodino.widgets.controllers._classification_run import GREY
from napari_cytodino.widgets.session.cell_card import cell_card_of
from napari_cytodino.widgets.session.preferences import Preferences


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_cytodino.widgets.controllers import controller

    small = Preferences(device="cpu", batch_size=1)
    monkeypatch.setattr(controller, "read_preferences", lambda: small)


def begin(chosen: Any, classifier: Any, batches: int) -> None:
    classifier.held = True
    chosen.controller.classify()
    classifier.release(batches)
    chosen.qtbot.waitUntil(lambda: chosen.session.progress.done == batches)


def test_progress_and_time_left(chosen: Any, classifier: Any) -> None:
    begin(chosen, classifier, 3)
    progress = chosen.session.progress
    assert (progress.done, progress.total) == (3, 6)
    assert progress.seconds_left is not None
    assert progress.seconds_left >= 0
    classifier.release(10)
    chosen.wait()
    assert len(chosen.session.table) == 6
    assert not chosen.session.partial


def test_cancel_keeps_what_is_done_and_says_so(chosen: Any, classifier: Any) -> None:
    begin(chosen, classifier, 2)
    chosen.controller.cancel()
    classifier.release(10)
    chosen.wait()
    session = chosen.session
    assert session.partial
    assert 2 <= len(session.table) < 6
    assert "partial" in chosen.messages[-1]
    painted = np.unique(
        session.cells_layer.data[chosen.viewer.layers[CLASSES].data > 0]
    )
    assert painted.tolist() == session.table["label"].tolist()
    features = session.cells_layer.features
    assert (
        features["final_class"].notna().sum()
        == (session.table["final_class"] != "").sum()
    )


@pytest.mark.parametrize("which", ["image", "cells_layer"])
def test_a_deleted_layer_makes_answers_late(
    chosen: Any, classifier: Any, which: str
) -> None:
    begin(chosen, classifier, 1)
    chosen.viewer.layers.remove(getattr(chosen.session, which))
    classifier.release(10)
    chosen.wait()
    assert len(chosen.session.table) == 0
    assert getattr(chosen.session, which) is None
    assert any("was deleted" in message for message in chosen.messages)
    assert CLASSES not in chosen.viewer.layers


def test_painting_meanwhile_makes_answers_late(chosen: Any, classifier: Any) -> None:
    begin(chosen, classifier, 1)
    labels = chosen.session.cells_layer
    labels.data_setitem((np.array([0]), np.array([0])), 9)
    classifier.release(10)
    chosen.wait()
    assert "changed" in chosen.session.stale
    assert "answers under way are dropped" in chosen.messages[-1]
    assert len(chosen.session.table) < 6
    classifier.held = False
    chosen.classify()
    assert chosen.session.stale == ""
    assert len(chosen.session.table) == 7


def test_another_choice_meanwhile_makes_answers_late(
    chosen: Any, classifier: Any
) -> None:
    begin(chosen, classifier, 1)
    chosen.session.choose(cells_layer=None)
    classifier.release(10)
    chosen.wait()
    assert chosen.messages[-1] == "Answers came too late and were dropped."
    assert len(chosen.session.table) == 0


def test_only_one_run_at_a_time(chosen: Any, classifier: Any, told: list[str]) -> None:
    begin(chosen, classifier, 1)
    chosen.controller.classify()
    assert "running" in told[-1]
    classifier.release(10)
    chosen.wait()
    assert classifier.calls == 1


def test_a_failing_model_is_told_once(
    chosen: Any, classifier: Any, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cytodino.common.errors import CytoDinoError

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise CytoDinoError("Memory ran out; choose 'cpu'.")

    monkeypatch.setattr(classifier, "run", fail)
    chosen.classify()
    assert told == ["Memory ran out; choose 'cpu'."]
    monkeypatch.undo()


def test_cells_left_out_are_told(bench: Any, smear: Any, told: list[str]) -> None:
    image = bench.viewer.add_image(smear.image)
    spots = np.concatenate([smear.centres, [[-400.0, 0.0]]])
    bench.choose(image, bench.viewer.add_points(spots))
    bench.classify()
    assert len(bench.session.table) == 6
    assert "point 7 left out" in told[0]


def test_a_grey_image_is_classified_with_a_warning(
    bench: Any, smear: Any, told: list[str]
) -> None:
    image = bench.viewer.add_image(smear.image[..., 1])
    bench.choose(image, bench.viewer.add_labels(smear.labels))
    bench.classify()
    assert told == [GREY]
    assert len(bench.session.table) == 6


def test_pixels_that_are_no_numbers_are_rejected_alone(bench: Any, smear: Any) -> None:
    pixels = smear.image / 255
    y, x = np.argwhere(smear.labels == 3).mean(axis=0).astype(int)
    pixels[y, x] = np.nan
    image = bench.viewer.add_image(pixels)
    bench.choose(image, bench.viewer.add_labels(smear.labels))
    bench.classify()
    table = bench.session.table.set_index("label")
    assert table.loc[3, "status"] == "rejected"
    assert table.loc[3, "reason"] == "unreadable pixels"
    assert (table["status"] == "rejected").sum() < len(table)
    review = bench.viewer.layers[REVIEW]
    place = review.features["label"].tolist().index(3)
    assert str(review.symbol[place]) == "diamond"
    card = cell_card_of(bench.session, 2)
    assert card.likeliest == ()
    assert card.status == "rejected"


def test_all_empty_labels_are_told(bench: Any, smear: Any, told: list[str]) -> None:
    image = bench.viewer.add_image(smear.image)
    bench.choose(image, bench.viewer.add_labels(smear.labels * 0))
    bench.classify()
    assert "holds no cell" in told[-1]
    assert len(bench.viewer.layers) == 2
    assert not bench.session.busy


def test_a_second_run_replaces_the_first(chosen: Any, classifier: Any) -> None:
    chosen.classify()
    first = chosen.viewer.layers[CLASSES]
    table = chosen.session.table
    chosen.classify()
    names = [layer.name for layer in chosen.viewer.layers]
    assert names.count(CLASSES) == 1
    assert chosen.viewer.layers[CLASSES] is not first
    assert chosen.session.table.equals(table)
    # the same pixels again, so the model is not asked again
    assert classifier.seen == 6
