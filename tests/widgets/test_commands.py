"""Commands of the palette, in a real viewer."""

from __future__ import annotations

from typing import Any

import pytest

from napari_cytodino.widgets import commands
from napari_cytodino.widgets.canvas.result_layers import FOUND

pytestmark = pytest.mark.render


@pytest.mark.usefixtures("classifier")
def test_commands_open_one_dock_and_act(
    make_napari_viewer: Any, qtbot: Any, smear: Any
) -> None:
    viewer = make_napari_viewer()
    viewer.add_image(smear.image)
    commands.find_cells(viewer)
    dock = commands.open_dock(viewer)
    qtbot.waitUntil(lambda: not dock.session.busy, timeout=60_000)
    assert FOUND in viewer.layers
    commands.classify(viewer)
    assert commands.open_dock(viewer) is dock
    qtbot.waitUntil(lambda: not dock.session.busy, timeout=60_000)
    assert len(dock.session.table) > 0
    commands.next_flagged(viewer)
    flagged = (dock.session.table["status"] != "auto").any()
    assert (dock.session.selected_row is not None) is bool(flagged)
    commands.cancel(viewer)
    assert not dock.session.busy
