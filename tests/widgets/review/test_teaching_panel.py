"""The panel that teaches: buttons, what they do, and what is said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from napari_cytodino.widgets.review.teaching_panel import TeachingPanel
from napari_cytodino.widgets.session.asking_round import ROUND
from napari_cytodino.widgets.session.review_queue import queue


@pytest.fixture
def panel(teachable: Any, qtbot: Any) -> TeachingPanel:
    saved: list[str] = []
    flights: list[int] = []
    controller = SimpleNamespace(
        session=teachable.session,
        review=teachable.review,
        teaching=teachable.teaching,
        save_profile=saved.append,
        next_flagged=flights.append,
    )
    made = TeachingPanel(controller)
    made.saved, made.flights = saved, flights
    qtbot.addWidget(made)
    made.show()
    return made


def test_before_any_verdict_it_explains_itself(panel: TeachingPanel) -> None:
    assert panel.isVisible()
    assert panel.hint.isVisible()
    assert str(ROUND) in panel.teach.text()
    assert panel.on.isChecked()
    assert not panel.save.isEnabled()
    assert not panel.alike.isEnabled(), "no cell is selected"
    assert not panel.more.isVisible()


def test_one_button_begins_and_ends_a_round(
    panel: TeachingPanel, teachable: Any
) -> None:
    panel.teach.click()
    assert panel.flights == [1]
    assert panel.teach.text() == "Stop asking"
    assert len(queue(teachable.session)) == 5
    panel.teach.click()
    assert not teachable.teaching.asking
    assert str(ROUND) in panel.teach.text()


def test_what_was_learned_is_said(panel: TeachingPanel, teachable: Any) -> None:
    teachable.say([0, 1, 2, 4, 5, 6])
    assert panel.words.isVisible()
    assert "Taught with 6 cells of 3 classes" in panel.words.text()
    assert "not measured yet" in panel.measured.text()
    assert not panel.hint.isVisible()
    panel.more.click()
    assert panel.curve.isVisible()
    assert "6 cells:" in panel.curve.text()
    assert "no accuracy of the image" in panel.curve.text()


def test_it_can_be_switched_off(panel: TeachingPanel, teachable: Any) -> None:
    teachable.say([0, 1, 2, 4, 5, 6])
    panel.on.setChecked(False)
    assert teachable.session.opened is teachable.session.untaught
    assert "teach nothing" in panel.words.text()
    assert not panel.save.isEnabled()


def test_a_profile_is_saved_under_its_name(
    panel: TeachingPanel, teachable: Any
) -> None:
    teachable.say([0, 1, 2, 4, 5, 6])
    assert panel.save.isEnabled()
    panel.save_as("my-lab")
    assert panel.saved == ["my-lab"]


def test_cells_like_the_selected_one(panel: TeachingPanel, teachable: Any) -> None:
    teachable.session.select(3)
    assert panel.alike.isEnabled()
    panel.alike.click()
    assert len(teachable.session.selected_rows) == 40


def test_a_class_is_added_by_the_window(panel: TeachingPanel, teachable: Any) -> None:
    dialog = panel.ask_for_a_class()
    dialog.shipped.setCurrentIndex(dialog.shipped.findData("KSC"))
    dialog.accept()
    assert "KSC" in teachable.session.taxonomy


def test_nobody_reads_nothing_is_shown(panel: TeachingPanel, teachable: Any) -> None:
    teachable.review.stop()
    assert not panel.isVisible()


def test_what_cannot_be_done_is_told(
    panel: TeachingPanel, teachable: Any, told: list[str]
) -> None:
    teachable.say(range(120), [teachable.codes[row % 3] for row in range(120)])
    panel.teach.click()
    assert "has a verdict already" in told[-1]
    assert not teachable.teaching.asking
