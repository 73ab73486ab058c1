"""What is promised for accepted cells, or why nothing is, in words; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cytodino.uncertainty import MANY_PATIENTS, UNREACHABLE

if TYPE_CHECKING:
    from napari_cytodino.uncertainty import Calibration, DecisionPolicy
    from napari_cytodino.widgets.session.session import Session


PER_CENT = "\N{NO-BREAK SPACE}%"
"""After a number, on the same line as it."""

WHERE = "Preferences, Plugin Preferences, CytoDINO"
"""Where a user's own threshold is set."""


@dataclass(frozen=True)
class Guarantee:
    """Whether accepted cells carry a promise.

    Attributes
    ----------
    promised : bool
        True where a calibration proved the share of errors asked for.
    adjustable : bool
        True where the accuracy wanted makes a difference.
    exact : bool
        False where too few patients make what is promised approximate.
    headline, detail : str
        The promise or its absence in a few words; its data, or the reason.
    """

    promised: bool
    adjustable: bool
    headline: str
    detail: str
    exact: bool = True

    @property
    def text(self) -> str:
        """Both in one line, as files store it."""
        return f"{self.headline}. {self.detail}".strip()


TAUGHT = (
    "How often it is right is said where you teach it, of cells drawn at random; its "
    "thresholds are those of the checkpoint."
)
"""Said of a taught checkpoint."""


def guarantee_of(session: Session) -> Guarantee:
    """Return what may be promised with the session's checkpoint and thresholds."""
    opened, policy = session.opened, session.policy
    if opened is None or policy is None:
        return Guarantee(
            False, False, "No checkpoint is open", "It says what can be promised."
        )
    why = opened.policy.uncalibrated
    if session.min_confidence > 0:
        tail = f" Without it every cell would go to an expert: {why}." if why else ""
        return Guarantee(
            False,
            False,
            f"No guarantee: your own threshold of {percent(session.min_confidence)}",
            f"It is set in {WHERE}; 0 there brings back the checkpoint's own.{tail}",
        )
    if why:
        return Guarantee(
            False,
            False,
            "Uncalibrated: every cell goes to an expert",
            f"No threshold holds for these weights: {why}.",
        )
    calibration = opened.calibration
    if calibration is None and opened.taught is not None:
        return Guarantee(
            False,
            False,
            "No guarantee: the checkpoint was taught",
            f"Its own promise was of the untaught model. {TAUGHT}",
        )
    if calibration is None:
        return Guarantee(
            False, False, "No guarantee: thresholds set by hand", _by_hand(policy)
        )
    unlike = _out_of_distribution(session, policy)
    if unlike is not None:
        return unlike
    risk = risk_in_force(session)
    if policy.guarantee:
        return _promised(calibration, risk)
    return Guarantee(
        False,
        True,
        f"{accuracy(risk)} right cannot be promised: nothing is accepted",
        _sentence(calibration.why_not(risk)),
    )


def _out_of_distribution(session: Session, policy: DecisionPolicy) -> Guarantee | None:
    """Return the notice where too many cells are unlike the training cells."""
    evidence = session.probabilities
    if evidence is None:
        return None
    if evidence.unfamiliar_share_bound(policy.max_unfamiliarity) <= policy.max_foreign:
        return None
    unfamiliar, compared = evidence.unfamiliar_count(policy.max_unfamiliarity)
    return Guarantee(
        False,
        True,
        "No guarantee: these cells are unlike the training cells; all go to an expert",
        f"{unfamiliar:,} of {compared:,} are unlike the training cells: another stain, "
        "camera or magnification. Check the field of view, or calibrate on your own "
        "cells.",
    )


def _by_hand(policy: DecisionPolicy) -> str:
    from_on = (
        "accept nothing"
        if policy.min_confidence >= UNREACHABLE
        else f"accept from {percent(policy.min_confidence)} confidence on"
    )
    return (
        f"They {from_on}, but were tested on no cells. "
        "`python -m napari_cytodino.training calibrate` measures what can be promised."
    )


def _promised(calibration: Calibration, risk: float) -> Guarantee:
    patients = calibration.patients
    by = "" if patients is None else f" of {patients:,} patients"
    whom = (
        "for images like those it was tested on, not patient by patient"
        if patients is None
        else "for new patients of the same laboratory"
    )
    missed = calibration.missed
    safe = (
        f" Critical cells called harmless: at most {percent(missed.bound, 1)}."
        if missed is not None and missed.cells
        else ""
    )
    row = calibration.row_by_risk[risk]
    assert row is not None, "a policy without a row promises nothing"
    accepted = int(calibration.curve.accepted[row]) / calibration.curve.cells
    return Guarantee(
        True,
        True,
        f"{calibration.guarantee_level.capitalize()}: at least {accuracy(risk)} of "
        "accepted cells right",
        f"{percent(1 - calibration.delta)} sure, {whom}. Tested on "
        f"{calibration.curve.cells:,} cells{by} ({calibration.data}, "
        f"{calibration.date[:10]}), {percent(accepted)} of them accepted.{safe}",
        exact=patients is None or patients >= MANY_PATIENTS,
    )


def risk_in_force(session: Session) -> float:
    """Return the share of errors asked for: the user's, or the checkpoint's own.

    Raises
    ------
    AttributeError
        When no checkpoint with a calibration is open.
    """
    if session.risk is not None:
        return session.risk
    assert session.opened is not None
    assert session.opened.calibration is not None
    return session.opened.calibration.risk


def accuracy(risk: float) -> str:
    """Return the share of right cells as per cent: 0.005 gives 99.5."""
    return f"{100 * (1 - risk):.4g}{PER_CENT}"


def percent(share: float, digits: int = 0) -> str:
    """Return a share as per cent, by default without decimals: '95 %'."""
    return f"{share:.{digits}%}".replace("%", PER_CENT)


def refusals(calibration: Calibration | None, risks: tuple[float, ...]) -> list[str]:
    """Return why each risk cannot be promised; empty where it can."""
    if calibration is None:
        return ["nothing was calibrated"] * len(risks)
    return [
        "" if calibration.row_by_risk[risk] is not None else calibration.why_not(risk)
        for risk in risks
    ]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
