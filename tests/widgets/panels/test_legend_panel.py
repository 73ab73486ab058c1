"""The legend: counts, ticks, colour modes."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt

from napari_cytodino.results.colours import STATUS_COLOURS
from napari_cytodino.widgets.panels.legend_panel import LegendPanel
from napari_cytodino.widgets.session.appearance import counts
from napari_cytodino.widgets.session.cell_card import STATUS_WORDS


@pytest.fixture
def panel(chosen: Any, qtbot: Any) -> LegendPanel:
    made = LegendPanel(chosen.controller)
    qtbot.addWidget(made)
    return made


def leaves(panel: LegendPanel) -> dict[str, int]:
    return {
        key: int(item.text(1))
        for key, item in panel._items.items()
        if item.text(1) not in ("", "0")
    }


def test_classes_by_lineage_before_there_are_cells(
    chosen: Any, panel: LegendPanel
) -> None:
    taxonomy = chosen.session.taxonomy
    assert list(panel._groups) == [g.name for g in taxonomy.lineages]
    for cell in taxonomy.classes:
        item = panel._items[cell.code]
        assert item.text(0) == f"{cell.code}  {cell.name}"
        assert item.parent() is panel._groups[cell.lineage]
        assert not item.icon(0).isNull()
    series = panel._groups["granulocytic"]
    shown = [series.child(i).text(0)[:3] for i in range(series.childCount() - 1)]
    assert shown == ["BLA", "PMO", "MYB", "MMZ", "NGB", "NGS"]


def test_counts_are_those_of_the_table(chosen: Any, panel: LegendPanel) -> None:
    chosen.classify()
    assert leaves(panel) == counts(chosen.session.table)
    shown = sum(int(group.text(1) or 0) for group in panel._groups.values())
    assert shown == len(chosen.session.table)
    assert "SYNTHETIC" in panel.note.text()


def test_a_tick_hides_a_class_and_a_group_its_lineage(
    chosen: Any, panel: LegendPanel
) -> None:
    code = chosen.session.taxonomy.codes[0]
    panel._items[code].setCheckState(0, Qt.CheckState.Unchecked)
    assert chosen.session.hidden == {code}
    panel._items[code].setCheckState(0, Qt.CheckState.Checked)
    lineage = chosen.session.taxonomy.lineages[0].name
    panel._groups[lineage].setCheckState(0, Qt.CheckState.Unchecked)
    members = {c.code for c in chosen.session.taxonomy.classes if c.lineage == lineage}
    assert members <= chosen.session.hidden


def test_colour_mode_is_an_intention(chosen: Any, panel: LegendPanel) -> None:
    panel.mode.setCurrentText("confidence")
    assert chosen.session.mode == "confidence"
    assert panel.key.text().startswith("unsure")
    chosen.session.show(mode="class")
    assert panel.mode.currentText() == "class"


def test_colours_of_a_status_are_explained(chosen: Any, panel: LegendPanel) -> None:
    panel.mode.setCurrentText("status")
    for status, colour in STATUS_COLOURS.items():
        at = panel.key.text().index(STATUS_WORDS[status].replace(" ", "&nbsp;"))
        assert colour.lower() in panel.key.text()[:at]
    panel.mode.setCurrentText("class")
    assert panel.key.text() == ""


def test_ticks_survive_another_mode(chosen: Any, panel: LegendPanel) -> None:
    code = chosen.session.taxonomy.codes[0]
    panel._items[code].setCheckState(0, Qt.CheckState.Unchecked)
    panel.mode.setCurrentText("lineage")
    assert panel._items[code].checkState(0) == Qt.CheckState.Unchecked
