"""Inference gives each cell its own answer, once, whatever the batches and memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_cytodino.cells.cells import cells_from_points
from napari_cytodino.cells.crops import iter_crops
from napari_cytodino.common.errors import CytoDinoError, InputError
from napari_cytodino.images.source import ImageSource
from napari_cytodino.inference.classification import ClassifyOptions, classify, collect
from napari_cytodino.inference.classifier import (
    CPU_BATCH,
    LARGEST_BATCH,
    Classifier,
    fitting_batch,
    preprocess,
)
from napari_cytodino.inference.devices import Device, pick_device


@pytest.fixture(scope="module")
def run(image, points):
    """Return what gives the answers of a classifier for 13 cells."""

    def answers(classifier, batch_size=8):
        source = ImageSource(image)
        cells = cells_from_points(points, source.shape, diameter=40)
        batches = classifier.run(iter_crops(source, cells, 80, batch_size))
        return collect(batches, len(cells), classifier.checkpoint)

    return answers


def test_every_cell_once_and_equal_for_any_batch_size(checkpoint, run):
    whole = run(Classifier(checkpoint, "cpu", 64), 64)
    parts = run(Classifier(checkpoint, "cpu", 3), 5)
    assert whole.done.all()
    np.testing.assert_allclose(whole.logits, parts.logits, atol=1e-4)
    assert whole.embeddings.shape == (13, 32)
    assert np.ptp(whole.logits, axis=0).max() > 0


@pytest.mark.parametrize("fits", [1, 2, 5])
def test_memory_that_runs_out_halves_the_batch(checkpoint, fits, monkeypatch, run):
    want = run(Classifier(checkpoint, "cpu", 8))
    classifier = Classifier(checkpoint, "cpu", 8)
    real, seen = classifier._model.predict, []

    def embed(values):
        if len(values) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        seen.append(len(values))
        return real(values)

    monkeypatch.setattr(classifier._model, "predict", embed)
    got = run(classifier)
    np.testing.assert_allclose(got.logits, want.logits, atol=1e-4)
    assert sum(seen) == 13
    assert classifier.batch_size <= fits


@pytest.fixture
def small_card(checkpoint, monkeypatch):
    """Return a function that makes a classifier on a card for so many cells."""
    for name, value in {
        "memory_allocated": 0,
        "max_memory_allocated": 800,
        "reset_peak_memory_stats": None,
        "mem_get_info": (10**9, 10**9),
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    real = Classifier._forward

    def make(room, message="CUDA out of memory. Tried to allocate 2.00 GiB"):
        def forward(self, pixels):
            seen.append(len(pixels))
            if len(pixels) > room:
                raise torch.OutOfMemoryError(message)
            self.device = replace(self.device, kind="cpu")
            try:
                return real(self, pixels)
            finally:
                self.device = replace(self.device, kind="cuda")

        seen = []
        classifier = Classifier(checkpoint, "cpu", 8)
        classifier.device = Device("cuda", "Small Card")
        monkeypatch.setattr(Classifier, "_forward", forward)
        return classifier, seen

    return make


@pytest.mark.parametrize(
    ("room", "tried"), [(1, [8, 4, 2, 1]), (5, [8, 4]), (8, [8])], ids=str
)
def test_a_card_for_a_few_cells_gets_a_few(small_card, room, tried):
    classifier, seen = small_card(room)
    fits = classifier._probe_batch_size()
    assert seen == tried
    assert fits == (LARGEST_BATCH if room >= CPU_BATCH else tried[-1])


def test_a_card_too_small_for_one_cell_is_one_sentence(small_card):
    classifier, _ = small_card(0)
    with pytest.raises(CytoDinoError, match="Small Card ran out on a single cell"):
        classifier._probe_batch_size()
    classifier, seen = small_card(0, "shapes do not fit")
    with pytest.raises(RuntimeError, match="shapes"):
        classifier._probe_batch_size()
    assert seen == [CPU_BATCH]


def test_a_card_too_small_for_the_model_is_one_sentence(checkpoint, monkeypatch):
    def cast(self, device, dtype):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("napari_cytodino.inference.engine.FusedModel.to_device", cast)
    with pytest.raises(CytoDinoError, match="ran out on the model; close"):
        Classifier(checkpoint, "cpu")


def test_a_single_cell_too_large_is_one_sentence(checkpoint, monkeypatch, run):
    classifier = Classifier(checkpoint, "cpu", 8)

    def embed(values):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(classifier._model, "predict", embed)
    with pytest.raises(CytoDinoError, match="single cell"):
        run(classifier)


def test_other_errors_are_not_swallowed(checkpoint, monkeypatch, run):
    classifier = Classifier(checkpoint, "cpu", 8)

    def embed(values):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(classifier._model, "predict", embed)
    with pytest.raises(RuntimeError, match="shapes"):
        run(classifier)


def test_cancel_stops_before_the_next_batch(checkpoint, image, points):
    classifier = Classifier(checkpoint, "cpu", 4)
    source = ImageSource(image)
    cells = cells_from_points(points, source.shape, diameter=40)
    done = []
    batches = iter_crops(source, cells, 80, 4)
    for batch in classifier.run(batches, lambda: len(done) >= 2):
        done.append(batch)
    assert [len(b.rows) for b in done] == [4, 4]


def test_preprocessing_equals_its_definition(checkpoint):
    pixels = np.full((1, 64, 64, 3), 255, np.uint8)
    pixels[..., 1] = 0
    values = preprocess(pixels, checkpoint)
    assert values.shape == (1, 3, 64, 64)
    np.testing.assert_allclose(values[0, 0], (1 - 0.5) / 0.25, atol=1e-6)
    np.testing.assert_allclose(values[0, 1], -2.0, atol=1e-6)


def test_shrinking_does_not_alias(checkpoint):
    stripes = np.zeros((1, 256, 256, 3), np.uint8)
    stripes[:, :, ::2] = 255
    values = preprocess(stripes, checkpoint)[0, 0, 4:-4, 4:-4]
    assert values.abs().max() < 0.3


def test_an_apple_gpu_is_given_what_the_cpu_would_be(checkpoint, on_apple_gpu):
    side = checkpoint.preprocessing.size + 20
    pixels = np.random.default_rng(2).integers(0, 256, (2, side, side, 3), np.uint8)
    values = preprocess(pixels, checkpoint, "mps")
    assert values.device.type == "mps"
    assert torch.equal(values.cpu(), preprocess(pixels, checkpoint))


def test_bad_requests_are_refused(checkpoint, image):
    cpu = ClassifyOptions(device="cpu")
    with pytest.raises(InputError, match=r"\(5, 5\) do not fit"):
        classify(image, np.ones((5, 5), int), checkpoint, job=cpu)
    with pytest.raises(InputError, match="No cells were given"):
        classify(image, None, checkpoint, job=cpu)
    with pytest.raises(InputError, match="batch size of 0"):
        Classifier(checkpoint, "cpu", 0)
    with pytest.raises(InputError, match="'tpu' is no device"):
        pick_device("tpu")


# --- cells unlike the training cells ---------------------------------------------


def test_without_training_cells_no_distance_is_known(checkpoint, run):
    assert np.isnan(run(Classifier(checkpoint, "cpu", 8)).unfamiliarity).all()


def test_each_cell_gets_its_own_distance_to_the_training_cells(calibrated, run):
    loaded = calibrated(far=False)
    whole = run(Classifier(loaded, "cpu", 64), 64)
    want = loaded.familiarity().novelty_score(whole.embeddings)
    np.testing.assert_allclose(whole.unfamiliarity, want, rtol=1e-4)
    assert np.ptp(want) > 0
    parts = run(Classifier(loaded, "cpu", 3), 5)
    np.testing.assert_allclose(parts.unfamiliarity, want, rtol=1e-2)


def test_an_embedding_that_is_not_finite_is_unlike_all(calibrated, monkeypatch, run):
    classifier = Classifier(calibrated(far=False), "cpu", 64)
    real = classifier._model.predict

    def embed(values):
        logits, embedding, features = real(values)
        embedding = embedding.clone()
        embedding[0, 3] = torch.nan
        return logits, embedding, features

    monkeypatch.setattr(classifier._model, "predict", embed)
    whole = run(classifier, 64)
    assert np.isinf(whole.unfamiliarity).tolist() == [True] + [False] * 12
    assert np.isfinite(whole.logits).all()


@pytest.mark.parametrize(
    ("need", "free", "fits"),
    [(1, 16, 8), (3, 16, 2), (100, 16, 1), (0, 1e12, 256), (1e8, 140e9, 256)],
)
def test_a_batch_is_a_power_of_two_in_half_of_the_free_memory(need, free, fits):
    assert fitting_batch(need, free) == fits


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_why_not_the_gpu():
    assert pick_device("cpu").why == ""
    assert pick_device("auto").why or pick_device("auto").kind == "mps"
    with pytest.raises(InputError, match="'cuda' cannot be used"):
        pick_device("cuda")
