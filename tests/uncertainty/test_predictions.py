"""Predictions grow by batches and never turn nonsense into probabilities."""

import numpy as np
from scipy.special import softmax

from napari_cytodino.uncertainty.predictions import PredictionBatch, Predictions


def batch(rows, logits, readable=None, far=None):
    logits = np.asarray(logits, np.float32)
    readable = np.ones(len(logits), bool) if readable is None else np.array(readable)
    return PredictionBatch(
        np.asarray(rows), logits, np.ones((len(logits), 2), np.float16), readable, far
    )


def test_batches_land_on_their_rows():
    whole = Predictions.empty(4, 3, 2).with_batches(
        [batch([2, 0], [[1, 2, 3], [3, 2, 1]])]
    )
    assert whole.done.tolist() == [True, False, True, False]
    np.testing.assert_array_equal(whole.logits[2], [1, 2, 3])
    np.testing.assert_array_equal(whole.logits[0], [3, 2, 1])
    assert np.isnan(whole.logits[[1, 3]]).all()


def test_the_original_stays_as_it_was():
    empty = Predictions.empty(1, 3, 2)
    empty.with_batches([batch([0], [[1, 2, 3]])])
    assert not empty.done.any()


def test_not_finite_is_not_readable():
    whole = Predictions.empty(3, 2, 2).with_batches(
        [batch([0, 1, 2], [[1, np.nan], [np.inf, 0], [1, 2]], [True, True, False])]
    )
    assert not whole.readable.any()
    assert whole.done.all()
    assert np.isnan(whole.probabilities()).all()


def test_probabilities_are_softmax_at_a_temperature():
    logits = np.random.default_rng(0).normal(0, 50, (20, 5)).astype(np.float32)
    whole = Predictions.empty(20, 5, 2).with_batches([batch(range(20), logits)])
    for temperature in (0.5, 1.0, 3.0):
        want = softmax(logits.astype(float) / temperature, axis=1)
        np.testing.assert_allclose(whole.probabilities(temperature), want, atol=1e-6)


def test_no_cells():
    assert Predictions.empty(0, 3, 2).probabilities().shape == (0, 3)


def test_distance_to_the_training_cells_lands_on_its_rows():
    far = np.array([0.5, 2.0], np.float32)
    first = batch([2, 0], [[1, 2, 3], [3, 2, 1]], far=far)
    whole = Predictions.empty(4, 3, 2).with_batches([first, batch([1], [[0, 0, 0]])])
    np.testing.assert_array_equal(whole.unfamiliarity, [2.0, np.nan, 0.5, np.nan])
    assert whole.done.tolist() == [True, True, True, False]
    assert np.isnan(Predictions.empty(2, 3, 2).unfamiliarity).all()


def test_batches_at_once_are_batches_one_by_one():
    rng = np.random.default_rng(1)
    parts = [
        batch([i, i + 5], rng.normal(size=(2, 3)), far=rng.random(2).astype(np.float32))
        for i in range(5)
    ]
    at_once = Predictions.empty(10, 3, 2).with_batches(parts)
    one_by_one = Predictions.empty(10, 3, 2)
    for part in parts:
        one_by_one = one_by_one.with_batches([part])
    for name in ("logits", "embeddings", "done", "readable", "unfamiliarity"):
        np.testing.assert_array_equal(getattr(at_once, name), getattr(one_by_one, name))


def test_longer_predictions_keep_what_is_known():
    batch = PredictionBatch(
        np.array([1]),
        np.array([[3.0, 1.0]], np.float32),
        np.ones((1, 4), np.float16),
        np.ones(1, bool),
    )
    short = Predictions.empty(2, 2, 4).with_batches([batch])
    grown = short.longer(5)
    assert len(grown) == 5
    assert grown.done.tolist() == [False, True, False, False, False]
    np.testing.assert_array_equal(grown.logits[:2], short.logits)
    np.testing.assert_array_equal(grown.embeddings[1], short.embeddings[1])
    assert np.isnan(grown.logits[2:]).all()
    assert np.isnan(grown.unfamiliarity[2:]).all()
