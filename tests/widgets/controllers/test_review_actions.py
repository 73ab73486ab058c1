"""One verdict, then the next cell of the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_cytodino.review.image_fingerprint import fingerprint_pixels
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.widgets.controllers._review_actions import ALL_READ
from napari_cytodino.widgets.session.review_queue import queue

if TYPE_CHECKING:
    from pathlib import Path

CODE = "NGS"


@pytest.fixture
def reading(judged: Any, tmp_path: Path) -> Any:
    image = fingerprint_pixels(judged.session.reading.source)
    log = ReviewLog.open(tmp_path / "case.sqlite", image=image)
    judged.controller.review.start(log, "AM")
    return judged


def test_verdicts_walk_through_the_queue(reading: Any) -> None:
    session, actions = reading.session, reading.controller.actions
    wanted = queue(session).tolist()
    assert len(wanted) >= 2
    actions.accept()
    assert session.selected_row == wanted[0], "nothing was selected, so nothing is said"
    assert len(session.reviews) == 0
    seen = []
    for place in range(len(wanted)):
        seen.append(session.selected_row)
        (actions.accept if place % 2 else actions.not_a_cell)()
    assert seen == wanted
    assert len(queue(session)) == 0
    assert reading.messages[-1] == ALL_READ
    # the last cell stays in sight
    assert session.selected_row == wanted[-1]


def test_the_next_cell_is_the_one_that_came_after(reading: Any) -> None:
    session, actions = reading.session, reading.controller.actions
    session.set_risk(0.005)
    wanted = queue(session).tolist()
    session.select(wanted[1])
    actions.set_class(CODE)
    assert session.selected_row == (wanted[2] if len(wanted) > 2 else wanted[0])


def test_a_cell_from_elsewhere_stays_selected(reading: Any) -> None:
    session, actions = reading.session, reading.controller.actions
    sure = next(row for row in range(6) if row not in queue(session))
    session.select(sure)
    actions.set_class(CODE)
    assert session.selected_row == sure
    actions.withdraw()
    assert session.selected_row == sure
    assert sure not in session.reviews


def test_undo_goes_where_it_happened(reading: Any) -> None:
    session, actions = reading.session, reading.controller.actions
    reading.controller.review.select([1, 4])
    actions.set_class(CODE)
    session.select(0)
    actions.undo()
    assert session.selected_rows.tolist() == [1, 4]
    actions.redo()
    assert sorted(session.reviews) == [1, 4]


def test_what_cannot_be_done_is_told(judged: Any, told: list[str]) -> None:
    judged.session.select(0)
    judged.controller.actions.set_class(CODE)
    assert "Start the review first" in told[-1]
    judged.controller.actions.undo()
    assert len(told) == 2


def test_every_cell_is_shown_at_one_scale(reading: Any) -> None:
    camera = reading.viewer.scene.camera
    actions, session = reading.controller.actions, reading.session
    zooms, centres = [], []
    for _ in range(2):
        camera.zoom = 17.0
        actions.skip()
        zooms.append(camera.zoom)
        centres.append(camera.center[-2:])
        np.testing.assert_allclose(
            camera.center[-2:], session.cells.centre[session.selected_row], atol=1.0
        )
    assert zooms[0] == zooms[1] != 17.0
    assert centres[0] != centres[1]
    actions.back()
    assert camera.center[-2:] == centres[0]


def test_who_leads_on_while_a_verdict_is_given_is_followed(reading: Any) -> None:
    session, actions = reading.session, reading.controller.actions
    wanted = queue(session).tolist()
    other = next(row for row in range(6) if row not in wanted)
    session.select(wanted[0])
    session.verdicts_changed.connect(lambda rows: session.select(other))
    actions.accept()
    assert session.selected_row == other
