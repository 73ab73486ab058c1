"""Rendered walks through a review, by real keys and mouse events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QMainWindow, QMenu

from napari_cytodino.common.errors import InputError
from napari_cytodino.review.location import SUFFIX
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL
from napari_cytodino.widgets.canvas.result_layers import CLASSES
from napari_cytodino.widgets.controls.docking import dock_of
from napari_cytodino.widgets.review.class_search import ClassSearch
from napari_cytodino.widgets.review_dock import ORPHANED
from napari_cytodino.widgets.session.review_queue import queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.render, pytest.mark.usefixtures("classifier")]

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


class Review:
    """A viewer in which six cells are classified and the review dock is open."""

    def __init__(self, viewer: Any, smear: Any, qtbot: Any, path: Path) -> None:
        self.viewer, self.qtbot, self.smear = viewer, qtbot, smear
        viewer.window.resize(1300, 900)
        if not path.exists():
            from PIL import Image

            Image.fromarray(smear.image).save(path)
        self.image = viewer.open(str(path), plugin="napari")[0]
        labels = viewer.add_labels(smear.labels, name="cells", visible=False)
        window = viewer.window
        _, self.main = window.add_plugin_dock_widget("napari-cytodino", "CytoDINO")
        _, self.dock = window.add_plugin_dock_widget(
            "napari-cytodino", "CytoDINO review"
        )
        self.session, self.review = self.main.session, self.main.controller.review
        self.main.checkpoint.choose("demo")
        self.session.choose(cells_layer=getattr(labels, "__wrapped__", labels))
        qtbot.waitUntil(self.main.run.classify.isEnabled)
        self.main.run.classify.click()
        qtbot.waitUntil(lambda: not self.session.busy, timeout=60_000)
        qtbot.waitUntil(lambda: not self.main.controller.case.busy, timeout=20_000)
        self.native = viewer.window._qt_viewer.canvas.native

    def begin(self, reader: str = "AM") -> None:
        self.dock.review.reader.setText(reader)
        self.qtbot.mouseClick(self.dock.review.start, Qt.MouseButton.LeftButton)
        assert self.review.is_open
        # without a window manager nothing else makes the window the active one
        self.native.window().activateWindow()
        self.native.setFocus()
        self.qtbot.waitUntil(self.native.isActiveWindow)

    def press(self, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        self.qtbot.keyClick(self.native, key, modifier)

    def said(self) -> list[str]:
        return list(self.session.table["reviewed_class"])

    def middle(self) -> QPoint:
        return QPoint(self.native.width() // 2, self.native.height() // 2)


@pytest.fixture
def review(
    make_napari_viewer: Any, qtbot: Any, smear: Any, tmp_path: Path
) -> Iterator[Review]:
    made = Review(make_napari_viewer(show=True), smear, qtbot, tmp_path / "smear.png")
    yield made
    made.dock.let_go()


@pytest.mark.smoke
def test_a_case_is_read_by_keys_alone(review: Review, tmp_path: Path) -> None:
    """Keys pressed on the canvas, where napari's own would win over the viewer's."""
    session = review.session
    wanted = queue(session).tolist()
    assert len(wanted) >= 3
    review.begin()
    assert f"Kept in smear{SUFFIX}" in review.dock.review.status.text()
    assert (tmp_path / f"smear{SUFFIX}").is_file()
    review.press(Qt.Key.Key_Space)
    assert session.selected_row == wanted[0]
    review.press(Qt.Key.Key_Space)
    model = session.table["cell_class"]
    assert review.said()[wanted[0]] == model[wanted[0]]
    assert session.selected_row == wanted[1]
    review.press(Qt.Key.Key_B)
    assert review.said()[wanted[1]] == "BLA"
    review.press(Qt.Key.Key_Delete)
    assert review.said()[wanted[2]] == NOT_A_CELL
    review.press(Qt.Key.Key_Z, CONTROL)
    assert review.said()[wanted[2]] == ""
    assert session.selected_row == wanted[2]
    review.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert review.said()[wanted[2]] == NOT_A_CELL
    review.press(Qt.Key.Key_Backspace)
    assert review.said()[wanted[2]] == ""
    assert "2 of 6 cells have a verdict" in review.dock.review.agreement.text()
    assert review.dock.review.bar.value() == 2
    # the layer that is active, and its tools, were left alone
    assert review.viewer.layers.selection.active.mode == "pan_zoom"


def test_letters_in_a_field_are_letters(review: Review) -> None:
    review.begin()
    review.session.select(0)
    field = review.main.run.findChild(type(review.dock.review.reader))
    field = field or review.dock.review.reader
    field.setVisible(True)
    field.setFocus()
    review.qtbot.keyClicks(field, "b")
    assert review.said() == [""] * 6


def test_the_legend_of_keys_can_be_pressed(review: Review) -> None:
    review.begin()
    panel = review.dock.review
    assert panel.classes["BLA"].text().endswith("[B]")
    assert not panel.classes["BLA"].isEnabled(), "nothing is selected yet"
    review.session.select(4)
    review.qtbot.mouseClick(panel.classes["BLA"], Qt.MouseButton.LeftButton)
    assert review.said()[4] == "BLA"
    assert panel.buttons["undo"].isEnabled()
    review.qtbot.mouseClick(panel.buttons["undo"], Qt.MouseButton.LeftButton)
    assert review.said()[4] == ""
    assert panel.buttons["redo"].isEnabled()


def test_a_class_is_found_by_a_part_of_its_name(review: Review) -> None:
    review.begin()
    review.session.select(1)
    review.press(Qt.Key.Key_Slash)
    dialog = review.dock.findChild(ClassSearch)
    assert dialog is not None
    review.qtbot.keyClicks(dialog.line, "plasm")
    review.qtbot.keyClick(dialog.line, Qt.Key.Key_Return)
    code = review.said()[1]
    assert code
    assert (
        "plasma"
        in review.session.taxonomy.classes[
            review.session.taxonomy.codes.index(code)
        ].name.lower()
    )


def test_a_right_click_offers_the_same(review: Review) -> None:
    review.begin()
    y, x = review.session.cells.centre[2]
    camera = review.viewer.scene.camera
    camera.zoom, camera.center = 2.0, (0.0, float(y), float(x))
    review.qtbot.wait(80)
    review.qtbot.mouseMove(review.native, review.middle())
    review.qtbot.mouseClick(
        review.native, Qt.MouseButton.RightButton, pos=review.middle()
    )
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    assert review.session.selected_row == 2
    texts = [a.text() for a in menu.actions()]
    assert "Not a cell\tDelete" in texts
    next(a for a in menu.actions() if a.text().startswith("Not a cell")).trigger()
    menu.close()
    assert review.said()[2] == NOT_A_CELL


def test_shift_and_drag_select_many(review: Review) -> None:
    review.begin()
    review.viewer.reset_view()
    review.qtbot.wait(80)
    center = tuple(review.viewer.scene.camera.center)
    left, right = (
        QPoint(30, 60),
        QPoint(review.native.width() - 30, review.native.height() - 60),
    )
    layers = len(review.viewer.layers)
    button = Qt.MouseButton.LeftButton
    review.qtbot.mouseMove(review.native, left)
    review.qtbot.mousePress(review.native, button, SHIFT, left)
    for share in (0.3, 0.6, 1.0):
        here = left + (right - left) * share
        event_at(review, here)
    assert len(review.viewer.layers) == layers + 1, "the box is not drawn"
    review.qtbot.mouseRelease(review.native, button, SHIFT, right)
    assert sorted(review.session.selected_rows.tolist()) == list(range(6))
    assert tuple(review.viewer.scene.camera.center) == center
    assert len(review.viewer.layers) == layers + 1, "the rings, but not the box"
    review.press(Qt.Key.Key_B)
    assert review.said() == ["BLA"] * 6
    review.press(Qt.Key.Key_Z, CONTROL)
    assert review.said() == [""] * 6


def event_at(review: Review, place: QPoint) -> None:
    """Move the mouse with the left button and Shift held down."""
    from qtpy.QtCore import QEvent, QPointF
    from qtpy.QtGui import QMouseEvent

    where = QPointF(place)
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        where,
        QPointF(review.native.mapToGlobal(place)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton,
        SHIFT,
    )
    QApplication.sendEvent(review.native, event)
    review.qtbot.wait(30)


def test_the_image_opened_again_offers_to_go_on(
    review: Review, make_napari_viewer: Any, smear: Any, qtbot: Any, tmp_path: Path
) -> None:
    review.begin("AM")
    review.session.select(3)
    review.press(Qt.Key.Key_B)
    second = Review(make_napari_viewer(show=True), smear, qtbot, tmp_path / "smear.png")
    assert "read before, by AM: 1 verdicts" in second.dock.review.hint.text()
    # two viewers on one case: the second may only look
    second.dock.review.reader.setText("AM")
    second.dock.review.begin()
    assert "READ-ONLY" in second.dock.review.status.text()
    assert second.said()[3] == "BLA"
    assert not second.review.writable
    second.dock.review.begin()
    review.dock.review.begin()
    second.dock.review.begin()
    assert second.review.writable
    second.dock.close()


def test_closing_the_dock_gives_keys_and_mouse_back(review: Review) -> None:
    review.begin()
    callbacks = len(review.viewer.mouse_drag_callbacks)
    # the cross of the dock: napari closes no widget then
    dock_of(review.dock).destroyOnClose()
    assert len(review.viewer.mouse_drag_callbacks) == callbacks - 2
    review.session.select(0)
    review.press(Qt.Key.Key_B)
    assert review.said() == [""] * 6
    _, again = review.viewer.window.add_plugin_dock_widget(
        "napari-cytodino", "CytoDINO review"
    )
    again.refresh()
    review.press(Qt.Key.Key_B)
    assert review.said()[0] == "BLA", "two sets of keys make each ambiguous"
    review.qtbot.wait(20)
    dock_of(review.main).destroyOnClose()
    assert not review.review.is_open
    review.qtbot.waitUntil(lambda: not again.isEnabled())
    assert again.notice.text() == ORPHANED
    dock_of(again).destroyOnClose()


def test_docks_share_one_place_and_the_gallery_lies_below(review: Review) -> None:
    window = review.viewer.window
    review.qtbot.wait(50)
    own, beside = dock_of(review.dock), dock_of(review.main)
    assert own is not None
    main = own.parentWidget()
    assert isinstance(main, QMainWindow)
    assert main.tabifiedDockWidgets(own) == [beside]
    _, gallery = window.add_plugin_dock_widget("napari-cytodino", "CytoDINO gallery")
    bottom = Qt.DockWidgetArea.BottomDockWidgetArea
    review.qtbot.waitUntil(lambda: main.dockWidgetArea(dock_of(gallery)) == bottom)


def test_a_case_leaves_a_report_crops_and_a_table_to_load(
    review: Review, tmp_path: Path, told: list[str]
) -> None:
    review.begin()
    session, panel = review.session, review.dock.report
    review.review.set_class("BLA", [0, 1])
    review.review.accept([2])
    page = tmp_path / "case.html"
    panel.save_report(page)
    review.qtbot.waitUntil(lambda: not session.busy, timeout=30_000)
    text = page.read_text("utf-8")
    assert "AM" in text
    assert "data:image/png" in text
    crops = tmp_path / "crops"
    panel.save_crops(crops)
    review.qtbot.waitUntil(lambda: not session.busy, timeout=30_000)
    assert len(list((crops / "BLA").glob("*.png"))) == 2
    table = tmp_path / "cells.csv"
    review.main.export.save_table(table)
    review.qtbot.waitUntil(lambda: not session.busy, timeout=30_000)
    assert json.loads(table.with_suffix(".provenance.json").read_text())["checkpoint"]
    before = review.said()
    review.review.withdraw([0, 1, 2])
    panel.load_verdicts(table)
    assert review.said() == before
    assert told == []
    # one action for one reader
    review.review.undo()
    assert review.said() == [""] * 6


def test_a_record_that_cannot_be_followed_is_told_once(
    review: Review, told: list[str], monkeypatch: Any
) -> None:
    review.begin()
    review.dock.follower.start()
    monkeypatch.setattr(review.review.log, "read_only", True)
    monkeypatch.setattr(review.review.log, "refresh", raise_gone)
    review.dock.follower.timeout.emit()
    assert told[-1] == "It is gone; look for it."
    assert not review.dock.follower.isActive()


def raise_gone() -> None:
    raise InputError("It is gone; look for it.")


def test_blind_reading_hides_the_model_everywhere(review: Review) -> None:
    review.dock.review.blind.setChecked(True)
    classes = review.viewer.layers[CLASSES].data
    assert len(np.unique(classes[classes > 0])) > 1
    review.begin("BK")
    session = review.session
    assert (session.table["cell_class"] == "").all()
    review.qtbot.wait(100)
    classes = review.viewer.layers[CLASSES].data
    assert len(np.unique(classes[classes > 0])) == 1, "classes are still coloured"
    session.select(0)
    assert not review.dock.card.bars.isVisible()
    facts = review.dock.card.facts.text()
    assert not any(code in facts for code in session.taxonomy.codes)
    assert not review.dock.report.report.isEnabled()
    review.press(Qt.Key.Key_Space)
    assert review.said() == [""] * 6
    review.press(Qt.Key.Key_B)
    assert session.table["final_class"][0] == "BLA"
