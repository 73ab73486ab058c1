"""A linear head that is fitted to verdicts and starts from the checkpoint's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_cytodino.teaching.lessons import Lessons

PENALTIES = (25.6, 6.4, 1.6, 0.4, 0.1)
"""Strengths of the penalty on departing from the checkpoint, of which cross-validation
chooses; the first leaves nearly everything as it is."""

CAUTION = 0.5
"""What a step to a weaker penalty has to gain, in nats over all verdicts."""

FOLDS = 5
"""Parts of the cross-validation."""

DIRECTIONS = 64
"""Principal directions of the taught cells that the head may use."""

BALANCE = 0.5
"""Power of a class' size by which its cells weigh less."""

TRUST = 10.0
"""Penalty on trusting the checkpoint's own answer more or less than it says."""

ROUGH, FINE = 10, 200
"""Steps of the optimiser while a penalty is tried, and for the head that is kept."""

UNTAUGHT = -20.0
"""Logit of a new class before its first verdict: no cell is called so."""

CHUNK = 128
"""Cells that are answered at a time: few enough to stay in the processor's cache."""

HALF = np.float32(2.0**112)
"""Ratio of the exponents' offsets of single and half precision."""


@dataclass(frozen=True)
class TaughtHead:
    """Logits of a taught class: trust times the checkpoint's own, and what was learned.

    Attributes
    ----------
    known : (C,) int64
        Which of the checkpoint's logits belongs to each class; -1 for a new class.
    trust : float
        What the checkpoint's own logits are multiplied with.
    weights : (F, C) float32
    bias : (C,) float32
    penalty : float
        One of `PENALTIES`.
    """

    known: NDArray[np.int64]
    trust: float
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    penalty: float

    def logits(
        self, features: NDArray[np.float16], own: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the taught logits of cells, calibrated: their temperature is 1.

        Parameters
        ----------
        features : (N, F) float16
        own : (N, C0) float32
            Logits of the checkpoint.

        Returns
        -------
        (N, C) float32
        """
        if features.shape[1] != len(self.weights):
            raise InputError(
                f"The cells have {features.shape[1]} features, the taught head reads "
                f"{len(self.weights)}; classify with the checkpoint it was taught on."
            )
        learned = np.empty((len(features), len(self.bias)), np.float32)
        for start in range(0, len(features), CHUNK):
            part = widened(features[start : start + CHUNK])
            np.matmul(part, self.weights, out=learned[start : start + CHUNK])
        learned += self.bias
        learned += np.float32(self.trust) * centred(own, self.known)
        learned[~np.isfinite(own).all(axis=1)] = np.nan
        return learned


@dataclass(frozen=True)
class Taught:
    """A head, and what heads that did not know a cell said of it.

    Attributes
    ----------
    head : TaughtHead
    held_out : (N, C) float32
        Logits of each lesson by a head that was taught without its part.
    """

    head: TaughtHead
    held_out: NDArray[np.float32]


def widened(halves: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return finite float16 as float32, by their bits: numpy goes one by one."""
    bits = np.ascontiguousarray(halves).view(np.uint16).astype(np.uint32)
    sign = (bits & 0x8000) << 16
    bits &= 0x7FFF
    bits <<= 13
    bits |= sign
    wide: NDArray[np.float32] = bits.view(np.float32)
    wide *= HALF
    return wide


def centred(own: NDArray[Any], known: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the checkpoint's logits by taught class, around 0; new classes have 0."""
    level = own - own.mean(axis=1, keepdims=True)
    padded = np.concatenate([level, np.zeros((len(own), 1), level.dtype)], axis=1)
    return np.asarray(padded[:, known], np.float32)


def fit_head(
    lessons: Lessons,
    codes: Sequence[str],
    own_codes: Sequence[str],
    temperature: float = 1.0,
) -> Taught:
    """Fit a head to lessons; a pure function of them, whatever their order was.

    Multinomial logistic regression on the standardised features, with the checkpoint's
    own logits as an offset and a quadratic penalty on everything learned. The penalty
    is chosen by cross-validation, so that where the checkpoint is right already the
    head stays with it, and where it is wrong the verdicts count.

    Parameters
    ----------
    lessons : Lessons
        As `merge` sorts them.
    codes, own_codes : sequence of str
        Classes of the head, and of the checkpoint, in logit order.
    temperature : float
        Of the checkpoint.

    Raises
    ------
    InputError
        When the lessons name fewer than two classes, or one that is not in ``codes``.
    """
    problem = _Problem.of(lessons, codes, own_codes, temperature)
    held_out = np.full((len(lessons), len(codes)), np.nan, np.float32)
    losses = np.arange(len(PENALTIES)) * CAUTION
    tried = np.zeros((len(PENALTIES), *held_out.shape))
    for part in folds(lessons):
        kept = np.ones(len(lessons), np.bool_)
        kept[part] = False
        given = problem.start
        for place, penalty in enumerate(PENALTIES):
            given = problem.solve(penalty, given, ROUGH, kept)
            tried[place, part] = problem.logits(given, part)
            losses[place] += problem.loss(tried[place, part], part)
    best = int(np.argmin(losses))
    held_out[:] = tried[best]
    found = problem.solve(PENALTIES[best], problem.start, FINE)
    heat = _heat(held_out, problem)
    head = problem.head(found, PENALTIES[best], heat)
    return Taught(head, held_out / np.float32(heat))


def untaught_head(
    features: int, codes: Sequence[str], own_codes: Sequence[str], temperature: float
) -> TaughtHead:
    """Return a head that answers as the checkpoint does; new classes are never called.

    Parameters
    ----------
    features : int
        Numbers of a cell.
    codes, own_codes, temperature
        As in `fit_head`.
    """
    places = {code: place for place, code in enumerate(own_codes)}
    known = np.array([places.get(code, -1) for code in codes], np.int64)
    return TaughtHead(
        known,
        1 / temperature,
        np.zeros((features, len(codes)), np.float32),
        np.where(known < 0, UNTAUGHT, 0).astype(np.float32),
        PENALTIES[0],
    )


def kept_apart(lessons: Lessons) -> bool:
    """Say whether cross-validation keeps patients or images on one side."""
    groups = set(lessons.groups)
    return len(groups) >= 2 * FOLDS and "" not in groups


def folds(lessons: Lessons) -> list[NDArray[np.int64]]:
    """Return the rows of each part of a cross-validation.

    Patients or images stay whole where there are enough of them; else each class is
    dealt out.
    """
    groups = sorted(set(lessons.groups))
    if kept_apart(lessons):
        place = {group: number % FOLDS for number, group in enumerate(groups)}
        part = np.array([place[group] for group in lessons.groups])
    else:
        part = np.empty(len(lessons), np.int64)
        part[np.argsort(np.array(lessons.codes), kind="stable")] = (
            np.arange(len(lessons)) % FOLDS
        )
    return [rows for k in range(FOLDS) if len(rows := np.flatnonzero(part == k))]


@dataclass(frozen=True)
class _Problem:
    """What is minimised: lessons along their principal directions."""

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    places: NDArray[np.float64]
    own: NDArray[np.float64]
    targets: NDArray[np.int64]
    weights: NDArray[np.float64]
    known: NDArray[np.int64]
    untaught: NDArray[np.float64]
    temperature: float

    @staticmethod
    def of(
        lessons: Lessons,
        codes: Sequence[str],
        own_codes: Sequence[str],
        temperature: float,
    ) -> _Problem:
        named = sorted(set(lessons.codes))
        if unknown := sorted(set(named) - set(codes)):
            raise InputError(
                f"'{unknown[0]}' is no class that can be taught here; its classes are "
                f"{', '.join(codes)}. Add it as a new class first."
            )
        if len(named) < 2:
            raise InputError(
                f"All {len(lessons)} taught cells are of one class; teach cells of "
                "another class too, so that there is something to tell apart."
            )
        features = lessons.features.astype(np.float64)
        mean = features.mean(axis=0)
        scale = np.maximum(features.std(axis=0), 1e-3) * np.sqrt(features.shape[1])
        scaled = (features - mean) / scale
        axes = _axes(scaled)
        places = {code: place for place, code in enumerate(own_codes)}
        known = np.array([places.get(code, -1) for code in codes], np.int64)
        index = {code: place for place, code in enumerate(codes)}
        targets = np.array([index[code] for code in lessons.codes], np.int64)
        counts = np.bincount(targets, minlength=len(codes))
        sizes = counts[targets]
        untaught = np.where((known < 0) & (counts == 0), UNTAUGHT, 0.0)
        weights = sizes**-BALANCE
        return _Problem(
            mean,
            axes / scale[:, None],
            np.column_stack([scaled @ axes, np.ones(len(lessons))]),
            np.asarray(centred(lessons.logits / temperature, known) + untaught),
            targets,
            weights * len(lessons) / weights.sum(),
            known,
            untaught,
            temperature,
        )

    @property
    def start(self) -> NDArray[np.float64]:
        """The checkpoint as it is."""
        return np.append(np.zeros(self.places.shape[1] * len(self.known)), 1.0)

    def solve(
        self,
        penalty: float,
        start: NDArray[np.float64],
        steps: int,
        rows: NDArray[np.bool_] | slice = slice(None),
    ) -> NDArray[np.float64]:
        """Return coefficients, row by row, and the trust at the end."""
        # not above: the dock opens without it
        from scipy.optimize import fmin_l_bfgs_b

        places, own, targets = self.places[rows], self.own[rows], self.targets[rows]
        weights = self.weights[rows] * len(targets) / self.weights[rows].sum()
        every = np.arange(len(targets))
        price = np.full((places.shape[1], 1), penalty)
        price[-1] = max(0.1, penalty / 3)  # of the bias

        def objective(given: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            learned, trust = given[:-1].reshape(len(price), -1), given[-1]
            logits = trust * own + places @ learned
            logits -= logits.max(axis=1, keepdims=True)
            odds = np.exp(logits)
            total = odds.sum(axis=1)
            loss = weights @ (np.log(total) - logits[every, targets])
            away = odds / total[:, None]
            away[every, targets] -= 1
            away *= weights[:, None]
            slope = places.T @ away + price * learned
            loss += 0.5 * (price * learned**2).sum() + 0.5 * TRUST * (trust - 1) ** 2
            turn = (away * own).sum() + TRUST * (trust - 1)
            return float(loss), np.append(slope.ravel(), turn)

        found, *_ = fmin_l_bfgs_b(objective, start, maxiter=steps)
        return np.asarray(found, np.float64)

    def logits(self, given: NDArray[np.float64], rows: NDArray[np.int64]) -> Any:
        learned = given[:-1].reshape(self.places.shape[1], -1)
        return given[-1] * self.own[rows] + self.places[rows] @ learned

    def loss(self, logits: NDArray[Any], rows: NDArray[Any]) -> float:
        level = logits - logits.max(axis=1, keepdims=True)
        cost = np.log(np.exp(level).sum(axis=1))
        cost -= level[np.arange(len(rows)), self.targets[rows]]
        return float(self.weights[rows] @ cost)

    def head(
        self, given: NDArray[np.float64], penalty: float, heat: float
    ) -> TaughtHead:
        learned = given[:-1].reshape(self.places.shape[1], -1)
        weights = self.directions @ learned[:-1]
        bias = learned[-1] - self.mean @ weights + given[-1] * self.untaught
        return TaughtHead(
            self.known,
            float(given[-1] / heat / self.temperature),
            (weights / heat).astype(np.float32),
            (bias / heat).astype(np.float32),
            penalty,
        )


def _axes(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the principal directions, (F, <= 64), from the smaller of two matrices."""
    few = len(scaled) <= scaled.shape[1]
    power, turned = np.linalg.eigh(scaled @ scaled.T if few else scaled.T @ scaled)
    kept = np.argsort(-power, kind="stable")[:DIRECTIONS]
    if not len(kept):
        return np.zeros((scaled.shape[1], 0))
    kept = kept[power[kept] > 1e-6 * max(power[kept[0]], 1e-12)]
    if few:
        return np.asarray(scaled.T @ turned[:, kept] / np.sqrt(power[kept]))
    return np.asarray(turned[:, kept])


def _heat(held_out: NDArray[np.float32], problem: _Problem) -> float:
    """Return by what to divide logits so that held-out lessons are likeliest.

    Drawn towards 1 as by a few verdicts that fit, since few say little.
    """
    rows = np.arange(len(held_out))
    grid = np.exp(np.linspace(-0.7, 1.4, 43))
    cost = [
        problem.loss(held_out / heat, rows) + 5 * np.log(heat) ** 2 for heat in grid
    ]
    return float(grid[int(np.argmin(cost))])
