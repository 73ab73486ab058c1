"""Rendered walks through the dock, in a real viewer on a display."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QAbstractButton, QComboBox, QTreeWidget, QWidget

from napari_cytodino.common.provenance import RESEARCH_USE
from napari_cytodino.widgets.canvas.result_layers import CLASSES, CLICKED
from napari_cytodino.widgets.session.review_queue import queue

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.render


class Walk:
    """A viewer with the dock open and a smear in it."""

    def __init__(self, viewer: Any, smear: Any, qtbot: Any) -> None:
        self.viewer, self.qtbot, self.smear = viewer, qtbot, smear
        viewer.window.resize(1300, 900)
        self.image = viewer.add_image(smear.image, name="smear")
        self.labels = viewer.add_labels(smear.labels, name="cells", visible=False)
        _, self.dock = viewer.window.add_plugin_dock_widget(
            "napari-cytodino", "CytoDINO"
        )
        self.dock.checkpoint.choose("demo")
        self.dock.session.choose(cells_layer=self.layer("cells"))
        qtbot.waitUntil(lambda: self.dock.run.classify.isEnabled())

    def layer(self, name: str) -> Any:
        layer = self.viewer.layers[name]
        return getattr(layer, "__wrapped__", layer)

    def press(self, button: QAbstractButton) -> None:
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def wait(self) -> None:
        self.qtbot.waitUntil(lambda: not self.dock.session.busy, timeout=60_000)

    def classify(self) -> None:
        self.press(self.dock.run.classify)
        assert self.dock.session.busy
        self.wait()

    def click(self, y: float, x: float) -> None:
        """Click a place of the image with a real mouse event."""
        self.viewer.scene.camera.zoom = 1.2
        self.viewer.scene.camera.center = (0.0, y, x)
        self.qtbot.wait(50)
        native = self.viewer.window._qt_viewer.canvas.native
        middle = QPoint(native.width() // 2, native.height() // 2)
        self.qtbot.mouseMove(native, middle)
        self.qtbot.mouseClick(native, Qt.MouseButton.LeftButton, pos=middle)

    def shot(self) -> np.ndarray:
        self.qtbot.wait(50)
        return self.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(
            int
        )


@pytest.fixture
def walk(make_napari_viewer: Any, qtbot: Any, smear: Any) -> Walk:
    return Walk(make_napari_viewer(show=True), smear, qtbot)


def inside(smear: Any, label: int) -> tuple[float, float]:
    spots = np.argwhere(smear.labels == label)
    y, x = spots[len(spots) // 2]
    return float(y), float(x)


@pytest.mark.smoke
def test_classify_click_recolour_and_hide(walk: Walk) -> None:
    dock, session = walk.dock, walk.dock.session
    walk.classify()
    assert len(session.table) == 6
    assert "6 cells are classified" in dock.run.status.text()
    coloured = walk.shot()
    walk.layer(CLASSES).visible = False
    bare = walk.shot()
    walk.layer(CLASSES).visible = True
    assert np.abs(coloured - bare).max() > 60, "the classes are not on the canvas"
    dock.legend.mode.setCurrentText("status")
    assert session.mode == "status"
    recoloured = walk.shot()
    assert np.abs(recoloured - coloured).max() > 30, (
        "another colour mode looks the same"
    )
    walk.click(*inside(walk.smear, 2))
    walk.qtbot.waitUntil(lambda: session.selected_row == 1)
    walk.qtbot.waitUntil(lambda: not dock.card.picture.pixmap().isNull())
    assert dock.card.title.text().startswith("Cell 2")
    assert session.table["cell_class"][1] in dock.card.bars.text()
    assert dock.card.bars.text().count("%") == 5
    root = dock.legend.tree.invisibleRootItem()
    for place in range(root.childCount()):
        root.child(place).setCheckState(0, Qt.CheckState.Unchecked)
    assert not walk.layer(CLASSES).data.any(), "unticked classes are still painted"
    dock.controller.canvas.clear()


@pytest.mark.usefixtures("classifier")
def test_accuracy_by_keys_and_the_next_flagged_cell_from_the_canvas(
    walk: Walk, demo: Any, calibrated: Any, six_answers: Any
) -> None:
    dock, session = walk.dock, walk.dock.session
    session.open_checkpoint(calibrated(demo))
    walk.classify()
    session.predictions = six_answers
    session.rebuild()
    slider = dock.accuracy.slider
    slider.setFocus()
    walk.qtbot.keyClick(slider, Qt.Key.Key_Home)
    assert session.risk == 0.1
    assert dock.accuracy.bars.text().startswith("accepted 5")
    walk.qtbot.keyClick(slider, Qt.Key.Key_End)
    assert dock.accuracy.bars.text().startswith("accepted 0")
    walk.qtbot.keyClick(slider, Qt.Key.Key_Left)
    rows = queue(session)
    native = walk.viewer.window._qt_viewer.canvas.native
    # without a window manager nothing else makes the window the active one
    native.window().activateWindow()
    native.setFocus()
    walk.qtbot.waitUntil(native.isActiveWindow)
    walk.qtbot.keyClick(native, Qt.Key.Key_F3)
    assert session.selected_row == rows[0], "F3 does not reach the dock"
    walk.qtbot.keyClick(native, Qt.Key.Key_F3)
    assert session.selected_row == rows[1]
    walk.qtbot.keyClick(native, Qt.Key.Key_F3, Qt.KeyboardModifier.ShiftModifier)
    assert session.selected_row == rows[0]
    camera = walk.viewer.scene.camera
    apart = session.cells.centre[rows[0]] - np.array(camera.center[-2:])
    assert np.abs(apart).max() < min(walk.viewer.canvas.size) / camera.zoom / 2
    walk.qtbot.waitUntil(lambda: not dock.card.picture.pixmap().isNull())
    assert not dock.card.visibleRegion().isEmpty(), "the card is scrolled out of sight"


@pytest.mark.usefixtures("classifier")
def test_click_a_bare_spot(walk: Walk) -> None:
    session = walk.dock.session
    session.choose(cells_layer=None)
    walk.dock.card.cut.setChecked(True)
    walk.click(*inside(walk.smear, 3))
    walk.qtbot.waitUntil(lambda: len(session.table) == 1, timeout=30_000)
    walk.wait()
    assert len(walk.layer(CLICKED).data) == 1
    assert walk.dock.card.title.text().startswith("Clicked cell 1")


def test_cancel_by_button(walk: Walk, classifier: Any) -> None:
    classifier.held = True
    walk.press(walk.dock.run.classify)
    walk.qtbot.waitUntil(lambda: classifier.calls == 1, timeout=30_000)
    assert walk.dock.run.cancel.isEnabled()
    assert walk.dock.run.bar.isVisible()
    assert not walk.dock.run.classify.isEnabled()
    walk.press(walk.dock.run.cancel)
    classifier.release(100)
    walk.wait()
    assert walk.dock.run.classify.isEnabled()
    assert len(walk.dock.session.table) == 0


def test_delete_the_layer_meanwhile(walk: Walk, classifier: Any) -> None:
    classifier.held = True
    walk.press(walk.dock.run.classify)
    walk.qtbot.waitUntil(lambda: classifier.calls == 1, timeout=30_000)
    walk.viewer.layers.remove("smear")
    classifier.release(100)
    walk.wait()
    assert "deleted" in walk.dock.run.status.text()
    assert walk.dock.session.image is None
    walk.viewer.add_image(walk.smear.image, name="again")
    walk.dock.session.choose(cells_layer=walk.layer("cells"))
    classifier.held = False
    walk.classify()
    assert len(walk.dock.session.table) == 6, "the viewer is not usable any more"


def test_close_the_viewer_meanwhile(walk: Walk, classifier: Any) -> None:
    classifier.held = True
    walk.press(walk.dock.run.classify)
    walk.qtbot.waitUntil(lambda: classifier.calls == 1, timeout=30_000)
    runner = walk.dock.controller.worker
    walk.viewer.close()
    classifier.release(100)
    walk.qtbot.wait(200)
    assert not runner.busy


@pytest.mark.usefixtures("classifier")
def test_works_behind_the_proxy_of_plugins(
    make_napari_viewer_proxy: Callable[..., Any], qtbot: Any, smear: Any
) -> None:
    from napari_cytodino.widgets.dock import CytoDinoDock

    viewer = make_napari_viewer_proxy()
    viewer.add_image(smear.image)
    labels = viewer.add_labels(smear.labels, name="cells")
    dock = CytoDinoDock(viewer)
    qtbot.addWidget(dock)
    dock.session.choose(cells_layer=labels.__wrapped__)
    dock.run.classify.click()
    qtbot.waitUntil(lambda: not dock.session.busy, timeout=60_000)
    assert len(dock.session.table) == 6
    assert CLASSES in [layer.name for layer in viewer.layers]
    dock.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_readable_named_and_reachable_by_keyboard(walk: Walk, theme: str) -> None:
    walk.viewer.theme = theme
    walk.qtbot.wait(50)
    dock = walk.dock
    assert dock.notice.isVisible()
    assert "Research use only" in dock.notice.text()
    assert "research use only" in RESEARCH_USE.lower()
    for widget in dock.findChildren(QWidget):
        if isinstance(widget, (QComboBox, QTreeWidget)):
            assert widget.accessibleName(), widget
        if isinstance(widget, QAbstractButton) and widget.parent() is not None:
            reachable = widget.focusPolicy() != Qt.FocusPolicy.NoFocus
            assert reachable or not widget.text(), widget.text()
    named = [b.text() for b in dock.findChildren(QAbstractButton) if b.text()]
    keys = [text[text.index("&") + 1].lower() for text in named if "&" in text]
    assert len(keys) == len(set(keys)), "two buttons share a key"
    ink = dock.notice.palette().color(dock.notice.foregroundRole()).lightness()
    assert (ink > 128) is (theme == "dark"), "text has no contrast to the theme"
    walk.qtbot.keyClick(dock, Qt.Key.Key_Escape)
    gc.collect()


OPEN_WITHOUT_TORCH = """
import sys
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
app = QApplication([])
viewer = ViewerModel()
from napari_cytodino.widgets.dock import CytoDinoDock
dock = CytoDinoDock(viewer)
dock.show()
app.processEvents()
heavy = {"torch", "transformers", "peft"} & set(sys.modules)
assert not heavy, heavy
assert dock.session.opened is not None
dock.close()
"""


def test_opens_without_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OPEN_WITHOUT_TORCH],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
