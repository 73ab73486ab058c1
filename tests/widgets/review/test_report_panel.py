"""What a case leaves behind, and verdicts that come back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from napari_cytodino.exports.crop_folders import CropsWritten
from napari_cytodino.exports.tables import export
from napari_cytodino.widgets.review import _case_material as case_material
from napari_cytodino.widgets.review import report_panel
from napari_cytodino.widgets.review.differential_panel import DifferentialPanel
from napari_cytodino.widgets.review.report_panel import ReportPanel, crops_words
from napari_cytodino.widgets.session.snapshot import whole_table

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def panel(judged: Any, qtbot: Any) -> ReportPanel:
    counts = DifferentialPanel(judged.controller)
    made = ReportPanel(judged.controller, counts)
    qtbot.addWidget(counts)
    qtbot.addWidget(made)
    return made


def test_without_a_review_only_a_report(
    judged: Any, panel: ReportPanel, told: list[str], tmp_path: Path
) -> None:
    panel.refresh()
    enabled = [b.isEnabled() for b in (panel.report, panel.crops, panel.load)]
    assert enabled == [True, False, False]
    panel.save_crops(tmp_path)
    panel.load_verdicts(tmp_path / "none.csv")
    assert all("Start the review first" in text for text in told)
    assert len(told) == 2
    assert list(tmp_path.iterdir()) == []


def test_verdicts_come_back_under_their_readers_names(
    read_bench: Any, panel: ReportPanel, tmp_path: Path, told: list[str]
) -> None:
    reviewing, session = read_bench.controller.review, read_bench.session
    table = whole_table(session)
    table.loc[1, ["reviewed_class", "reviewer"]] = ["BLA", "Ext"]
    table.loc[2, ["reviewed_class", "reviewer"]] = ["ZZZ", "Ext"]
    path = export(table, tmp_path / "cells.csv")
    panel.load_verdicts(path)
    assert told == []
    assert "1 verdicts were loaded" in read_bench.messages[-1]
    assert "1 are of cells or classes that are not here" in read_bench.messages[-1]
    assert reviewing.log.readers == ("Ext",)
    said = reviewing.log.verdicts("Ext")[1]
    assert said.why == "loaded from cells.csv"
    # AM still has said nothing
    assert (session.table["reviewed_class"] == "").all()
    panel.load_verdicts(tmp_path / "none.csv")
    assert "none.csv" in told[-1]
    # an older table does not replace what was said since
    reviewing.read_as("Ext")
    reviewing.set_class("MON", [1])
    table.loc[1, "reviewed_at"] = "2020-01-01T00:00:00"
    panel.load_verdicts(export(table, tmp_path / "old.csv"))
    assert reviewing.log.verdicts("Ext")[1].cell_class == "MON"
    table["image"] = "another smear"
    panel.load_verdicts(export(table, tmp_path / "other.csv"))
    assert "'another smear', not of 'smear'" in told[-1]


def test_the_history_is_written_event_by_event(
    read_bench: Any, panel: ReportPanel, tmp_path: Path, told: list[str]
) -> None:
    reviewing = read_bench.controller.review
    reviewing.set_class("BLA", [0, 1])
    reviewing.undo()
    panel.save_history(tmp_path / "history.csv")
    assert len((tmp_path / "history.csv").read_text("utf-8").splitlines()) == 5
    panel.save_history(tmp_path / "history.txt")
    assert len(told) == 1
    reviewing.read_as("BK", blind=True)
    assert not panel.history.isEnabled()


def test_a_folder_that_refuses(
    read_bench: Any, panel: ReportPanel, tmp_path: Path, told: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    read_bench.controller.review.accept([0])
    panel.save_crops(tmp_path / "file")
    read_bench.wait()
    assert told
    panel.save_report(tmp_path / "file" / "case.html")
    read_bench.wait()
    assert len(told) == 2


def test_a_report_is_whole_though_the_image_goes_meanwhile(
    judged: Any, panel: ReportPanel, tmp_path: Path, told: list[str]
) -> None:
    panel.save_report(tmp_path / "before.html")
    judged.wait()
    stock, go = case_material.pictures_for, threading.Event()

    def late(*given: Any) -> Any:
        go.wait(20)
        return stock(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_panel, "pictures_for", late)
        panel.save_report(tmp_path / "case.html")
        judged.viewer.layers.remove(judged.session.image)
        go.set()
        judged.wait()
    assert told == []
    pages = [(tmp_path / f"{name}.html").read_text() for name in ("before", "case")]
    assert pages[0].count("<img") == pages[1].count("<img") > 0


def test_what_came_of_crops(tmp_path: Path) -> None:
    text = crops_words(CropsWritten({"BLA": 2, "MON": 1}, (7,), False), tmp_path)
    assert text.startswith("3 crops of 2 classes")
    assert "1 cells are unreadable" in text
    assert "cancelled" in text
