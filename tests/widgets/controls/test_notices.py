"""Errors become notifications."""

from __future__ import annotations

import pytest
from napari.utils.notifications import Notification, notification_manager

from napari_cytodino.common.errors import InputError
from napari_cytodino.widgets.controls import notices


@pytest.fixture
def heard() -> list[Notification]:
    notification_manager.records.clear()
    return notification_manager.records


def test_a_sentence_for_the_user(heard: list[Notification]) -> None:
    notices.error(InputError("The image is grey; choose colour."))
    notices.info("60 cells were found.")
    notices.warning("point 7 left out.")
    assert [n.message for n in heard] == [
        "The image is grey; choose colour.",
        "60 cells were found.",
        "point 7 left out.",
    ]
    assert [str(n.severity) for n in heard] == ["error", "info", "warning"]


def test_a_fault_of_ours_keeps_its_trace(heard: list[Notification]) -> None:
    try:
        raise ZeroDivisionError("ours")
    except ZeroDivisionError as error:
        notices.error(error)
    assert heard[-1].exception.args == ("ours",)
