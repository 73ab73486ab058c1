"""The promise in words, or why there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from napari_cytodino.checkpoints.calibration_file import no_thresholds
from napari_cytodino.uncertainty.calibration import ERROR_RATES, MissedCritical
from napari_cytodino.widgets.session.guarantee import (
    accuracy,
    guarantee_of,
    percent,
    refusals,
    risk_in_force,
)
from napari_cytodino.widgets.session.session import Session


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_a_promise_names_its_data_number_and_date(judged: Any) -> None:
    now = guarantee_of(judged.session)
    assert now.promised
    assert now.adjustable
    words = plain(now.text)
    assert words.startswith("Guaranteed: at least 99.5 % of accepted cells right.")
    for part in ("4,000 cells", "120 patients", "marrow, part B", "2026-11-22", "95 %"):
        assert part in words


@pytest.mark.parametrize(
    ("patients", "word"),
    [(None, "not patient by patient"), (45, "Approximate"), (7, "7 patients")],
)
def test_patients_decide_what_it_may_be_called(
    judged: Any, demo: Any, patients: int | None, word: str, calibrated: Any
) -> None:
    judged.session.open_checkpoint(calibrated(demo, patients=patients))
    now = guarantee_of(judged.session)
    assert word in now.text
    assert now.promised is (patients != 7)
    assert now.exact is (patients != 45)


def test_a_refusal_says_how_many_cells_it_would_take(judged: Any) -> None:
    judged.session.set_risk(0.001)
    now = guarantee_of(judged.session)
    assert not now.promised
    assert now.adjustable
    assert "99.9 % right cannot be promised" in plain(now.headline)
    assert "4093" in now.detail


def test_thresholds_by_hand_promise_nothing(judged: Any, demo: Any) -> None:
    policy = replace(demo.policy, guarantee="", min_confidence=0.9)
    hand = replace(demo, sha256="hand", calibration=None, policy=policy)
    judged.session.open_checkpoint(hand)
    now = guarantee_of(judged.session)
    assert (now.promised, now.adjustable) == (False, False)
    assert "by hand" in now.headline
    assert "90 %" in plain(now.detail)


def test_another_models_calibration_is_none(judged: Any, demo: Any) -> None:
    policy = no_thresholds(1.0, "it was calibrated for another model.safetensors")
    judged.session.open_checkpoint(
        replace(demo, sha256="other", calibration=None, policy=policy)
    )
    assert "every cell goes to an expert" in guarantee_of(judged.session).headline
    assert "another model.safetensors" in guarantee_of(judged.session).detail
    judged.session.set_min_confidence(0.8)
    now = guarantee_of(judged.session)
    assert "your own threshold of 80 %" in plain(now.headline)
    assert "another model.safetensors" in now.detail


def test_an_own_threshold_promises_nothing(judged: Any) -> None:
    judged.session.set_min_confidence(0.8)
    now = guarantee_of(judged.session)
    assert (now.promised, now.adjustable) == (False, False)
    assert "Preferences" in now.detail


def test_nothing_is_open() -> None:
    assert "No checkpoint" in guarantee_of(Session()).headline


def test_foreign_cells_break_the_promise(judged: Any) -> None:
    session = judged.session
    session.predictions.unfamiliarity[:] = 1.5
    session._weighed = None
    session.rebuild()
    now = guarantee_of(session)
    assert not now.promised
    assert "unlike the training cells" in now.headline
    n = int(session.predictions.done.sum())
    assert f"{n} of {n} are unlike the training cells" in now.detail
    assert set(session.table["status"]) == {"review"}


def test_critical_cells_that_may_be_missed_are_told(judged: Any) -> None:
    calibration = judged.session.opened.calibration
    missed = MissedCritical(cells=300, missed=1, risk=0.01, bound=0.0203)
    told = replace(calibration, missed=missed)
    judged.session.open_checkpoint(
        replace(judged.session.opened, calibration=told, policy=told.policy())
    )
    words = plain(guarantee_of(judged.session).detail)
    assert "Critical cells called harmless: at most 2.0 %." in words


def test_what_is_asked_and_refused(judged: Any) -> None:
    assert risk_in_force(judged.session) == 0.005
    judged.session.set_risk(0.1)
    assert risk_in_force(judged.session) == 0.1
    found = refusals(judged.session.opened.calibration, ERROR_RATES)
    assert [bool(text) for text in found] == [r == 0.001 for r in ERROR_RATES]
    assert all(refusals(None, ERROR_RATES))
    assert [plain(accuracy(r)) for r in (0.001, 0.005, 0.1)] == [
        "99.9 %",
        "99.5 %",
        "90 %",
    ]
    assert plain(percent(0.949)) == "95 %"
