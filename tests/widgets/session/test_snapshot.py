"""What files are made of, as the session knows it."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.widgets.panels import export_panel
from napari_cytodino.widgets.panels.export_panel import ExportPanel
from napari_cytodino.widgets.session import snapshot
from napari_cytodino.widgets.session.snapshot import provenance, whole_table

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def panel(chosen: Any, qtbot: Any) -> ExportPanel:
    made = ExportPanel(chosen.controller)
    qtbot.addWidget(made)
    return made


def test_nothing_to_save_before_there_are_cells(
    chosen: Any, panel: ExportPanel
) -> None:
    assert not panel.table.isEnabled()
    with pytest.raises(InputError, match="Nothing is classified"):
        whole_table(chosen.session)


def test_painting_meanwhile_does_not_reach_the_file(
    chosen: Any, panel: ExportPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen.classify()
    panel.save_table(tmp_path / "before.geojson")
    chosen.wait()
    stock, go = snapshot.rings, threading.Event()

    def late(reading: Any) -> Any:
        go.wait(20)
        return stock(reading)

    monkeypatch.setattr(export_panel, "rings", late)
    panel.save_table(tmp_path / "cells.geojson")
    labels = chosen.session.cells_layer
    y, x = np.argwhere(labels.data == 1)[:40].T
    labels.data_setitem((y, x), 0)
    go.set()
    chosen.wait()
    written = [
        [f["geometry"] for f in json.loads(path.read_text())["features"]]
        for path in (tmp_path / "before.geojson", tmp_path / "cells.geojson")
    ]
    assert written[0] == written[1]


def test_an_own_threshold_is_in_the_files(judged: Any) -> None:
    judged.session.set_min_confidence(0.5)
    notes = provenance(judged.session)
    assert notes.policy["min_confidence"] == 0.5
    assert notes.policy["guarantee"] == ""
    assert notes.settings["promise"].startswith("No guarantee: your own threshold")
