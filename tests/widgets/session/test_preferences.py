"""Preferences from the manifest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import napari.settings

from napari_cytodino.widgets.session.preferences import (
    Preferences,
    read_preferences,
    remember_reader,
)

if TYPE_CHECKING:
    import pytest


def test_defaults_where_the_plugin_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(napari.settings, "get_plugin_settings", missing)
    assert read_preferences() == Preferences()
    remember_reader("AM")


def test_what_the_user_set(monkeypatch: pytest.MonkeyPatch) -> None:
    page = SimpleNamespace(
        device="cpu",
        batch_size=3,
        default_checkpoint=" demo ",
        min_confidence=0.7,
        review_costs=" costs.toml ",
    )
    review = SimpleNamespace(
        reader=" AM ", keys="keys.toml", counting=" ", alerts="alerts.toml"
    )
    monkeypatch.setattr(
        napari.settings,
        "get_plugin_settings",
        lambda name: SimpleNamespace(classification=page, review=review),
    )
    assert read_preferences() == Preferences(
        "cpu", 3, "demo", 0.7, "costs.toml", "keys.toml", "", "alerts.toml", "AM"
    )
    remember_reader("BK")
    assert review.reader == "BK"
