"""Choice of a checkpoint and its card."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtWidgets import QFileDialog, QInputDialog, QTextBrowser

from napari_cytodino.widgets.panels.checkpoint_panel import HUB, CheckpointPanel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def panel(bench: Any, qtbot: Any) -> CheckpointPanel:
    made = CheckpointPanel(bench.controller)
    qtbot.addWidget(made)
    return made


def pick(panel: CheckpointPanel, text: str) -> None:
    panel.picker.setCurrentText(text)
    panel.picker.activated.emit(panel.picker.currentIndex())


def test_those_that_ship_open_at_once(bench: Any, panel: CheckpointPanel) -> None:
    pick(panel, "starter")
    assert bench.session.opened.name == "starter"
    assert "12 classes" in panel.about.text()
    pick(panel, "demo")
    assert panel.about.text().startswith("SYNTHETIC")


def test_a_folder(
    bench: Any, panel: CheckpointPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(bench.session.opened.folder, folder)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: str(folder))
    pick(panel, "Folder…")
    bench.wait()
    assert bench.session.opened.folder == folder.resolve()
    assert panel.picker.currentText() == "mine"


def test_an_altered_folder_is_told(
    bench: Any, panel: CheckpointPanel, tmp_path: Path, told: list[str]
) -> None:
    folder = tmp_path / "altered"
    shutil.copytree(bench.session.opened.folder, folder)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    panel.choose(str(folder))
    bench.wait()
    assert "config.json" in told[-1]
    assert bench.session.opened is None
    assert not panel.card.isEnabled()


def test_the_hub_says_its_licence_and_what_is_wrong(
    bench: Any,
    panel: CheckpointPanel,
    monkeypatch: pytest.MonkeyPatch,
    told: list[str],
) -> None:
    asked: list[str] = []

    def answer(parent: Any, title: str, note: str) -> tuple[str, bool]:
        asked.append(note)
        return "nobody/nothing", True

    monkeypatch.setattr(QInputDialog, "getText", answer)
    panel.picker.setCurrentIndex(panel.picker.findData(HUB))
    panel.picker.activated.emit(panel.picker.currentIndex())
    bench.wait()
    assert "licence" in asked[0]
    assert "nobody/nothing" in told[-1]


def test_nothing_chosen_changes_nothing(
    bench: Any, panel: CheckpointPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: "")
    pick(panel, "Folder…")
    assert bench.session.opened.name == "demo"
    assert panel.picker.currentText() == "demo"


def test_the_card_is_text_and_no_html(panel: CheckpointPanel) -> None:
    dialog = panel.show_card()
    text = dialog.findChild(QTextBrowser)
    assert "SYNTHETIC" in text.toPlainText()
    assert not text.openLinks()
    dialog.close()
