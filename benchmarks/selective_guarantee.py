"""Simulate how often a promised accuracy is broken: ``selective_guarantee.py``.

Learn-then-test as `stats/fixed_sequence.py` has it, beside a threshold that is merely
tuned and SGR (Geifman and El-Yaniv 2017, arXiv 1705.08500).
"""

from __future__ import annotations

import argparse
import math
import time
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta, norm

from napari_cytodino.stats.fixed_sequence import curve_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Method = Callable[[NDArray[np.float64], NDArray[np.bool_]], float]

RISK, DELTA = 0.005, 0.05
OVERALL, TOP = 0.12, 0.67
PATIENT_RISK = 0.01

PROTOCOL = """\
Protocol
  classifier  synthetic: at rank u from the top an answer is wrong with the chance
              min(1, a u**b), solved for 12 % wrong overall and 0.5 % in the top 67 %.
  target      at most 0.5 % of accepted cells wrong, delta = 5 %. `viol` is the share
              of repeats whose true risk, known from the formula, exceeds it; a repeat
              that refuses breaks nothing. `cov` is the mean accepted share, refusals
              as 0; `refused` their share. The 95 % interval is Clopper and Pearson's.
  methods     tuned: the lowest threshold with at most 0.5 % errors on its own cells.
              SGR: binary search over ranks, exact binomial bounds at delta / log2 n.
              LTT: fixed-sequence testing, napari_cytodino.stats.fixed_sequence.
  patients    the same classifier, times a log-normal factor of mean 1 a patient, 100
              cells each, target 1 %; true risk among all patients there could be.
"""


def rising_errors() -> tuple[float, float]:
    """Return a and b of the chance of an error at rank u, min(1, a u**b)."""

    def scale(b: float) -> float:
        return RISK * (b + 1) / TOP**b

    def surplus(b: float) -> float:
        full = min(1.0, scale(b) ** (-1 / b))
        return scale(b) * full ** (b + 1) / (b + 1) + (1 - full) - OVERALL

    b = float(brentq(surplus, 2, 30))
    return scale(b), b


A, B = rising_errors()


def true_risk(covered: float) -> float:
    """Return the share of errors among the surest cells."""
    rank = (np.arange(4000) + 0.5) / 4000 * covered
    return float(np.minimum(1, A * rank**B).mean())


def tuned(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """Return what is accepted at the lowest threshold that looks good enough."""
    order = np.argsort(-score)
    share = np.cumsum(wrong[order]) / np.arange(1, len(score) + 1)
    good = np.flatnonzero(share <= RISK)
    return 1 - float(score[order][good[-1]]) if len(good) else 0.0


def sgr(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """Return what SGR accepts: its Algorithm 2, the last threshold that was proven."""
    order = np.argsort(-score)
    errors = np.cumsum(wrong[order])
    n = len(score)
    steps = math.ceil(math.log2(n))
    least, most, found = 1, n, 0.0
    for _ in range(steps):
        place = math.ceil((least + most) / 2)
        k = int(errors[place - 1])
        bound = 1.0 if k == place else beta.ppf(1 - DELTA / steps, k + 1, place - k)
        if bound < RISK:
            found, least = 1 - float(score[order][place - 1]), place
        else:
            most = place
    return found


def learn_then_test(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """Return what the plugin accepts."""
    curve = curve_of(score, wrong)
    row = curve.select(RISK, DELTA)
    return 0.0 if row is None else 1 - float(curve.thresholds[row])


METHODS: dict[str, Method] = {"tuned": tuned, "SGR": sgr, "LTT": learn_then_test}


def interval(k: int, n: int) -> str:
    """Return the 95 % Clopper-Pearson interval of k in n."""
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return f"{k / n:.3f} [{low:.3f}, {high:.3f}]"


def simulate(cells: int, repeats: int) -> None:
    """Print a row for each method."""
    covered: dict[str, list[float]] = {name: [] for name in METHODS}
    for seed in range(repeats):
        rng = np.random.default_rng((cells, seed))
        rank = rng.random(cells)
        wrong = rng.random(cells) < np.minimum(1, A * rank**B)
        for name, method in METHODS.items():
            covered[name].append(method(1 - rank, wrong))
    for name, shares in covered.items():
        broken = sum(true_risk(share) > RISK for share in shares if share)
        refused = sum(not share for share in shares) / repeats
        print(
            f"| {cells:,} | {name} | {interval(broken, repeats)} "
            f"| {np.mean(shares):.3f} | {refused:.2f} |"
        )


def simulate_patients(patients: int, spread: float, repeats: int) -> None:
    """Print a row for cells taken as independent and one for patients told apart."""
    factor = np.exp(spread * norm.ppf((np.arange(999) + 0.5) / 999) - spread**2 / 2)
    levels = np.linspace(0.95, 0.2, 26)
    truth = {}
    for level in levels:
        rank = (np.arange(400) + 0.5) / 400 * (1 - level)
        truth[level] = np.minimum(1, A * rank[:, None] ** B * factor).mean()
    broken, covered = {False: 0, True: 0}, {False: 0.0, True: 0.0}
    for seed in range(repeats):
        rng = np.random.default_rng((patients, seed))
        own = np.exp(rng.normal(-(spread**2) / 2, spread, patients))
        whose = np.repeat(np.arange(patients), 100)
        rank = rng.random(len(whose))
        wrong = rng.random(len(whose)) < np.minimum(1, A * rank**B * own[whose])
        for told in broken:
            curve = curve_of(
                1 - rank, wrong, thresholds=levels, patients=whose if told else None
            )
            row = curve.select(PATIENT_RISK, DELTA)
            if row is not None:
                broken[told] += truth[curve.thresholds[row]] > PATIENT_RISK
                covered[told] += (1 - curve.thresholds[row]) / repeats
    for told, name in ((False, "as independent cells"), (True, "patients told apart")):
        print(
            f"| {patients} | {spread} | {name} | {interval(broken[told], repeats)} "
            f"| {covered[told]:.3f} |"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--cells", type=int, nargs="*", default=[1000, 5000, 34_000])
    parser.add_argument("--patients", type=int, nargs="*", default=[30, 100, 400])
    parser.add_argument("--spread", type=float, default=1.0)
    given = parser.parse_args()
    start = time.perf_counter()
    print(PROTOCOL)
    print(f"a = {A:.4f}, b = {B:.4f}, {given.repeats} repeats\n")
    print("| cells | method | viol | cov | refused |\n|---|---|---|---|---|")
    for cells in given.cells:
        simulate(cells, given.repeats)
    print("\n| patients | sd | method | viol | cov |\n|---|---|---|---|---|")
    for patients in given.patients:
        simulate_patients(patients, given.spread, given.repeats)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
