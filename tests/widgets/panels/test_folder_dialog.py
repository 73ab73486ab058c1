"""The dialogue for many images, in a real viewer with the real demo checkpoint."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDesktopServices, QDropEvent
from qtpy.QtWidgets import QAbstractButton

from napari_cytodino.batch import run as cluster
from napari_cytodino.widgets import commands
from napari_cytodino.widgets.panels.folder_dialog import left_out, model_words
from napari_cytodino.widgets.session.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.widgets.panels.folder_dialog import FolderDialog

pytestmark = pytest.mark.render


@pytest.fixture
def folder(tmp_path: Path, smear: Any) -> Path:
    made = tmp_path / "smears"
    made.mkdir()
    Image.fromarray(smear.image).save(made / "one.png", compress_level=1)
    Image.fromarray(smear.image[:, ::-1]).save(made / "two.png", compress_level=1)
    return made


@pytest.fixture
def dialog(make_napari_viewer: Any, qtbot: Any, told: list[str]) -> FolderDialog:
    viewer = make_napari_viewer(show=True)
    dock = commands.open_dock(viewer)
    dock.checkpoint.choose("demo")
    commands.classify_folder(viewer)
    made = dock.classify_folder()
    assert made is dock.classify_folder(), "there is a second dialogue"
    return made


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Let one image pass for each release."""
    gate, real = threading.Semaphore(0), cluster.classify_recorded

    def process(*args: Any) -> Any:
        assert gate.acquire(timeout=30)
        return real(*args)

    monkeypatch.setattr(cluster, "classify_recorded", process)
    return gate


def look(dialog: FolderDialog, qtbot: Any, *paths: Path) -> None:
    dialog.look(paths)
    qtbot.waitUntil(dialog.start.isEnabled, timeout=10_000)


@pytest.mark.smoke
def test_two_images_and_one_that_is_none(
    dialog: FolderDialog,
    folder: Path,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / "bad.png").write_bytes(b"no image")
    assert not dialog.start.isEnabled()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    dialog.dropEvent(
        QDropEvent(
            QPointF(5, 5),
            Qt.DropAction.CopyAction,
            data,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
    )
    qtbot.waitUntil(dialog.start.isEnabled, timeout=10_000)
    assert dialog.count.text() == "3 images found."
    dialog.start.setFocus()
    qtbot.keyClick(dialog.start, Qt.Key.Key_Space)
    assert dialog.bar.isVisible()
    assert not dialog.start.isEnabled()
    qtbot.waitUntil(lambda: not dialog._run.busy, timeout=60_000)
    out = folder.with_name("smears-cytodino")
    assert (out / "one.cells.csv").is_file()
    assert (out / "two.overlay.png").is_file()
    said = dialog.status.text()
    assert "in 2 images" in said
    assert f"The results are in {out}." in said
    assert dialog.failed.toPlainText().startswith("bad.png cannot be read")
    assert dialog.guarantee.text().startswith("Accepted cells:")
    # nothing is squeezed for want of room
    assert dialog.height() >= dialog.layout().totalHeightForWidth(dialog.width())
    opened: list[str] = []
    monkeypatch.setattr(
        QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile())
    )
    dialog.open.click()
    assert opened == [str(out)]
    (folder / "bad.png").unlink()
    look(dialog, qtbot, folder)
    dialog.start.click()
    qtbot.waitUntil(lambda: not dialog._run.busy, timeout=60_000)
    assert "2 images done before and left as they are." in dialog.status.text()
    assert not dialog.failed.isVisible()
    dialog.close()


def test_escape_stops_and_a_closed_window_lets_it_go_on(
    dialog: FolderDialog,
    folder: Path,
    qtbot: Any,
    slow: threading.Semaphore,
    told: list[str],
) -> None:
    look(dialog, qtbot, folder / "one.png", folder / "two.png")
    assert dialog.out.text() == str(folder / "cytodino")
    dialog.start.click()
    button = dialog.parent().run.folder
    slow.release()
    qtbot.waitUntil(lambda: dialog._run.tally.done == 1, timeout=60_000)
    assert dialog.status.text().startswith("1 of 2 images, ")
    assert button.text().endswith("1 of 2")
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.isVisible(), "Escape closed the dialogue instead of stopping"
    assert not dialog.cancel.isEnabled()
    assert "Stopping after the cells under way" in dialog.status.text()
    slow.release()
    qtbot.waitUntil(lambda: not dialog._run.busy, timeout=60_000)
    shutil.rmtree(folder / "cytodino")
    dialog.start.click()
    dialog.close()
    assert dialog._run.busy
    slow.release(2)
    qtbot.waitUntil(lambda: not dialog._run.busy, timeout=60_000)
    assert told[-1].startswith("Classify a folder: ")
    assert (folder / "cytodino" / "two.cells.csv").is_file()
    assert not button.text().endswith("2")
    dialog.show()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


def test_the_viewer_is_closed_during_a_run(
    dialog: FolderDialog, folder: Path, qtbot: Any, slow: threading.Semaphore
) -> None:
    look(dialog, qtbot, folder)
    run = dialog._run
    dialog.start.click()
    slow.release()
    qtbot.waitUntil(lambda: run.tally.done == 1, timeout=60_000)
    dialog.parent().controller.viewer.close()
    slow.release(5)
    qtbot.wait(300)
    assert not run.busy
    assert run.tally.done == 1


def test_nothing_found_and_no_table_wanted(
    dialog: FolderDialog, tmp_path: Path, folder: Path, qtbot: Any
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    dialog.look([empty])
    qtbot.waitUntil(lambda: "No image found" in dialog.count.text())
    assert not dialog.start.isEnabled()
    assert str(empty) in dialog.count.text()
    look(dialog, qtbot, folder)
    dialog.formats["csv"].setChecked(False)
    assert not dialog.start.isEnabled()
    dialog.formats["csv"].setChecked(True)
    assert dialog.start.isEnabled()


def test_readable_named_and_reachable_by_keyboard(
    dialog: FolderDialog, qtbot: Any
) -> None:
    named = [b.text() for b in dialog.findChildren(QAbstractButton) if b.text()]
    keys = [text[text.index("&") + 1].lower() for text in named if "&" in text]
    assert len(keys) == len(set(keys)), "two buttons share a key"
    for widget in (dialog.source, dialog.out, dialog.failed, dialog.bar):
        assert widget.accessibleName()
    for theme in ("light", "dark"):
        dialog.parent().controller.viewer.theme = theme
        qtbot.wait(50)
        ink = dialog.model.palette().color(dialog.model.foregroundRole()).lightness()
        assert (ink > 128) is (theme == "dark"), "text has no contrast to the theme"


def test_what_the_dock_says(demo: Any, tmp_path: Path) -> None:
    session = Session()
    assert model_words(session) == "Choose a checkpoint in the dock first."
    session.open_checkpoint(demo)
    side = session.crop_side()
    assert model_words(session).startswith(f"demo, {side} px around each cell: as")
    session.set_risk(0.01)
    session.choose(field_of_view=100.0)
    session.set_min_confidence(0.9)
    said = model_words(session)
    assert said.startswith("demo, 100 px around each cell, accuracy wanted 99")
    assert said.endswith("counts in the dock only.")
    image = tmp_path / "a.png"
    assert left_out(image, f"{image} is\nbad") == "a.png is bad"
    assert left_out(image, "memory ran out") == "a.png: memory ran out"
