"""Probes: against scikit-learn's classifiers, and on cells one can place by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.comparison.probes import (
    Embedded,
    linear_probe,
    neighbour_probe,
    probe,
)

RNG = np.random.default_rng(0)
CENTRES = 1.5 * RNG.standard_normal((4, 6))


def cells(n: int, seed: int, classes: int = 4) -> Embedded:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, n)
    points = CENTRES[targets] + rng.standard_normal((n, 6))
    return Embedded(points.astype(np.float16), targets)


KNOWN, UNKNOWN = cells(160, 1), cells(80, 2)


def test_nearest_neighbour_is_that_of_scikit_learn() -> None:
    theirs = KNeighborsClassifier(1).fit(KNOWN.wide, KNOWN.targets)
    ours = neighbour_probe(KNOWN, UNKNOWN, 4, 1).argmax(axis=1)
    assert np.array_equal(ours, theirs.predict(UNKNOWN.wide))


def test_votes_are_those_of_scikit_learn() -> None:
    theirs = KNeighborsClassifier(20).fit(KNOWN.wide, KNOWN.targets)
    shares = np.exp(neighbour_probe(KNOWN, UNKNOWN, 4, 20))
    assert shares == pytest.approx(theirs.predict_proba(UNKNOWN.wide), abs=1e-3)


def test_equal_votes_go_to_the_nearer() -> None:
    known = Embedded(np.array([[0.0], [1.0], [3.0], [4.0]]), np.array([1, 1, 0, 0]))
    unknown = Embedded(np.array([[1.5], [2.5]]), np.array([1, 0]))
    found = neighbour_probe(known, unknown, 2, 4)
    assert found.argmax(axis=1).tolist() == [1, 0]


def test_few_known_cells_all_vote() -> None:
    known = Embedded(np.array([[0.0], [1.0], [9.0]]), np.array([0, 0, 2]))
    found = neighbour_probe(known, known, 3, 20)
    assert found.argmax(axis=1).tolist() == [0, 0, 0]
    assert np.isfinite(found).all()


def test_linear_probe_is_dinoblooms_regression() -> None:
    # C = width x 9 / 100, as in evaluation.py of DinoBloom's repository
    theirs = LogisticRegression(C=6 * 9 / 100, max_iter=1000)
    theirs.fit(KNOWN.wide, KNOWN.targets)
    ours = linear_probe(KNOWN, UNKNOWN, 4)
    assert softmax(ours, axis=1) == pytest.approx(
        theirs.predict_proba(UNKNOWN.wide), abs=1e-4
    )


def test_strength_changes_the_probe() -> None:
    weak = linear_probe(KNOWN, UNKNOWN, 4, strength=1e-4)
    assert (
        softmax(weak, axis=1).max()
        < 0.5
        < np.exp(linear_probe(KNOWN, UNKNOWN, 4)).max()
    )


def test_a_class_without_known_cells_is_never_called() -> None:
    rows = KNOWN.targets != 2
    known = Embedded(KNOWN.embeddings[rows], KNOWN.targets[rows])
    for logits in probe(known, UNKNOWN, 5).values():
        assert logits.shape == (80, 5)
        assert np.isfinite(logits).all()
        assert not np.isin(logits.argmax(axis=1), (2, 4)).any()


def test_all_probes_at_once() -> None:
    found = probe(KNOWN, UNKNOWN, 5)
    assert list(found) == [
        "1-NN on frozen embeddings",
        "20-NN on frozen embeddings",
        "linear probe on frozen embeddings",
    ]
    linear = linear_probe(KNOWN, UNKNOWN, 5)
    assert np.array_equal(found["linear probe on frozen embeddings"], linear)
    # the groups can be told apart
    for logits in found.values():
        assert logits.shape == (80, 5)
        assert (logits.argmax(axis=1) == UNKNOWN.targets).mean() > 0.7


def test_what_cannot_be_probed_is_refused() -> None:
    narrow = Embedded(UNKNOWN.embeddings[:, :4], UNKNOWN.targets)
    with pytest.raises(InputError, match="width 6 and 4"):
        probe(KNOWN, narrow, 4)
    with pytest.raises(InputError, match="0 to 3 do not fit 3 classes"):
        neighbour_probe(KNOWN, UNKNOWN, 3, 1)
    same = Embedded(KNOWN.embeddings, np.zeros(160, np.int64))
    with pytest.raises(InputError, match="160 known cells are of one class"):
        linear_probe(same, UNKNOWN, 4)
    with pytest.raises(InputError, match="do not fit 3 targets"):
        Embedded(KNOWN.embeddings, np.zeros(3, np.int64))
    broken = KNOWN.embeddings.copy()
    broken[0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        Embedded(broken, KNOWN.targets)
