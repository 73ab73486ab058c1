"""The slow steps, without Qt."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_cytodino.cells.cells import cells_from_crops, cells_from_labels
from napari_cytodino.cells.crops import CropStack
from napari_cytodino.common.errors import CheckpointError, InputError
from napari_cytodino.finding.sizes import PixelSize
from napari_cytodino.images.source import ImageSource
from napari_cytodino.inference import devices
from napari_cytodino.widgets.session.messages import CellsReading, ClassifyRequest
from napari_cytodino.widgets.workers import steps as work


@pytest.fixture
def reading(smear: Any) -> CellsReading:
    source = ImageSource(smear.image)
    return CellsReading(cells_from_labels(smear.labels), source, smear.labels)


def request(demo: Any, reading: Any, **more: Any) -> ClassifyRequest:
    return ClassifyRequest(0, reading, demo, None, "cpu", 4, **more)


def test_the_real_model_answers_every_cell(demo: Any, reading: CellsReading) -> None:
    steps = list(
        work.classify_steps(request(demo, lambda side: reading), work.ClassifierCache())
    )
    assert isinstance(steps[0], work.Opened)
    assert steps[0].device.startswith("CPU")
    assert steps[1] is reading
    rows = np.concatenate([batch.rows for batch in steps[2:]])
    assert sorted(rows.tolist()) == list(range(len(reading.cells)))
    assert np.isfinite(steps[2].logits).all()


def test_batches_are_of_the_size_that_the_classifier_chose(
    demo: Any, reading: CellsReading, classifier: Any
) -> None:
    """Asked for none, it takes what suits its device (8 on a CPU); 4 stay 4."""
    for asked, first in ((None, min(8, len(reading.cells))), (4, 4)):
        made = replace(request(demo, reading), batch_size=asked)
        steps = list(work.classify_steps(made, work.ClassifierCache()))
        assert len(steps[1].rows) == first


@pytest.mark.usefixtures("classifier")
def test_some_rows_only(demo: Any, reading: CellsReading) -> None:
    made = request(demo, reading, rows=(4, 1))
    steps = list(work.classify_steps(made, work.ClassifierCache()))
    assert [type(step).__name__ for step in steps] == ["Opened", "PredictionBatch"]
    assert sorted(steps[1].rows.tolist()) == [1, 4]


def test_no_rows_means_reading_only(demo: Any, reading: CellsReading) -> None:
    made = request(demo, lambda side: reading, rows=())
    assert len(list(work.classify_steps(made, work.ClassifierCache()))) == 2


def test_cancelled_before_the_model(demo: Any, reading: CellsReading) -> None:
    made = request(demo, lambda side: reading)
    assert (
        len(list(work.classify_steps(made, work.ClassifierCache(), lambda: True))) == 2
    )


def test_a_picture_of_a_stack_by_row() -> None:
    crops = np.stack([np.full((32, 32, 3), i * 20, np.uint8) for i in range(5)])
    reading = CellsReading(cells_from_crops(5, 32), CropStack(crops))
    assert work.crop_picture(reading, reading.cells, 2, 16)[0, 0, 0] == 40


def test_unreadable_pixels_have_no_picture() -> None:
    image = np.full((50, 50, 3), np.nan, np.float32)
    image[:10] = 0.5
    labels = np.zeros((50, 50), int)
    labels[30:40, 30:40] = 1
    reading = CellsReading(cells_from_labels(labels), ImageSource(image))
    assert work.crop_picture(reading, reading.cells, 0, 16) is None


def test_an_unknown_checkpoint_is_named(reading: CellsReading) -> None:
    made = ClassifyRequest(0, reading, "no-such", None, "cpu", 4)
    with pytest.raises(CheckpointError, match="no-such"):
        list(work.classify_steps(made, work.ClassifierCache()))


def test_finding_says_how_far_it_is(smear: Any) -> None:
    steps = list(work.find_steps(lambda: ImageSource(smear.image), 150.0))
    assert [step.done for step in steps] == list(range(len(steps)))
    assert steps[-1].done == steps[-1].total
    assert steps[-1].labels.shape == smear.labels.shape
    assert steps[-1].labels.max() == steps[-1].cells >= 3


def test_a_typed_size_counts_more_than_the_layer_s(
    smear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def search(source: Any, **wishes: Any) -> Any:
        asked.append(wishes)
        yield SimpleNamespace(cells=1)

    monkeypatch.setattr("napari_cytodino.finding.search", search)
    known = PixelSize(0.1, 0.1, 0.1, "file")
    for size in (None, 80.0):
        list(work.find_steps(lambda: ImageSource(smear.image), size, known, 0.4))
    assert asked == [
        {"diameter": None, "pixel_size": known, "sensitivity": 0.4},
        {"diameter": 80.0, "pixel_size": None, "sensitivity": 0.4},
    ]


@pytest.mark.usefixtures("classifier")
def test_the_scale_is_estimated_where_the_model_knows_its_own(
    demo: Any, reading: CellsReading, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = PixelSize(0.05, 0.045, 0.055, "estimated", 30)
    monkeypatch.setattr("napari_cytodino.finding.pixel_size_of", lambda source: seen)
    own = replace(demo.preprocessing, microns_per_pixel=0.1)
    scaled = replace(demo, preprocessing=own)
    for checkpoint, given, told in (
        (scaled, None, [seen]),
        (scaled, PixelSize(0.2, 0.2, 0.2), []),
        (replace(demo, preprocessing=replace(own, microns_per_pixel=None)), None, []),
    ):
        made = request(checkpoint, reading, pixel_size=given)
        steps = list(work.classify_steps(made, work.ClassifierCache()))
        assert [step for step in steps if isinstance(step, PixelSize)] == told


def test_finding_says_what_is_wrong(smear: Any) -> None:
    grey = ImageSource(smear.image[..., 0])
    with pytest.raises(InputError, match="grey"):
        list(work.find_steps(lambda: grey))
    empty = ImageSource(np.full((60, 60, 3), 240, np.uint8))
    with pytest.raises(InputError, match="No stained"):
        list(work.find_steps(lambda: empty))


def test_a_click_cuts_the_cell_under_it(smear: Any) -> None:
    y, x = smear.centres[0]
    cell = work.cut_cell(ImageSource(smear.image), y, x, 80.0)
    assert len(cell) == 1
    top, left, bottom, right = cell.bbox[0]
    assert top <= y < bottom
    assert left <= x < right
    assert np.hypot(*(cell.centre[0] - (y, x))) < 30


def test_one_model_is_loaded_once(demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(
        "napari_cytodino.inference.Classifier",
        lambda *args, **kwargs: made.append(args) or object(),
    )
    models = work.ClassifierCache()
    first = models.classifier(demo, "cpu", 4)
    assert models.classifier(demo, "cpu", 4) is first
    assert models.classifier(demo, "cpu", 8) is not first
    assert len(made) == 2


@pytest.mark.parametrize("gains", [False, True])
def test_thresholds_are_those_of_the_type_computed_in(
    demo: Any, reading: CellsReading, gains: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as if the checkpoint had been calibrated in bfloat16 too
    monkeypatch.setitem(vars(demo), "calibrated", ("float32", "bfloat16"))
    monkeypatch.setattr(devices, "bfloat16_is_faster", lambda kind: gains)
    models = work.ClassifierCache()
    opened = next(iter(work.classify_steps(request(demo, reading), models)))
    dtype = "bfloat16" if gains else "float32"
    assert opened.checkpoint.dtype == dtype
    assert opened.device.split(":")[0].endswith(f", {dtype}")
    assert bool(opened.checkpoint.policy.uncalibrated) is gains
    classifier = models.classifier(opened.checkpoint, "cpu", 4)
    assert classifier.dtype == dtype
