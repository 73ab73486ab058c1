"""Calibration: the temperature that was put in comes out; promises hold elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sklearn
from scipy.special import softmax
from scipy.stats import beta
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from napari_cytodino.common.errors import InputError
from napari_cytodino.stats.binomial import upper_bound
from napari_cytodino.stats.fixed_sequence import select_threshold
from napari_cytodino.stats.fixed_sequence import select_threshold as core_select
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.evaluation.cards import decisions_block
from napari_cytodino.uncertainty.calibration import (
    ERROR_RATES,
    Calibration,
    CalibrationTargets,
)
from napari_cytodino.uncertainty.calibration_fit import (
    CHECKS,
    fit_calibration,
    fit_temperature,
)
from napari_cytodino.uncertainty.decisions import (
    UNREACHABLE,
    DecisionPolicy,
    accepted_cells,
)
from napari_cytodino.uncertainty.labelled import LabelledPredictions
from napari_cytodino.uncertainty.predictions import as_predictions
from napari_cytodino.uncertainty.probabilities import class_probabilities

if TYPE_CHECKING:
    from napari_cytodino.uncertainty.novelty import NoveltyDetector

WHOLE = Taxonomy.load("mll21")
SAFE = WHOLE.subset([c.code for c in WHOLE.classes if c.risk == "safe"][:3])
SIX = replace(
    WHOLE.subset(["BLA", "PMO", "NGS", "LYT", "MON", "EBO"]), tree=(), costs=()
)
"""Two critical classes, four safe ones."""

WIDTH = 6


def drawn(n: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits, too sharp by the temperature, and targets they predict."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(n, 3)) * 3
    chance = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    targets = (rng.random((n, 1)) > chance.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return (honest * temperature).astype(np.float32), targets


def answers(
    n: int,
    seed: int,
    *,
    classes: int = 6,
    sharp: float = 1.5,
    patients: int | None = None,
) -> LabelledPredictions:
    """Return cells of mixed difficulty, whose targets follow their probabilities."""
    rng = np.random.default_rng(seed)
    ease = rng.choice([1.0, 4.0, 14.0], (n, 1), p=[0.2, 0.3, 0.5])
    honest = ease * rng.gumbel(size=(n, classes))
    chance = softmax(honest, axis=1)
    targets = (rng.random((n, 1)) > chance.cumsum(axis=1)).sum(axis=1)
    targets = targets.clip(0, classes - 1)
    centres = np.eye(classes, WIDTH) * 4
    embeddings = centres[targets] + rng.normal(size=(n, WIDTH))
    return LabelledPredictions(
        targets,
        (honest * sharp).astype(np.float32),
        np.where(rng.random(n) < 0.7, "lab", "other"),
        embeddings.astype(np.float32),
        None if patients is None else rng.integers(0, patients, n).astype(str),
    )


@pytest.fixture(scope="module")
def parts() -> tuple[LabelledPredictions, LabelledPredictions, LabelledPredictions]:
    return answers(600, 1), answers(4000, 2), answers(12_000, 3)


@pytest.fixture(scope="module")
def measured(
    parts: tuple[LabelledPredictions, LabelledPredictions, LabelledPredictions],
) -> tuple[Calibration, NoveltyDetector]:
    return fit_calibration(*parts, SIX, facts={"split": "abc"})


# --- temperature -----------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found(temperature: float) -> None:
    logits, targets = drawn(20_000, temperature)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.08)


class Passing(ClassifierMixin, BaseEstimator):
    """A classifier whose features are its logits."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> Passing:
        """Learn which classes there are."""
        self.classes_, self.n_features_in_ = np.unique(y), x.shape[1]
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        """Return the logits."""
        return x

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the likeliest class."""
        return self.classes_[x.argmax(axis=1)]


@pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8),
    reason="scikit-learn scales temperatures from 1.8 on",
)
@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_scikit_learn_finds_the_same_temperature(temperature: float) -> None:
    logits, targets = drawn(3000, temperature, seed=4)
    x = logits.astype(np.float64)
    oracle = CalibratedClassifierCV(
        FrozenEstimator(Passing().fit(x, targets)), method="temperature"
    ).fit(x, targets)
    own = softmax(x / fit_temperature(logits, targets), axis=1)
    np.testing.assert_allclose(oracle.predict_proba(x), own, atol=2e-4)


# --- what is promised ------------------------------------------------------------


def test_what_was_measured_is_told(
    measured: tuple[Calibration, NoveltyDetector],
    parts: tuple[LabelledPredictions, ...],
) -> None:
    made, known = measured
    targets, sources = parts[2].targets, parts[2].sources
    assert made.classes == SIX.codes
    assert list(made.counts.values()) == np.bincount(targets, minlength=6).tolist()
    assert made.curve.cells == made.lineage_curve.cells == 12_000
    assert made.temperature == fit_temperature(parts[1].logits, parts[1].targets)
    lab = (sources == "lab").sum()
    assert made.data == f"lab {lab}, other {12_000 - lab}"
    assert (made.patients, made.guarantee_level, dict(made.made_for)) == (
        None,
        "guaranteed",
        {},
    )
    assert made.facts["split"] == "abc"
    assert "learn-then-test" in made.facts["method"]
    assert len(known.references) == 600
    assert Calibration.from_dict(made.to_dict()).policy() == made.policy()


@pytest.mark.parametrize("risk", [0.01, 0.02, 0.05])
def test_the_promise_holds_for_cells_that_were_not_seen(
    measured: tuple[Calibration, NoveltyDetector], risk: float
) -> None:
    made, known = measured
    new = answers(40_000, 9)
    unlike = known.novelty_score(new.embeddings.astype(np.float16))
    taken = accepted_cells(new.logits, SIX, made.policy(risk), unlike)
    wrong = new.logits.argmax(axis=1) != new.targets
    assert wrong.mean() > 0.08
    assert taken.mean() > 0.2
    assert wrong[taken].mean() <= risk


def test_what_is_accepted_in_use_is_what_was_counted(
    measured: tuple[Calibration, NoveltyDetector],
    parts: tuple[LabelledPredictions, ...],
) -> None:
    made, known = measured
    part_b = parts[2]
    unlike = known.novelty_score(part_b.embeddings.astype(np.float16))
    wrong = part_b.logits.argmax(axis=1) != part_b.targets
    for risk in (0.01, 0.05):
        row = made.row_by_risk[risk]
        assert row is not None
        taken = accepted_cells(part_b.logits, SIX, made.policy(risk), unlike)
        assert taken.sum() == made.curve.accepted[row]
        assert wrong[taken].sum() == made.curve.wrong[row]


def test_too_few_cells_promise_nothing() -> None:
    made, _ = fit_calibration(answers(100, 1), answers(200, 2), answers(150, 3), SIX)
    # 10 % takes 39 cells without an error, 0.5 % 817 of them
    for risk in (0.001, 0.002, 0.005, 0.01):
        assert made.row_by_risk[risk] is None
        assert made.policy(risk).min_confidence == UNREACHABLE
        assert made.policy(risk).guarantee == ""
    assert "it takes 817 accepted cells" in made.why_not(0.005)
    few, _ = fit_calibration(answers(100, 1), answers(200, 2), answers(20, 3), SIX)
    assert few.strictest is None
    assert not accepted_cells(answers(50, 4).logits, SIX, few.policy()).any()


def test_a_risk_out_of_reach_becomes_the_least_that_is_not() -> None:
    made, _ = fit_calibration(
        answers(100, 1),
        answers(500, 2),
        answers(2500, 3),
        SIX,
        CalibrationTargets(risk=0.001),
    )
    assert made.row_by_risk[0.001] is None
    assert made.risk == made.strictest
    assert made.risk > 0.001
    assert made.policy().min_confidence < UNREACHABLE
    assert made.policy() == made.policy(made.risk)


def test_a_risk_within_reach_stays(parts: tuple[LabelledPredictions, ...]) -> None:
    made, _ = fit_calibration(*parts, SIX, CalibrationTargets(risk=0.05))
    assert made.risk == 0.05
    assert made.strictest is not None
    assert made.strictest < 0.05


@pytest.mark.parametrize(
    ("patients", "word"), [(10, ""), (50, "approximate"), (200, "guaranteed")]
)
def test_patients_are_counted(patients: int, word: str) -> None:
    part_b = answers(5000, 3, patients=patients)
    made, _ = fit_calibration(answers(200, 1), answers(500, 2), part_b, SIX)
    assert (made.patients, made.guarantee_level) == (patients, word)
    assert (made.strictest is None) == (word == "")
    assert (made.curve.effect >= 1).all()


def test_permuting_cells_changes_nothing(
    measured: tuple[Calibration, NoveltyDetector],
    parts: tuple[LabelledPredictions, ...],
) -> None:
    rng = np.random.default_rng(5)
    turned = [p.take(rng.permutation(len(p))) for p in parts]
    made, _ = fit_calibration(*turned, SIX, facts={"split": "abc"})
    assert made.counts == measured[0].counts
    assert made.temperature == pytest.approx(measured[0].temperature, abs=1e-4)
    # means and covariances are sums, whose last bits depend on the order
    for risk in ERROR_RATES:
        one, two = made.policy(risk), measured[0].policy(risk)
        assert one.min_confidence == pytest.approx(two.min_confidence, abs=1e-3)
        assert (one.max_critical, one.rare) == (two.max_critical, two.rare)


def test_renaming_classes_changes_nothing(
    measured: tuple[Calibration, NoveltyDetector],
    parts: tuple[LabelledPredictions, ...],
) -> None:
    named = {code: f"X{i}" for i, code in enumerate(SIX.codes)}
    other = replace(
        SIX, classes=tuple(replace(c, code=named[c.code]) for c in SIX.classes)
    )
    made, _ = fit_calibration(*parts, other, facts={"split": "abc"})
    counts = {named[code]: n for code, n in measured[0].counts.items()}
    want = replace(measured[0], classes=other.codes, counts=counts)
    assert made.to_dict() == want.to_dict()


def test_the_order_of_classes_changes_nothing(
    measured: tuple[Calibration, NoveltyDetector],
    parts: tuple[LabelledPredictions, ...],
) -> None:
    order = np.random.default_rng(2).permutation(6)
    place = np.argsort(order)
    turned = [
        replace(p, logits=p.logits[:, order], targets=place[p.targets]) for p in parts
    ]
    other = replace(SIX, classes=tuple(SIX.classes[i] for i in order))
    made, _ = fit_calibration(*turned, other)
    assert dict(made.counts) == dict(measured[0].counts)
    for risk in ERROR_RATES:
        one, two = made.policy(risk), measured[0].policy(risk)
        assert one.min_confidence == pytest.approx(two.min_confidence, abs=1e-4)
        assert one.min_lineage == pytest.approx(two.min_lineage, abs=1e-4)
        assert one.max_critical == two.max_critical


# --- critical cells, rare classes, sets ------------------------------------------


def test_the_laxest_check_that_misses_few_enough_is_taken() -> None:
    # 1,000 critical cells, of which 3 % are called harmless and keep 0.2 % at first
    n = 2000
    targets = np.repeat([SIX.index("BLA"), SIX.index("NGS")], n // 2)
    p = np.full((n, 6), 1e-6)
    p[np.arange(n), targets] = 0.99
    p[:30] = 1e-6
    p[:30, SIX.index("NGS")], p[:30, SIX.index("BLA")] = 0.998, 0.002
    p /= p.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    cells = LabelledPredictions(
        targets,
        np.log(p).astype(np.float32),
        np.full(n, "lab"),
        rng.normal(size=(n, WIDTH)).astype(np.float32),
    )
    made, _ = fit_calibration(cells, cells, cells, SIX)
    # the fitted temperature changes that; the check must lie below what they then keep
    kept = float(
        class_probabilities(
            as_predictions(cells.logits), SIX, made.temperature
        ).critical[0]
    )
    assert made.max_critical == max(c for c in CHECKS if c < kept)
    assert made.missed is not None
    assert (made.missed.cells, made.missed.missed) == (1000, 0)
    assert made.missed.bound == pytest.approx(1 - (0.05 / 3) ** (1 / 1000))
    lax, _ = fit_calibration(
        cells, cells, cells, SIX, CalibrationTargets(critical_risk=0.04)
    )
    assert lax.max_critical == CHECKS[-1]
    assert lax.missed is not None
    assert lax.missed.missed == 30
    assert lax.missed.bound == pytest.approx(float(upper_bound(30, 1000, 0.05 / 3)))


def of_patients(
    whose: np.ndarray, missed: np.ndarray, mistaken: np.ndarray | None = None
) -> LabelledPredictions:
    """Return critical cells of patients, each missed, mistaken or rightly called."""
    n = len(whose)
    called = np.where(missed, SIX.index("NGS"), SIX.index("BLA"))
    if mistaken is not None:
        called = np.where(mistaken, SIX.index("PMO"), called)
    p = np.full((n, 6), 1e-9)
    p[np.arange(n), called] = 1.0
    return LabelledPredictions(
        np.full(n, SIX.index("BLA")),
        np.log(p).astype(np.float32),
        np.full(n, "lab"),
        np.random.default_rng(0).normal(size=(n, WIDTH)).astype(np.float32),
        whose.astype(str),
    )


def test_missed_cells_of_one_patient_are_not_independent() -> None:
    train, part_a = answers(200, 1), answers(500, 2)
    whose = np.repeat(np.arange(120), 25)
    # all cells of 2 of 120 patients: 25 cells of a patient are worth one
    made, _ = fit_calibration(train, part_a, of_patients(whose, whose < 2), SIX)
    assert made.missed is not None
    assert (made.missed.missed, made.missed.cells) == (50, 3000)
    k, n = 2 * 119 / 120, 119.0
    exact = beta.ppf(1 - 0.05 / 3, k + 1, n - k)
    assert made.missed.bound == pytest.approx(exact)
    assert exact > 2.5 * float(upper_bound(50, 3000, 0.05 / 3))
    # the same share, dealt to patients at random, is as good as independent
    chance = np.random.default_rng(1).permutation(whose < 2)
    made, _ = fit_calibration(train, part_a, of_patients(whose, chance), SIX)
    assert made.missed is not None
    plain = float(upper_bound(50, 3000, 0.05 / 3))
    assert plain <= made.missed.bound < 1.35 * plain
    # none missed: that whole patients are mistaken shows how alike their cells are
    quiet = of_patients(whose, np.zeros(3000, bool), whose < 2)
    made, _ = fit_calibration(train, part_a, quiet, SIX)
    assert made.missed is not None
    assert made.missed.missed == 0
    assert made.missed.bound == pytest.approx(1 - (0.05 / 3) ** (1 / n))


def test_few_patients_with_critical_cells_bound_nothing() -> None:
    train, part_a = answers(200, 1), answers(500, 2)
    many = answers(3000, 3, patients=120)
    assert many.groups is not None
    for patients in (29, 30):
        whose = np.arange(3000) % patients
        cells = of_patients(whose, np.zeros(3000, bool))
        part_b = LabelledPredictions(
            np.concatenate([np.full(3000, SIX.index("LYT")), cells.targets]),
            np.concatenate([many.logits, cells.logits]),
            np.concatenate([many.sources, cells.sources]),
            np.concatenate([many.embeddings, cells.embeddings]),
            np.concatenate([np.char.add("m", many.groups), cells.groups]),
        )
        made, _ = fit_calibration(train, part_a, part_b, SIX)
        assert made.guarantee_level == "guaranteed"
        assert made.missed is not None
        assert (made.missed.cells, made.missed.missed) == (3000, 0)
        assert (made.missed.bound == 1.0) == (patients < 30)


def test_without_critical_classes_nothing_is_missed() -> None:
    cells = [answers(n, n, classes=3) for n in (100, 300, 2000)]
    made, _ = fit_calibration(*cells, SAFE)
    assert made.missed is None


def test_rare_classes_are_those_with_fewer_than_19_cells() -> None:
    part_a, part_b = answers(4000, 3), answers(500, 2)
    of_each = np.flatnonzero(part_a.targets == 2), np.flatnonzero(part_a.targets == 4)
    drop = np.concatenate([of_each[0][18:], of_each[1][19:]])
    keep = np.setdiff1d(np.arange(4000), drop)
    made, _ = fit_calibration(answers(200, 1), part_a.take(keep), part_b, SIX)
    assert made.rare == (SIX.codes[2],)
    assert made.policy().rare == made.rare
    # a class without any cell is rare as well
    none = keep[part_a.targets[keep] != 0]
    made, _ = fit_calibration(answers(200, 1), part_a.take(none), part_b, SIX)
    assert made.rare == (SIX.codes[0], SIX.codes[2])
    assert made.counts[SIX.codes[0]] == (part_b.targets == 0).sum()


@pytest.mark.parametrize("seed", range(3))
def test_the_answers_of_part_b_choose_nothing_that_part_b_tests(seed: int) -> None:
    """Whatever part B's true classes are, the same cells reach the thresholds."""
    part_a, part_b = answers(2000, 2), answers(3000, 3)
    few = np.flatnonzero(part_a.targets == 2)[18:]
    part_a = part_a.take(np.setdiff1d(np.arange(2000), few))
    rng = np.random.default_rng(seed)
    # class 4 becomes rare in part B, and the others come in any order
    other = np.where(rng.random(3000) < 0.003, 4, rng.choice([0, 1, 2, 3, 5], 3000))
    one, two = (
        fit_calibration(answers(200, 1), part_a, replace(part_b, targets=targets), SIX)[
            0
        ]
        for targets in (part_b.targets, other)
    )
    assert one.rare == two.rare == (SIX.codes[2],)
    assert one.set_limits == two.set_limits
    assert (one.temperature, one.max_critical) == (two.temperature, two.max_critical)
    for mine, theirs in (
        (one.curve, two.curve),
        (one.lineage_curve, two.lineage_curve),
    ):
        assert np.array_equal(mine.thresholds, theirs.thresholds)
        assert np.array_equal(mine.accepted, theirs.accepted)
        assert not np.array_equal(mine.wrong, theirs.wrong)
    # a class that is rare stops cells, or this would prove nothing
    assert one.curve.accepted[-1] < 2900


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_sets_hold_the_true_class_as_often_as_they_say(level: float) -> None:
    held = []
    for seed in range(12):
        # the temperature is fitted on the very cells the limits are quantiles of
        part_a, part_b = answers(1500, 50 + seed), answers(400, 2)
        made, _ = fit_calibration(
            answers(60, 1), part_a, part_b, SIX, CalibrationTargets(set_level=level)
        )
        new = answers(8000, 90 + seed)
        p = class_probabilities(as_predictions(new.logits), SIX, made.temperature).p
        least = np.array([1 - made.set_limits[c.lineage] for c in SIX.classes])
        inside = p[np.arange(8000), new.targets] >= least[new.targets]
        lineage = SIX.lineage_index[new.targets]
        held.append([inside[lineage == i].mean() for i in range(len(SIX.lineages))])
    # conformal coverage holds on average over calibrations; 12 of them leave 2 points
    mean = np.mean(held, axis=0)
    assert (mean >= level - 0.02).all()
    assert (mean <= level + 0.03).all()


def test_part_b_tells_how_often_sets_hold_the_true_class(
    measured: tuple[Calibration, NoveltyDetector],
    parts: tuple[LabelledPredictions, ...],
) -> None:
    made, part_b = measured[0], parts[2]
    scaled = part_b.logits.astype(np.float64) / made.temperature
    own = softmax(scaled, axis=1)[np.arange(12_000), part_b.targets]
    limits = [made.set_limits[SIX.classes[t].lineage] for t in part_b.targets]
    held = int((own >= 1 - np.array(limits)).sum())
    assert made.facts["sets"]["cells"] == 12_000
    assert made.facts["sets"]["held"] == pytest.approx(held, abs=3)
    assert held / 12_000 == pytest.approx(0.95, abs=0.015)
    assert f"{made.facts['sets']['held']} of 12000 on part B" in decisions_block(made)
    # files of before tell nothing of it, and their cards stay as they are
    older = replace(made, facts={})
    assert "95% of cells of each lineage.\n" in decisions_block(older) + "\n"


def test_known_cells_are_familiar_and_strange_ones_are_not(
    measured: tuple[Calibration, NoveltyDetector],
) -> None:
    known = measured[1]
    new = answers(2000, 8).embeddings
    assert (known.novelty_score(new) > 1).mean() < 0.04
    assert (known.novelty_score(-new * 2) > 1).mean() > 0.9
    stricter, _ = fit_calibration(
        answers(600, 1),
        answers(4000, 2),
        answers(500, 3),
        SIX,
        CalibrationTargets(familiar=0.8),
    )
    assert stricter.familiar == 0.8


# --- refusals and small parts ----------------------------------------------------


@pytest.mark.parametrize(
    ("aims", "word"),
    [
        ({"risk": 0.004}, "risk is 0.004, but must be one of"),
        ({"risk": 0.0}, "risk"),
        ({"critical_risk": 1.0}, "critical_risk"),
        ({"delta": float("nan")}, "delta"),
        ({"familiar": 1.5}, "familiar"),
        ({"set_level": 0.0}, "set_level"),
    ],
)
def test_aims_that_cannot_be_are_named(aims: dict[str, float], word: str) -> None:
    with pytest.raises(InputError, match=word):
        CalibrationTargets(**aims)


def test_accepted_cells_follow_the_policy() -> None:
    logits = np.array([[9, 0, 0], [1, 0.9, 0], [9, 0, 0]], np.float32)
    policy = DecisionPolicy(min_confidence=0.8)
    assert accepted_cells(logits, SAFE, policy).tolist() == [True, False, True]
    far = np.array([0.5, 0.5, 1.5], np.float32)
    assert accepted_cells(logits, SAFE, policy, far).tolist() == [True, False, False]
    assert as_predictions(logits).done.all()


def test_the_threshold_is_selected_where_the_issue_says() -> None:
    assert select_threshold is core_select
