"""The gallery as a dock of the viewer."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.render


def test_it_shares_the_session_of_the_main_dock(make_napari_viewer: Any) -> None:
    window = make_napari_viewer(show=True).window
    _, gallery = window.add_plugin_dock_widget("napari-cytodino", "CytoDINO gallery")
    _, main = window.add_plugin_dock_widget("napari-cytodino", "CytoDINO")
    _, review = window.add_plugin_dock_widget("napari-cytodino", "CytoDINO review")
    assert gallery.controller is main.controller is review.controller
