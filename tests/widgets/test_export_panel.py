"""Save what is on the screen."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_cytodino.core.errors import InputError
from napari_cytodino.widgets import export_panel
from napari_cytodino.widgets.export_panel import (
    ExportPanel,
    provenance,
    whole_table,
    with_suffix,
)
from napari_cytodino.widgets.standing import standing

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


def test_csv_with_provenance(
    chosen: Any, panel: ExportPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen.classify()
    path = tmp_path / "cells.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(path), ""))
    panel.table.click()
    chosen.wait()
    frame = pd.read_csv(path, keep_default_na=False)
    table = chosen.session.table
    assert frame["label"].tolist() == table["label"].tolist()
    assert frame["final_class"].tolist() == table["final_class"].tolist()
    notes = json.loads(path.with_suffix(".provenance.json").read_text())
    assert notes["checkpoint"] == "demo"
    assert notes["synthetic"] is True
    assert notes["settings"]["cells"] == "cells"
    assert notes["settings"]["partial"] is False
    assert notes["settings"]["promise"] == standing(chosen.session).text
    assert str(path) in chosen.messages[-1]


def test_geojson_holds_outlines(
    chosen: Any, panel: ExportPanel, tmp_path: Path
) -> None:
    chosen.classify()
    panel.save_table(tmp_path / "cells.geojson")
    chosen.wait()
    content = json.loads((tmp_path / "cells.geojson").read_text())
    rings = [f["geometry"]["coordinates"][0] for f in content["features"]]
    assert len(rings) == 6
    assert min(len(ring) for ring in rings) > 20


def test_painting_meanwhile_does_not_reach_the_file(
    chosen: Any, panel: ExportPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen.classify()
    panel.save_table(tmp_path / "before.geojson")
    chosen.wait()
    stock, go = export_panel.rings, threading.Event()

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


def test_clicked_cells_are_exported_too(
    chosen: Any, panel: ExportPanel, tmp_path: Path
) -> None:
    chosen.classify()
    chosen.controller.clicks.cut_bare_spots = True
    chosen.controller.clicks.click((4.0, 4.0))
    chosen.qtbot.waitUntil(lambda: len(chosen.session.table) == 7, timeout=20_000)
    chosen.wait()
    panel.save_table(tmp_path / "cells.geojson")
    chosen.wait()
    content = json.loads((tmp_path / "cells.geojson").read_text())
    assert len(content["features"]) == 7


def test_a_bad_path_is_told(
    chosen: Any, panel: ExportPanel, tmp_path: Path, told: list[str]
) -> None:
    chosen.classify()
    panel.save_table(tmp_path / "cells.xyz")
    assert chosen.session.busy, "written in the GUI thread"
    chosen.wait()
    assert ".xyz" in told[-1]
    assert list(tmp_path.iterdir()) == []


def test_the_suffix_comes_from_the_kind() -> None:
    assert with_suffix("a/cells", "CSV (*.csv)").name == "cells.csv"
    assert with_suffix("a/cells.geojson", "CSV (*.csv)").name == "cells.geojson"


def test_an_own_threshold_is_in_the_files(judged: Any) -> None:
    judged.session.set_min_confidence(0.5)
    notes = provenance(judged.session)
    assert notes.policy["min_confidence"] == 0.5
    assert notes.policy["guarantee"] == ""
    assert notes.settings["promise"].startswith("No guarantee: your own threshold")
