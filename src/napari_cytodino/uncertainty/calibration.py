"""What a checkpoint's calibration measured, and what it therefore may promise."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from napari_cytodino.common import InputError
from napari_cytodino.stats import SelectionCurve, check_share, fewest_cells
from napari_cytodino.uncertainty.decisions import UNREACHABLE, DecisionPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class CalibrationTargets:
    """What thresholds are to promise.

    Attributes
    ----------
    risk : float
        Largest share of errors among accepted cells; one of `RISKS`.
    critical_risk : float
        Largest share of critical cells called harmless unseen.
    delta : float
        Chance that any of the three statements is wrong.
    familiar : float
        Share of known cells that count as familiar.
    set_level : float
        Share of cells whose set of possible classes holds the true one.
    """

    risk: float = 0.005
    critical_risk: float = 0.01
    delta: float = 0.05
    familiar: float = 0.99
    set_level: float = 0.95

    def __post_init__(self) -> None:
        for name in ("risk", "critical_risk", "delta", "familiar", "set_level"):
            check_share(name, getattr(self, name))
        check_error_rate(self.risk)


SCHEMA = 2
"""Version of ``calibration.json``; 1 had tuned thresholds without a guarantee."""

ERROR_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
"""Shares of errors among accepted cells that a user may ask for."""


def check_error_rate(risk: float) -> None:
    """Refuse a share that is none of `ERROR_RATES`.

    Raises
    ------
    InputError
        With the share, and those that may be asked for.
    """
    if risk not in ERROR_RATES:
        raise InputError(
            f"risk is {risk}, but must be one of {', '.join(map(str, ERROR_RATES))}."
        )


MAJORITY = 0.5
"""No class or lineage is accepted with less, whatever the curve allows."""

TESTS = 3
"""Statements that share `delta`: class, missed critical cells, lineage."""

MANY_PATIENTS, SOME_PATIENTS = 100, 30
"""From so many patients on a bound is a guarantee, or approximately one; with fewer
none is given (reliability.md 1.2: 5, 7 and 9 % of repeats missed 5 %)."""


@dataclass(frozen=True)
class MissedCritical:
    """Critical calibration cells called harmless although the check had not stopped it.

    Attributes
    ----------
    cells, missed : int
        Critical cells, and those of them that were missed.
    risk : float
        The share that was aimed at.
    bound : float
        The share that is exceeded with a chance of a third of delta at most.
    """

    cells: int
    missed: int
    risk: float
    bound: float

    def __post_init__(self) -> None:
        counts, shares = (self.cells, self.missed), (self.risk, self.bound)
        if not (
            all(type(n) is int and n >= 0 for n in counts)
            and all(type(x) in (int, float) and 0 <= x <= 1 for x in shares)
        ):
            raise InputError(
                f"missed is {asdict(self)}, but must hold two counts and two shares "
                "between 0 and 1."
            )


@dataclass(frozen=True)
class Calibration:
    """The content of ``calibration.json``.

    Attributes
    ----------
    temperature : float
        Divides the logits; fitted on part A.
    risk : float
        Largest share of errors among accepted cells, where the user asks for no other.
    delta : float
        Chance that any of the three statements is wrong.
    classes : tuple of str
        Codes in logit order.
    counts : Mapping[str, int]
        Cells of each class in part B, on which thresholds were tested.
    curve, lineage_curve : SelectionCurve
        Errors of class and of lineage against the threshold, on part B.
    missed : Missed or None
        None where no critical class can be called harmless.
    max_critical : float
        As in `DecisionPolicy`; proposed by part A, tested on part B.
    rare : tuple of str
        Classes with too few cells to say anything about.
    set_level : float
        Share of cells whose set of possible classes holds the true one.
    set_limits : Mapping[str, float]
        For each lineage: a class is possible from 1 minus this probability on.
    familiar : float
        Share of known cells that count as familiar.
    patients : int or None
        None where files name no patients: images then count as exchangeable.
    data, date : str
        What the cells are, and when this was measured (ISO 8601).
    made_for : Mapping[str, str]
        Hashes and types that must be those of the checkpoint.
    facts : Mapping[str, object]
        What else there is to know, such as versions and numbers of cells.
    """

    temperature: float
    risk: float
    delta: float
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    curve: SelectionCurve
    lineage_curve: SelectionCurve
    missed: MissedCritical | None
    max_critical: float
    rare: tuple[str, ...]
    set_level: float
    set_limits: Mapping[str, float]
    familiar: float
    patients: int | None
    data: str
    date: str
    made_for: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_share("risk", self.risk)
        check_share("delta", self.delta)
        for name, limit in self.set_limits.items():
            if not 0 <= limit <= 1:
                raise InputError(f"The set limit of {name} is {limit}, not in 0..1.")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"temperature is {self.temperature}, but must be above 0.")

    @property
    def delta_per_statement(self) -> float:
        """What each of the three statements has of `delta`."""
        return self.delta / TESTS

    @property
    def guarantee_level(self) -> str:
        """What a bound may be called, given the number of patients."""
        if self.patients is None or self.patients >= MANY_PATIENTS:
            return "guaranteed"
        return "approximate" if self.patients >= SOME_PATIENTS else ""

    @cached_property
    def row_by_risk(self) -> dict[float, int | None]:
        """The row of the class curve for each of `RISKS`, None where none is proven."""
        return (
            _rows(self.curve, self.delta_per_statement)
            if self.guarantee_level
            else dict.fromkeys(ERROR_RATES)
        )

    @cached_property
    def _lineage_row_by_risk(self) -> dict[float, int | None]:
        found = _rows(self.lineage_curve, self.delta_per_statement)
        return found if self.guarantee_level else dict.fromkeys(ERROR_RATES)

    @property
    def strictest(self) -> float | None:
        """The least of `RISKS` that can be promised."""
        return next((r for r in ERROR_RATES if self.row_by_risk[r] is not None), None)

    def policy(self, risk: float | None = None) -> DecisionPolicy:
        """Return thresholds that keep a risk; where none does, no cell is accepted.

        Parameters
        ----------
        risk
            One of `RISKS`; the calibration's own when None.

        Raises
        ------
        InputError
            When it is another number, for which nothing was prepared.
        """
        risk = self.risk if risk is None else risk
        check_error_rate(risk)
        row, lineage_row = self.row_by_risk[risk], self._lineage_row_by_risk[risk]
        tau, tau_lineage = (
            UNREACHABLE if place is None else float(curve.thresholds[place])
            for curve, place in ((self.curve, row), (self.lineage_curve, lineage_row))
        )
        return DecisionPolicy(
            temperature=self.temperature,
            min_confidence=tau,
            min_margin=0.0,
            min_lineage=tau_lineage,
            max_critical=self.max_critical,
            max_unfamiliarity=1.0,
            rare=self.rare,
            set_limits=dict(self.set_limits),
            guarantee="" if row is None else self.guarantee(risk),
        )

    def guarantee(self, risk: float) -> str:
        """Return what the thresholds for a risk promise, or that they do not."""
        row = self.row_by_risk[risk]
        if row is None:
            return self.why_not(risk)
        by = "" if self.patients is None else f" of {self.patients} patients"
        unit = (
            "exchangeable images, not per patient"
            if self.patients is None
            else "new patients of the same laboratory"
        )
        accepted = self.curve.accepted[row] / self.curve.cells
        missed = ""
        if self.missed is not None and self.missed.cells:
            missed = (
                f"; critical cells called harmless: at most {self.missed.bound:.1%}"
            )
        return (
            f"{self.guarantee_level}: at least {1 - risk:.1%} of accepted cells right "
            f"({1 - self.delta:.0%} sure; {self.curve.cells} cells{by}, "
            f"{accepted:.0%} of them accepted{missed}; {unit}; "
            f"{self.data}, {self.date})"
        )

    def why_not(self, risk: float) -> str:
        """Return why a risk cannot be promised, and how many cells it would take."""
        if not self.guarantee_level:
            return (
                f"no guarantee: {self.patients} patients are fewer than "
                f"{SOME_PATIENTS}, so that errors of one may look like those of all"
            )
        need = fewest_cells(risk, self.delta_per_statement)
        return (
            f"no guarantee for {1 - risk:.1%}: it takes {need} accepted cells without "
            f"an error; {self.curve.cells} were there, and too many of them wrong or "
            "too few"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            "schema": SCHEMA,
            **own,
            "classes": list(self.classes),
            "rare": list(self.rare),
            "counts": dict(self.counts),
            "set_limits": dict(self.set_limits),
            "made_for": dict(self.made_for),
            "facts": dict(self.facts),
            "curve": self.curve.to_dict(),
            "lineage_curve": self.lineage_curve.to_dict(),
            "missed": asdict(self.missed) if self.missed else None,
        }

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> Calibration:
        """Build from what `to_dict` gave.

        Raises
        ------
        InputError
            When a field is missing, or not what it should be.
        """
        values = {k: v for k, v in content.items() if k != "schema"}
        try:
            values["classes"] = tuple(content["classes"])
            values["rare"] = tuple(content["rare"])
            for name in ("curve", "lineage_curve"):
                values[name] = SelectionCurve.from_dict(content[name])
            missed = content["missed"]
            values["missed"] = None if missed is None else MissedCritical(**missed)
            return Calibration(**values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"A calibration lacks or misnames a field ({error}); calibrate again."
            ) from error


def _rows(curve: SelectionCurve, delta: float) -> dict[float, int | None]:
    """Select for every risk, such that a smaller one never accepts more cells."""
    found: dict[float, int | None] = {}
    last = int((curve.thresholds >= MAJORITY).sum()) - 1
    most = None if last < 0 else last
    for risk in sorted(ERROR_RATES, reverse=True):
        row = curve.select(risk, delta)
        most = None if row is None or most is None else min(row, most)
        found[risk] = most
    return found
