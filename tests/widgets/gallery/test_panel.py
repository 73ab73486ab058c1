"""The panel: title, order, size, confirming, dragging; its life and its end."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cytodino.common.errors import InputError
from napari_cytodino.widgets.gallery.panel import CHOOSE_FIRST, GalleryPanel


@pytest.fixture
def panel(pictured: Any, qtbot: Any) -> GalleryPanel:
    made = GalleryPanel(pictured)
    qtbot.addWidget(made)
    made.resize(900, 500)
    made.show()
    qtbot.waitExposed(made)
    made.view.resize_tiles(60)
    made.view.request_pictures()
    return made


def all_drawn(panel: GalleryPanel, qtbot: Any) -> list[int]:
    def done() -> bool:
        seen = panel.view.port.rows_in_view().tolist()
        return all(panel.thumbnails.get(row) is not None for row in seen)

    qtbot.waitUntil(done)
    qtbot.waitUntil(lambda: not panel.thumbnails.busy)
    return panel.view.rows_drawn().tolist()


def choose(panel: GalleryPanel, sort: str) -> None:
    place = panel.sort.findData(sort)
    panel.sort.setCurrentIndex(place)
    panel.sort.activated.emit(place)


def first_rows(panel: GalleryPanel) -> list[int]:
    return panel.model.order.rows[:3].tolist()


def test_the_title_counts(pictured: Any, panel: GalleryPanel) -> None:
    doubt = panel.model.doubtful
    assert panel.title.text() == f"60 cells · 0 read · {doubt} in doubt"
    pictured.review.set_class(pictured.codes[0], [0, 1])
    assert panel.title.text() == f"60 cells · 2 read · {doubt - 2} in doubt"
    pictured.session.clear_cells()
    assert panel.title.text() == "Gallery"
    assert not panel.strip.isVisible()
    assert "px across" not in panel.hint.text()


def test_orders(pictured: Any, panel: GalleryPanel) -> None:
    start = panel.model.order.sections[0].start
    kind = panel.model.order.sections[0].kind.code
    own = [row for row in range(60) if pictured.codes[row % 4] == kind]
    assert first_rows(panel) == own[:3]
    choose(panel, "size")
    area = pictured.session.cells.area
    assert first_rows(panel) == sorted(own, key=lambda row: (-area[row], row))[:3]
    choose(panel, "position")
    assert panel.model.sorted_by == "position"
    choose(panel, "confidence")
    assert first_rows(panel) == own[:3]
    assert start == 0


def test_another_order_shows_the_section_from_its_top(
    pictured: Any, panel: GalleryPanel
) -> None:
    panel.resize(900, 350)
    top = panel.view.port.plan.section_span(1)[0]
    panel.view.verticalScrollBar().setValue(top + 60)
    choose(panel, "size")
    assert panel.view.port.offset == top


def test_likeness_to_the_selected_cell(
    pictured: Any, panel: GalleryPanel, qtbot: Any
) -> None:
    choose(panel, "similarity")
    assert panel.hint.text() == CHOOSE_FIRST
    assert panel.sort.currentData() == "confidence"
    assert not panel.again.isVisible()
    row = int(panel.model.order.rows[7])
    panel.selection.one(row)
    choose(panel, "similarity")
    assert first_rows(panel)[0] == row
    assert panel.again.isVisible()
    assert not panel.again.isEnabled()
    before = panel.model.order.rows.tolist()
    other = int(panel.model.order.rows[5])
    panel.selection.one(other)
    assert panel.model.order.rows.tolist() == before, "it does not jump under the hand"
    qtbot.mouseClick(panel.again, Qt.MouseButton.LeftButton)
    assert first_rows(panel)[0] == other


def test_size(panel: GalleryPanel, qtbot: Any) -> None:
    panel.zoom.setFocus()
    before = panel.view.port.side
    qtbot.keyClick(panel.zoom, Qt.Key.Key_PageUp)
    assert panel.view.port.side == panel.zoom.value()
    assert panel.view.port.plan.tile_width > panel.view.port.side > 0
    assert panel.view.port.side != before


def test_confirm_all_in_view_but_those_that_demand_a_look(
    pictured: Any, panel: GalleryPanel, qtbot: Any
) -> None:
    all_drawn(panel, qtbot)

    def drawn(*, critical: bool) -> set[int]:
        return {r for r in panel.view.rows_drawn().tolist() if (r % 4 == 3) == critical}

    qtbot.waitUntil(
        lambda: panel.confirm.text() == f"Con&firm {len(drawn(critical=False))} in view"
    )
    wanted, critical = drawn(critical=False), drawn(critical=True)
    assert critical
    assert wanted
    qtbot.mouseClick(panel.confirm, Qt.MouseButton.LeftButton)
    assert set(pictured.session.reviews) == wanted
    assert f"{len(wanted)} cells confirmed." in panel.hint.text()
    assert f"{len(critical)} in view want a verdict" in panel.hint.text()
    assert not panel.confirm.isEnabled()
    pictured.review.undo()
    assert not len(pictured.session.reviews), "one step, however many"


def test_a_cell_whose_picture_is_not_there_is_not_confirmed(
    pictured: Any, panel: GalleryPanel, qtbot: Any
) -> None:
    all_drawn(panel, qtbot)
    panel.thumbnails.forget()
    assert not len(panel.view.rows_drawn())
    panel.confirm.setEnabled(True)
    panel.confirm.click()
    assert not len(pictured.session.reviews)


def test_nothing_can_be_confirmed_in_a_closed_case_or_blind(
    pictured: Any, panel: GalleryPanel, qtbot: Any
) -> None:
    all_drawn(panel, qtbot)
    qtbot.waitUntil(panel.confirm.isEnabled)
    pictured.review.lock("signed")
    panel.updater.refresh()
    assert not panel.confirm.isEnabled()
    assert not panel.view.gestures.movable
    pictured.review.reopen("a second look")
    pictured.review.read_as("CD", blind=True)
    panel.updater.refresh()
    assert not panel.confirm.isEnabled()


def test_a_blind_reader(pictured: Any, panel: GalleryPanel) -> None:
    pictured.review.read_as("CD", blind=True)
    panel.updater.refresh()
    assert panel.title.text() == "60 cells · 0 read"
    assert "hidden" in panel.hint.text()
    assert not panel.sort.isEnabled()
    assert panel.sort.currentData() == "position"
    assert len(panel.model.order.sections) == 1
    pictured.review.read_as("AB")
    panel.updater.refresh()
    assert panel.sort.isEnabled()
    assert panel.sort.currentData() == "confidence"


def test_only_what_comes_from_elsewhere_is_set(
    pictured: Any, panel: GalleryPanel, told: list[str]
) -> None:
    kind = panel.model.kind_of(0)
    panel.view.gestures.dropped.emit(kind, np.array([0, 1]))
    assert set(pictured.session.reviews) == {1}
    panel.view.gestures.dropped.emit(kind, np.array([0, 4]))
    assert set(pictured.session.reviews) == {1}
    pictured.review.lock("signed")
    panel.view.gestures.dropped.emit(kind, np.array([2]))
    assert len(told) == 1, "what cannot be recorded is said"


def test_a_refused_confirmation_is_said(
    pictured: Any, panel: GalleryPanel, told: list[str], monkeypatch: Any
) -> None:
    def refuse(rows: Any) -> int:
        raise InputError("the disk is full")

    monkeypatch.setattr(pictured.review, "confirm", refuse)
    panel._confirm()
    assert told == ["the disk is full"]
    assert "confirmed" not in panel.hint.text()


def test_a_code_leads_to_its_section(pictured: Any, panel: GalleryPanel) -> None:
    panel.resize(900, 350)
    number = 1
    kind = panel.model.order.sections[number].kind
    panel.strip.chips[kind.key].click()
    assert panel.view.port.offset == panel.view.port.plan.section_span(number)[0]


def test_enter_goes_to_the_current_cell(pictured: Any, panel: GalleryPanel) -> None:
    panel._open()
    assert pictured.went == []
    panel.selection.one(9)
    panel.selection.toggle(9)
    panel._open()
    assert pictured.went == [9], "also where it is not selected"


def test_all_parts_have_names(panel: GalleryPanel) -> None:
    for part in (panel.sort, panel.zoom, panel.view, panel.strip):
        assert part.accessibleName()
    assert panel.confirm.text()
    assert panel.again.toolTip()


def test_it_ends_with_its_dock(pictured: Any, qtbot: Any) -> None:
    panel = GalleryPanel(pictured)
    panel.show()
    qtbot.waitExposed(panel)
    panel.close()
    gone = weakref.ref(panel)
    panel.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    del panel
    gc.collect()
    assert gone() is None
    # nothing of it hears these any more
    pictured.session.select(3)
    pictured.review.set_class(pictured.codes[0], [2])
    pictured.session.rebuild()
    qtbot.wait(80)


def test_it_ends_when_its_dock_is_taken_away(pictured: Any, qtbot: Any) -> None:
    dock = QWidget()
    panel = GalleryPanel(pictured)
    QVBoxLayout(dock).addWidget(panel)
    dock.show()
    qtbot.waitExposed(dock)
    # napari deletes docks without closing what is inside
    dock.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    pictured.session.select(3)
    pictured.review.set_class(pictured.codes[0], [2])
    pictured.session.rebuild()
    panel.thumbnails.want([1], 20)
    qtbot.wait(80)
    assert len(panel.thumbnails) == 0
