"""Distances to the training cells: against scikit-learn, by hand, by properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from napari_cytodino.common.errors import InputError
from napari_cytodino.uncertainty import novelty as module
from napari_cytodino.uncertainty.novelty import (
    NEIGHBOURS,
    NoveltyDetector,
    fit_novelty_detector,
    shrunk_covariance,
    unit,
    with_limits,
)

WIDTH = 12


def groups(n, seed=0, classes=3):
    """Return embeddings in three clouds of unlike size, and their classes."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, n)
    centres = np.random.default_rng(99).normal(size=(classes, WIDTH)) * 3
    scatter = rng.normal(size=(n, WIDTH)) * np.linspace(0.3, 2, WIDTH)
    return centres[targets] + scatter, targets


@pytest.fixture(scope="module")
def learned():
    own, targets = groups(300)
    return fit_novelty_detector(own, targets, groups(500, 1)[0], quantile=0.95)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 60), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_covariance_is_that_of_ledoit_and_wolf(n, d, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * rng.uniform(0.1, 5, d)
    oracle = LedoitWolf(assume_centered=True).fit(x).covariance_
    np.testing.assert_allclose(shrunk_covariance(x), oracle, rtol=1e-9, atol=1e-12)


def test_covariance_of_few_rows_can_be_inverted():
    x = np.random.default_rng(0).normal(size=(3, 40))
    assert np.linalg.eigvalsh(shrunk_covariance(x)).min() > 0


def test_cosine_distance_is_that_to_the_fifth_neighbour(learned):
    new = groups(200, 2)[0]
    oracle = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine")
    oracle.fit(learned.references.astype(np.float64))
    want = oracle.kneighbors(new)[0][:, -1]
    # references are stored in half precision, of length 1 to 3 decimals
    np.testing.assert_allclose(learned.distances(new)[:, 0], want, atol=1e-3)
    classes, near = learned.nearest(new[0])
    places = oracle.kneighbors(new[:1])[1][0]
    np.testing.assert_array_equal(classes, learned.classes[places])
    assert (np.diff(near) >= 0).all()
    assert near[-1] == pytest.approx(want[0], abs=1e-3)


def test_mahalanobis_distance_is_that_to_the_nearest_class(learned):
    own, targets = groups(300)
    means = np.stack([own[targets == k].mean(axis=0) for k in range(3)])
    oracle = LedoitWolf(assume_centered=True).fit(own - means[targets])
    new = groups(100, 3)[0]
    # its own mahalanobis() gives squares, from a centre of 0
    want = np.sqrt([oracle.mahalanobis(new - m) for m in means]).min(axis=0)
    np.testing.assert_allclose(learned.distances(new)[:, 1], want, rtol=1e-3)


def test_distances_by_hand():
    axes = np.eye(3)
    known = NoveltyDetector(
        axes.astype(np.float16),
        np.array([4, 5, 6]),
        np.zeros((1, 3), np.float32),
        np.diag([1, 1, 0.5]).astype(np.float32),
        np.array([0.5, 2.0]),
    )
    # three references alone: the third is the farthest; 3-4-5 triangle, third halved
    made = known.distances(np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 8.0]]))
    np.testing.assert_allclose(made, [[1.0, 5.0], [1.0, 4.0]], atol=1e-6)
    np.testing.assert_allclose(
        known.novelty_score(np.array([[3.0, 4.0, 0.0]])), [2.5], atol=1e-6
    )
    classes, distance = known.nearest(np.array([3.0, 4.0, 0.0]), 2)
    assert classes.tolist() == [5, 4]
    np.testing.assert_allclose(distance, [0.2, 0.4], atol=1e-6)
    assert known.width == 3


@settings(deadline=None, max_examples=25)
@given(st.floats(0.5, 0.99), st.integers(20, 300), st.integers(0, 2**32 - 1))
def test_at_least_the_quantile_of_the_other_cells_is_familiar(quantile, n, seed):
    own, targets = groups(80, seed)
    other = groups(n, seed + 1)[0]
    made = fit_novelty_detector(own, targets, other, quantile=quantile)
    inside = (made.novelty_score(other) <= 1).mean()
    assert inside >= quantile - 1e-9
    each = (made.distances(other) <= made.limits).mean(axis=0)
    assert (each <= (1 + quantile) / 2 + 2 / n).all()


def test_cells_of_another_kind_are_unfamiliar(learned):
    own, strange = groups(400, 4)[0], groups(400, 5)[0][:, ::-1] * 2
    assert (learned.novelty_score(own) > 1).mean() < 0.1
    assert (learned.novelty_score(strange) > 1).mean() > 0.9


def test_unfamiliarity_is_the_larger_ratio(learned):
    new = groups(50, 6)[0]
    want = (learned.distances(new) / learned.limits).max(axis=1)
    made = learned.novelty_score(new)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, want, rtol=1e-6)


def test_values_that_are_not_finite_give_nan_in_their_row_alone(learned):
    new = groups(4, 7)[0]
    clean = learned.novelty_score(new)
    new[1, 3], new[2, 0] = np.nan, np.inf
    made = learned.novelty_score(new)
    assert np.isnan(made).tolist() == [False, True, True, False]
    np.testing.assert_allclose(made[[0, 3]], clean[[0, 3]], rtol=1e-6)
    assert np.isnan(learned.novelty_score(new[1:3])).all()
    assert learned.novelty_score(new[:0]).shape == (0,)


def test_chunks_change_nothing(learned, monkeypatch):
    new = groups(50, 8)[0]
    whole = learned.distances(new)
    monkeypatch.setattr(module, "CHUNK", 7)
    np.testing.assert_allclose(learned.distances(new), whole, rtol=1e-5, atol=1e-6)


def test_order_of_training_cells_changes_nothing():
    own, targets = groups(120)
    other, new = groups(100, 1)[0], groups(40, 9)[0]
    order = np.random.default_rng(0).permutation(120)
    one = fit_novelty_detector(own, targets, other, quantile=0.9)
    two = fit_novelty_detector(own[order], targets[order], other, quantile=0.9)
    np.testing.assert_allclose(
        one.novelty_score(new), two.novelty_score(new), rtol=1e-4
    )


def test_turning_all_embeddings_changes_no_distance():
    own, targets = groups(200)
    other, new = groups(100, 1)[0], groups(40, 9)[0]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)))[0]
    one = fit_novelty_detector(own, targets, other, quantile=0.9)
    two = fit_novelty_detector(own @ turn, targets, other @ turn, quantile=0.9)
    np.testing.assert_allclose(
        one.distances(new), two.distances(new @ turn), rtol=5e-3, atol=2e-3
    )


def test_half_precision_is_enough(learned):
    new = groups(200, 10)[0]
    np.testing.assert_allclose(
        learned.novelty_score(new.astype(np.float16)),
        learned.novelty_score(new),
        rtol=0.02,
    )


def test_classes_without_training_cells_have_no_mean():
    own, targets = groups(60)
    made = fit_novelty_detector(own, targets * 4, own, quantile=0.9)
    assert made.means.shape == (3, WIDTH)
    assert set(made.classes) == {0, 4, 8}


def test_references_are_of_length_one(learned):
    lengths = np.linalg.norm(learned.references.astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=2e-3)
    np.testing.assert_array_equal(unit(np.zeros((1, 3), np.float32)), np.zeros((1, 3)))


def test_tensors_give_back_the_same(learned):
    again = NoveltyDetector.from_tensors(learned.to_tensors())
    new = groups(20, 11)[0]
    np.testing.assert_array_equal(again.distances(new), learned.distances(new))


@pytest.mark.parametrize(
    "change",
    [
        {"references": np.zeros((0, WIDTH), np.float16)},
        {"references": np.zeros(WIDTH, np.float16)},
        {"classes": np.zeros(3, np.int64)},
        {"means": np.zeros((3, WIDTH + 1), np.float32)},
        {"means": np.zeros((0, WIDTH), np.float32)},
        {"whitening": np.zeros((WIDTH, 2), np.float32)},
        {"whitening": np.full((WIDTH, WIDTH), np.nan, np.float32)},
        {"limits": np.array([1.0, 0.0])},
        {"limits": np.array([1.0, np.inf])},
        {"limits": np.ones(3)},
    ],
)
def test_arrays_that_contradict_each_other_are_refused(learned, change):
    with pytest.raises(InputError, match="calibrate the checkpoint again"):
        NoveltyDetector.from_tensors(learned.to_tensors() | change)


def test_missing_or_unknown_arrays_are_refused(learned):
    tensors = learned.to_tensors()
    with pytest.raises(InputError, match=r"but there are .*strange"):
        NoveltyDetector.from_tensors(tensors | {"strange": np.ones(1)})
    tensors.pop("limits")
    with pytest.raises(InputError, match=r"need .*limits"):
        NoveltyDetector.from_tensors(tensors)


@pytest.mark.parametrize("shape", [(3, WIDTH + 1), (WIDTH,), (2, 3, WIDTH)])
def test_embeddings_of_another_model_are_refused(learned, shape):
    with pytest.raises(InputError, match="training cells of width 12"):
        learned.distances(np.zeros(shape))


def test_new_limits_leave_the_training_cells(learned):
    other = groups(300, 12)[0]
    made = with_limits(learned, other, 0.5)
    np.testing.assert_array_equal(made.distances(other), learned.distances(other))
    assert (made.limits < learned.limits).all()
    assert 0.5 <= (made.novelty_score(other) <= 1).mean() < 0.9
    own, targets = groups(300)
    again = fit_novelty_detector(own, targets, other, quantile=0.5)
    np.testing.assert_array_equal(made.limits, again.limits)
    other[3, 0] = np.nan
    with pytest.raises(InputError, match="no finite numbers"):
        with_limits(learned, other, 0.5)


@pytest.mark.parametrize("targets", [[0, 1, 2], [0, 0]])
def test_too_few_cells_to_tell_how_they_scatter_are_refused(targets):
    own = np.eye(len(targets), WIDTH)
    with pytest.raises(InputError, match="more cells of each class"):
        fit_novelty_detector(own, np.array(targets), groups(20)[0], quantile=0.9)
