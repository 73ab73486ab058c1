"""Names that look like markup or turn their line: nothing in the viewer obeys them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QLabel,
    QPlainTextEdit,
    QTreeWidget,
    QWidget,
)

from napari_cytodino.common.errors import InputError
from napari_cytodino.widgets.controls import notices, ui
from napari_cytodino.widgets.panels.checkpoint_panel import card_dialog

# pytest imports test files by their path: their folder is on no path
sys.path.insert(0, str(Path(__file__).parent))
import benches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_cytodino.checkpoints.checkpoint import Checkpoint

classifier = benches.classifier
no_case_of_the_users = benches.no_case_of_the_users

pytestmark = pytest.mark.filterwarnings(benches.NAPARIS_OWN)

TURN = "\u202e"
EVIL = f'<img src="evil">{TURN}<h1>evil &lt;b&gt;'
"""For names of layers, files and people; every part of it says evil."""

LET_THROUGH = "&lt;u&gt;evil&amp;copy; 'x' \"y\""
"""For names of classes and lineages: the reader of taxonomies takes it."""


def hostile(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint whose every free text is hostile."""
    taxonomy = checkpoint.taxonomy
    taxonomy = replace(
        taxonomy,
        title=LET_THROUGH,
        classes=tuple(replace(c, name=LET_THROUGH) for c in taxonomy.classes),
        lineages=tuple(replace(g, title=LET_THROUGH) for g in taxonomy.lineages),
    )
    calibration = benches.some_calibration(checkpoint, data=EVIL)
    return replace(
        checkpoint,
        name=EVIL,
        sha256="evil",
        taxonomy=taxonomy,
        card=f"# {EVIL}\n\n![evil](file:///etc/passwd) {EVIL}",
        calibration=calibration,
        policy=calibration.policy(),
    )


def shown(widget: QWidget) -> Iterator[tuple[str, bool]]:
    """Yield the texts of a widget, and whether Qt renders them as rich text."""
    texts = [widget.toolTip(), widget.statusTip(), widget.whatsThis()]
    yield widget.windowTitle(), False
    if isinstance(widget, QTreeWidget):
        items = [widget.invisibleRootItem()]
        while items:
            item = items.pop()
            items += [item.child(i) for i in range(item.childCount())]
            for column in range(widget.columnCount()):
                texts.append(item.toolTip(column))
                yield item.text(column), False
        head = widget.headerItem()
        yield " ".join(head.text(i) for i in range(widget.columnCount())), False
    if isinstance(widget, QPlainTextEdit):
        yield widget.toPlainText(), False
    if isinstance(widget, QComboBox):
        yield "\n".join(widget.itemText(i) for i in range(widget.count())), False
        tip = Qt.ItemDataRole.ToolTipRole
        texts += [widget.itemData(i, tip) or "" for i in range(widget.count())]
    for text in texts:
        yield text, Qt.mightBeRichText(text)
    if isinstance(widget, QLabel):
        kind, text = widget.textFormat(), QLabel.text(widget)
        guess = kind == Qt.TextFormat.AutoText and Qt.mightBeRichText(text)
        yield (
            text,
            guess or kind in (Qt.TextFormat.RichText, Qt.TextFormat.MarkdownText),
        )


def seen_evil(*roots: QWidget) -> int:
    """Return how many texts hold a hostile name; fail where one has its way."""
    count = 0
    for root in roots:
        for widget in [root, *root.findChildren(QWidget)]:
            for text, rich in shown(widget):
                if "evil" in text:
                    assert not rich, (widget, text)
                    assert TURN not in text, (widget, text)
                    count += 1
    return count


@pytest.mark.render
@pytest.mark.usefixtures("classifier")
def test_no_name_is_markup_in_any_dock(
    make_napari_viewer: Any, qtbot: Any, smear: Any, demo: Checkpoint, tmp_path: Path
) -> None:
    viewer = make_napari_viewer(show=True)
    folder = tmp_path / EVIL.replace("/", "")
    folder.mkdir()
    Image.fromarray(smear.image).save(folder / "evil.png")
    image = viewer.open(str(folder / "evil.png"), plugin="napari")[0]
    image.name = EVIL
    labels = viewer.add_labels(smear.labels, name=EVIL)
    add = viewer.window.add_plugin_dock_widget
    dock, review, gallery = (
        add("napari-cytodino", name)[1]
        for name in ("CytoDINO", "CytoDINO review", "CytoDINO gallery")
    )
    session, controller = dock.session, dock.controller
    session.open_checkpoint(hostile(demo))
    session.choose(cells_layer=getattr(labels, "__wrapped__", labels))
    dock.run.classify.click()
    qtbot.waitUntil(lambda: not (session.busy or controller.case.busy), timeout=60_000)
    assert len(session.table) == 6
    for name in (EVIL, f"{EVIL} too"):
        review.review.reader.setText(name)
        review.review.case.setText(EVIL)
        review.review.start.click()
        for row in range(4):
            session.select(row)
            controller.actions.set_class(session.taxonomy.codes[row])
        qtbot.wait(50)
        assert seen_evil(dock, review, gallery) > 40
        review.review.start.click()
    labels.translate = (0, 1)
    qtbot.wait(50)
    assert ui.visible(EVIL) in dock.run.status.text()
    words = gallery.gallery.model.words(2) if hasattr(gallery, "gallery") else ""
    assert not Qt.mightBeRichText(ui.literal(words))
    dialog = card_dialog(session.opened, dock)
    assert seen_evil(dock, review, gallery, dialog) > 40
    dialog.deleteLater()
    for widget in QApplication.topLevelWidgets():
        # how napari itself shows a layer's name is not ours to say
        if type(widget).__module__.startswith("napari_cytodino"):
            seen_evil(widget)


@pytest.mark.parametrize("error", [InputError(EVIL), RuntimeError(EVIL)])
def test_no_notice_is_markup(qtbot: Any, error: Exception) -> None:
    notification_manager.records.clear()
    notices.error(error)
    notices.info(EVIL)
    notices.warning(EVIL)
    for record in notification_manager.records:
        box = NapariQtNotification(record.message, record.severity)
        qtbot.addWidget(box)
        assert "evil" in record.message
        assert TURN not in record.message
        assert not Qt.mightBeRichText(record.message)
        assert seen_evil(box)
    assert len(notification_manager.records) == 3


@given(
    text=st.text(st.sampled_from('<>/!?& \n;ltbimg="\u202e\x00\u200dä'), max_size=30)
)
def test_a_text_stays_as_it_reads(text: str) -> None:
    plain = ui.literal(text)
    assert not Qt.mightBeRichText(plain)
    read = plain.replace("\u2060", "")
    assert read == text.replace("\u202e", "\\u202e").replace("\x00", "\\x00")
