"""Choose a checkpoint: one that ships, a folder, or one from the Hub; read its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QInputDialog,
    QLabel,
    QPushButton,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_cytodino.checkpoints import (
    list_checkpoints,
    load_checkpoint,
    own_profiles,
)
from napari_cytodino.common import CytoDinoError
from napari_cytodino.widgets.controls import notices, ui

if TYPE_CHECKING:
    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.widgets.controllers import Controller


FOLDER, HUB = "folder:", "hub:"

HUB_NOTE = (
    "Id on the Hugging Face Hub, such as owner/name.\n\n"
    "Its files are downloaded (safetensors only, never pickle). A model there has a "
    "licence of its own; weights built on DINOv3 ask you to accept Meta's DINOv3 "
    "licence on huggingface.co first."
)
"""The notice before anything is fetched."""


class CheckpointPanel(QWidget):
    """Picker of the checkpoint, one line about it, and its model card."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.picker = QComboBox()
        self.picker.setAccessibleName("Checkpoint")
        self.picker.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.picker.setMinimumContentsLength(10)
        self.card = QPushButton("&Model card")
        self.card.setToolTip("Data, licence, measured quality and limits of the model.")
        self.about = ui.hint()
        label = QLabel("Chec&kpoint")
        label.setBuddy(self.picker)
        form = ui.form()
        form.addRow(label, ui.row(self.picker, self.card))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.about)
        self._list()
        self.picker.activated.connect(self._picked)
        self.card.clicked.connect(self.show_card)
        controller.session.chosen.connect(self.refresh)
        controller.session.run.connect(self._on_run)

    def _list(self) -> None:
        """List what can be chosen; a profile may have been saved since."""
        self._listed = list_checkpoints()
        self.picker.clear()
        for info in self._listed:
            self.picker.addItem(info.name, info.name)
            self.picker.setItemData(self.picker.count() - 1, info.title, 3)
        self.picker.addItem("Folder…", FOLDER)
        self.picker.addItem("Hugging Face Hub…", HUB)

    def choose(self, source: str) -> None:
        """Choose a name, folder or Hub id; opens it, in a worker where it is slow."""
        session = self._controller.session
        # small, so read at once; a profile may be of any size
        bundled = {i.name for i in self._listed if i.folder.parent != own_profiles()}
        if source in bundled:
            try:
                session.open_checkpoint(load_checkpoint(source))
            except CytoDinoError as error:
                notices.error(error)
                self.refresh()
            return
        session.choose(checkpoint=source)
        self._controller.open_checkpoint()

    def refresh(self) -> None:
        """Show what is chosen."""
        session = self._controller.session
        opened = session.opened
        name = opened.name if opened else str(session.checkpoint)
        with signals_blocked(self.picker):
            place = self.picker.findText(name)
            if place < 0 and name:
                self.picker.insertItem(0, ui.visible(name), name)
                place = 0
            self.picker.setCurrentIndex(place)
        self.about.setText(about(opened) if opened else "Not open yet.")
        self.card.setEnabled(opened is not None)

    def show_card(self) -> QDialog:
        """Open the model card in a window of its own."""
        opened = self._controller.session.opened
        assert opened is not None
        dialog = card_dialog(opened, self)
        dialog.open()
        return dialog

    def _picked(self) -> None:
        source = self.picker.currentData()
        if source == FOLDER:
            source = QFileDialog.getExistingDirectory(self, "Folder of a checkpoint")
        elif source == HUB:
            source, _ = QInputDialog.getText(self, "Hugging Face Hub", HUB_NOTE)
        if source and source.strip():
            self.choose(source.strip())
        else:
            self.refresh()

    def _on_run(self) -> None:
        busy = self._controller.session.busy
        self.picker.setEnabled(not busy)
        if not busy and list_checkpoints() != self._listed:
            with signals_blocked(self.picker):
                self._list()
            self.refresh()


def about(checkpoint: Checkpoint) -> str:
    """Return one line that says what a checkpoint knows."""
    classes, field = len(checkpoint.taxonomy), checkpoint.preprocessing.field_of_view
    text = f"{classes} classes, trained on crops of {field:g} px."
    if checkpoint.synthetic:
        return f"SYNTHETIC, for the demo only: drawn cells. {text}"
    return text


def card_dialog(checkpoint: Checkpoint, parent: QWidget) -> QDialog:
    """Return a window with the model card; its text is never run as HTML."""
    dialog = QDialog(parent)
    dialog.setWindowTitle(ui.visible(f"Model card of {checkpoint.name}"))
    text = QTextBrowser()
    text.setAccessibleName("Model card")
    text.document().setMarkdown(
        _body(checkpoint.card), QTextDocument.MarkdownFeature.MarkdownNoHTML
    )
    text.setOpenLinks(False)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.reject)
    layout = QVBoxLayout(dialog)
    layout.addWidget(text)
    layout.addWidget(buttons)
    unit = ui.line_height(dialog)
    dialog.resize(unit * 44, unit * 36)
    return dialog


def _body(card: str) -> str:
    """Return a model card without the block of metadata at its head."""
    if card.startswith("---\n") and "\n---\n" in card[4:]:
        return card[4:].split("\n---\n", 1)[1]
    return card
