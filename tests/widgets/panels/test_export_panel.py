"""Save what is on the screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_cytodino.widgets.controls.ui import with_suffix
from napari_cytodino.widgets.panels.export_panel import ExportPanel
from napari_cytodino.widgets.session.guarantee import guarantee_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def panel(chosen: Any, qtbot: Any) -> ExportPanel:
    made = ExportPanel(chosen.controller)
    qtbot.addWidget(made)
    return made


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
    assert notes["settings"]["promise"] == guarantee_of(chosen.session).text
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
