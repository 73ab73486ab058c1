"""The manifest: valid, its targets exist, its defaults are those of the code."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_cytodino
from napari_cytodino.inference.devices import DEVICES
from napari_cytodino.widgets.commands import DOCK, PLUGIN
from napari_cytodino.widgets.dock import FIRST_CHECKPOINT
from napari_cytodino.widgets.session.preferences import Preferences

MANIFEST = PluginManifest.from_file(
    Path(napari_cytodino.__file__).parent / "napari.yaml"
)
COMMANDS = {command.id: command for command in MANIFEST.contributions.commands}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists(name: str) -> None:
    module, _, attribute = COMMANDS[name].python_name.partition(":")
    assert callable(getattr(import_module(module), attribute))


def test_names() -> None:
    assert MANIFEST.name == PLUGIN
    assert MANIFEST.display_name == DOCK
    names = [w.display_name for w in MANIFEST.contributions.widgets]
    assert names == [DOCK, f"{DOCK} review", f"{DOCK} gallery"]
    assert "napari/layers/classify" in MANIFEST.contributions.menus
    assert len(MANIFEST.contributions.sample_data) == 2


def test_preferences_have_the_defaults_of_the_code() -> None:
    pages = MANIFEST.contributions.configurations
    page = pages["classification"].properties
    both = page | pages["review"].properties
    found = Preferences(**{name: entry.default for name, entry in both.items()})
    assert found == Preferences(default_checkpoint=FIRST_CHECKPOINT)
    assert set(page["device"].enum) == set(DEVICES)
