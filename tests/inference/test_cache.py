"""Unchanged cells are not run through the model again; changed ones always are."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.cells.crops import CropBatch
from napari_cytodino.images.source import ImageSource
from napari_cytodino.inference.cache import PredictionCache, pixel_key
from napari_cytodino.inference.classifier import Classifier
from napari_cytodino.uncertainty.predictions import PredictionBatch, Predictions
from napari_cytodino.widgets.session.messages import CellsReading, ClassifyRequest
from napari_cytodino.widgets.workers import steps as work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Counted:
    """Says of each crop its brightness, and keeps what it was shown."""

    def __init__(self, ahead: int = 0) -> None:
        self.shown: list[int] = []
        self._ahead = ahead

    def run(
        self, crops: Any, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[PredictionBatch]:
        waiting: list[CropBatch] = []
        for batch in crops:
            waiting.append(batch)
            if len(waiting) > self._ahead:
                yield self._answer(waiting.pop(0))
        yield from map(self._answer, waiting)

    def _answer(self, batch: CropBatch) -> PredictionBatch:
        values = batch.pixels[:, 0, 0, 0].astype(np.float32)
        self.shown += values.astype(int).tolist()
        logits = np.stack([values, -values], axis=1)
        return PredictionBatch(
            batch.rows, logits, logits.astype(np.float16), batch.readable, values
        )


def crops_of(values: list[int], size: int = 3) -> Iterator[CropBatch]:
    """Yield crops of one colour each; -1 stands for one that cannot be read."""
    for start in range(0, len(values), size):
        part = np.array(values[start : start + size])
        pixels = np.broadcast_to(
            np.maximum(part, 0)[:, None, None, None], (len(part), 4, 4, 3)
        )
        rows = np.arange(start, start + len(part))
        yield CropBatch(rows, pixels.astype(np.uint8), part >= 0)


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(-1, 30), max_size=14), min_size=1, max_size=4),
    st.integers(0, 3),
    st.integers(1, 40),
)
def test_every_row_has_the_answer_of_its_own_pixels(
    runs: list[list[int]], ahead: int, most: int
) -> None:
    model = Counted(ahead)
    answers = PredictionCache(model, most=most)
    for values in runs:
        given_ = list(answers.run(crops_of(values)))
        rows = np.concatenate([b.rows for b in given_] or [np.zeros(0, int)])
        assert sorted(rows.tolist()) == list(range(len(values)))
        for batch in given_:
            wanted = np.maximum(np.array(values)[batch.rows], 0)
            assert batch.logits[:, 0].tolist() == wanted.tolist()
            assert batch.unfamiliarity is not None
            assert batch.unfamiliarity.tolist() == wanted.tolist()
            readable = np.array(values)[batch.rows] >= 0
            assert batch.readable.tolist() == readable.tolist()
        assert len(answers) <= most


def test_only_new_pixels_are_shown_to_the_model() -> None:
    model = Counted()
    answers = PredictionCache(model)
    list(answers.run(crops_of([1, 2, 3, 4, -1])))
    model.shown.clear()
    list(answers.run(crops_of([4, 9, 1, 2, 3, 4, 8, -1, 1])))
    # what could not be read is tried again
    assert sorted(model.shown) == [0, 8, 9]


def test_what_is_known_comes_at_once_and_can_be_stopped() -> None:
    stop = threading.Event()
    answers = PredictionCache(Counted())
    list(answers.run(crops_of(list(range(12)))))
    taken: list[int] = []

    def crops() -> Iterator[CropBatch]:
        for batch in crops_of(list(range(12))):
            taken.append(len(batch.rows))
            yield batch

    for answer in answers.run(crops(), stop.is_set):
        assert answer.rows.tolist() == [0, 1, 2]
        stop.set()
    assert taken == [3]


def test_one_pixel_makes_another_key() -> None:
    pixels = np.zeros((5, 5, 3), np.uint8)
    other = pixels.copy()
    other[4, 4, 2] = 1
    assert pixel_key(pixels) == pixel_key(pixels.copy())
    assert pixel_key(pixels) != pixel_key(other)
    assert pixel_key(pixels) != pixel_key(np.zeros((6, 6, 3), np.uint8))
    assert pixel_key(other[::-1]) != pixel_key(other)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the crops that the real model is given, one number a forward pass."""
    counts: list[int] = []
    real = Classifier.run

    def run(self: Any, crops: Any, *args: Any, **kwargs: Any) -> Any:
        def counted() -> Iterator[CropBatch]:
            for batch in crops:
                counts.append(len(batch.rows))
                yield batch

        return real(self, counted(), *args, **kwargs)

    monkeypatch.setattr(Classifier, "run", run)
    return counts


def answers_of(made: ClassifyRequest, models: work.ClassifierCache) -> Predictions:
    steps = list(work.classify_steps(made, models))
    batches = [step for step in steps if isinstance(step, PredictionBatch)]
    empty = Predictions.empty(6, batches[0].logits.shape[1], 0)
    width = batches[0].embeddings.shape[1]
    return replace(empty, embeddings=np.zeros((6, width), np.float16)).with_batches(
        batches
    )


def test_with_the_real_model_more_cells_cost_only_the_new_ones(
    demo: Any, smear: Any, shown: list[int]
) -> None:
    image = smear.image.copy()
    reading = CellsReading(cells_from_labels(smear.labels), ImageSource(image))
    made = ClassifyRequest(0, reading, demo, None, "cpu", 4)
    models = work.ClassifierCache()
    answers_of(replace(made, rows=(1, 4)), models)
    assert sum(shown) == 2
    found = answers_of(made, models)
    assert sum(shown) == 6
    fresh = answers_of(made, work.ClassifierCache())
    assert found.done.all()
    np.testing.assert_allclose(found.logits, fresh.logits, atol=1e-5)
    np.testing.assert_allclose(found.embeddings, fresh.embeddings, atol=1e-2)
    shown.clear()
    again = answers_of(made, models)
    assert shown == []
    assert np.array_equal(again.logits, found.logits)
    # an edit in place, which napari never hears of: the cells around it, no others
    y, x = reading.cells.centre[2].astype(int)
    image[y, x] = 255 - image[y, x]
    edited = answers_of(made, models)
    assert 1 <= sum(shown) < 6
    fresh = answers_of(made, work.ClassifierCache())
    np.testing.assert_allclose(edited.logits, fresh.logits, atol=1e-5)
    assert not np.allclose(edited.logits[2], found.logits[2], atol=1e-5)


@pytest.mark.parametrize("what", ["field", "contrast", "checkpoint", "device", "plane"])
def test_what_else_changes_asks_the_model_anew(
    demo: Any, smear: Any, shown: list[int], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    cells, pixels = cells_from_labels(smear.labels), smear.image
    reading = CellsReading(cells, ImageSource(pixels))
    made = ClassifyRequest(0, reading, demo, None, "cpu", 4)
    models = work.ClassifierCache()
    answers_of(made, models)
    if what == "field":
        made = replace(
            made, field_of_view=made.checkpoint.preprocessing.field_of_view - 1
        )
    elif what == "contrast":
        source = ImageSource(pixels, limits=(0.0, 200.0))
        made = replace(made, reading=CellsReading(cells, source))
    elif what == "plane":
        stack = np.stack([pixels, pixels[::-1]])
        source = ImageSource(stack, plane=(1,))
        made = replace(made, reading=CellsReading(cells, source))
    elif what == "checkpoint":
        made = replace(made, checkpoint=replace(demo, name="other", sha256="other"))
        # its files are the demo's, whose hash the loader would compare
        monkeypatch.setattr(
            "napari_cytodino.widgets.workers.steps.ClassifierCache.classifier",
            lambda self, *args: Classifier(demo, "cpu", 4),
        )
    else:
        made = replace(made, device="auto")
    answers_of(made, models)
    assert sum(shown) == 12
