"""The differential in the dock: numbers, ticks, target, alerts."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt

from napari_cytodino.stats.binomial import wilson
from napari_cytodino.widgets.review.differential_panel import KEY, DifferentialPanel
from napari_cytodino.widgets.session.preferences import Preferences


@pytest.fixture
def panel(read_bench: Any, qtbot: Any) -> DifferentialPanel:
    made = DifferentialPanel(read_bench.controller)
    qtbot.addWidget(made)
    made.show()
    return made


def lines(panel: DifferentialPanel) -> dict[str, list[str]]:
    found = {}
    root = panel.tree.invisibleRootItem()
    for place in range(root.childCount()):
        group = root.child(place)
        for inside in range(group.childCount()):
            item = group.child(inside)
            found[item.data(0, KEY)] = [item.text(c) for c in range(1, 5)]
    return found


def test_a_verdict_moves_the_count_and_the_model_stays(
    read_bench: Any, panel: DifferentialPanel, qtbot: Any
) -> None:
    code = read_bench.session.table["cell_class"][0]
    before = lines(panel)
    read_bench.controller.review.set_class("BLA", list(range(6)))
    qtbot.waitUntil(lambda: lines(panel)["BLA"][0] == "6")
    low, high = (100 * share for share in wilson(6, 6))
    assert lines(panel)["BLA"][:3] == ["6", "100.0", f"{low:.1f} to {high:.1f}"]
    assert lines(panel)[code][0] == "0"
    assert [v[3] for v in lines(panel).values()] == [v[3] for v in before.values()]
    assert "6 of 500 cells counted" in panel.total.text()
    assert "100.0 %" in panel.bars.text()
    # a single faggot cell comes before everything else
    assert not panel.urgent.isVisible()
    read_bench.controller.review.set_class("FGC", [1])
    qtbot.waitUntil(panel.urgent.isVisible)
    assert "faggot" in panel.urgent.text()
    assert "M:E not computable" in panel.note.text()


def test_a_class_that_is_unticked_counts_no_more(
    read_bench: Any, panel: DifferentialPanel, qtbot: Any
) -> None:
    read_bench.controller.review.set_class("BLA", [0, 1])
    read_bench.controller.review.set_class("MON", [2, 3, 4, 5])
    qtbot.waitUntil(lambda: lines(panel)["MON"][0] == "4")
    items = panel.tree.findItems("MON ", Qt.MatchFlag.MatchStartsWith | RECURSIVE)
    items[0].setCheckState(0, Qt.CheckState.Unchecked)
    qtbot.waitUntil(lambda: lines(panel)["BLA"][1] == "100.0")
    assert lines(panel)["MON"] == ["4", "", "", ""]
    assert "2 of 500" in panel.total.text()


RECURSIVE = Qt.MatchFlag.MatchRecursive


def test_the_target_and_only_what_was_read(
    read_bench: Any, panel: DifferentialPanel, qtbot: Any
) -> None:
    panel.target.setCurrentIndex(panel.target.findData(300))
    assert "of 300 cells counted" in panel.total.text()
    panel.only.setChecked(True)
    assert panel.total.text().startswith("0 of 300")
    read_bench.controller.review.set_class("MON", [2])
    qtbot.waitUntil(lambda: panel.total.text().startswith("1 of 300"))


def test_a_users_own_counting(
    read_bench: Any, qtbot: Any, tmp_path: Any, monkeypatch: Any, told: list[str]
) -> None:
    from napari_cytodino.widgets.review import differential_panel

    path = tmp_path / "counting.toml"
    path.write_text("target = 200\n", "utf-8")
    monkeypatch.setattr(
        differential_panel, "read_preferences", lambda: Preferences(counting=str(path))
    )
    panel = DifferentialPanel(read_bench.controller)
    qtbot.addWidget(panel)
    assert "of 200 cells counted" in panel.total.text()
    path.write_text("target = 0\n", "utf-8")
    other = DifferentialPanel(read_bench.controller)
    qtbot.addWidget(other)
    assert "of 500 cells counted" in other.total.text()
    assert len(told) == 1
