"""Teaching: let verdicts teach, be asked about the cells that teach the most, save."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QInputDialog,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cytodino.common import CytoDinoError
from napari_cytodino.teaching import LIKE
from napari_cytodino.widgets.controls import notices, ui
from napari_cytodino.widgets.review.new_class import NewClassDialog
from napari_cytodino.widgets.session import ROUND

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_cytodino.widgets.controllers import Controller


HINT = (
    "Each verdict teaches the model how cells look in your laboratory. Typical cells "
    "are asked first, then the least sure; every fifth is drawn at random, to measure."
)

MORE, LESS = "▸ How good is it?", "▾ How good is it?"


class TeachingPanel(QWidget):
    """Teach with the next cells, see what was learned, save a profile."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._teaching = controller.teaching
        self.on = QCheckBox("&Verdicts teach")
        self.on.setToolTip("Off: the checkpoint answers as it is stored.")
        self.on.setChecked(self._teaching.on)
        self.teach = QPushButton()
        self.alike = QPushButton(f"Show {LIKE} &like this")
        self.alike.setToolTip("Selects the cells most like the one that is looked at.")
        self.add = QPushButton("Add a class…")
        self.save = QPushButton("Save &profile…")
        self.hint = ui.hint(HINT)
        self.words = ui.hint()
        self.measured = ui.hint()
        self.more = ui.disclosure()
        self.more.setCheckable(True)
        self.curve = ui.hint()
        self._lay_out()
        self.on.toggled.connect(self._teaching.set_on)
        self.teach.clicked.connect(self._teach)
        self.alike.clicked.connect(lambda: self._try(self._teaching.show_alike))
        self.add.clicked.connect(self.ask_for_a_class)
        self.save.clicked.connect(self._save)
        self.more.toggled.connect(self.refresh)
        for signal in (
            self._teaching.state,
            controller.review.state,
            controller.session.run,
            controller.session.selected,
        ):
            ui.listen(self, signal, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Bring everything up to date."""
        teaching, review = self._teaching, self._controller.review
        self.setVisible(review.is_open)
        if not review.is_open:
            return
        self.on.setChecked(teaching.on)
        text = "Stop asking" if teaching.asking else f"&Teach with {ROUND} cells"
        self.teach.setText(text)
        self.teach.setEnabled(review.writable and not review.settling)
        self.add.setEnabled(review.writable)
        chosen = self._controller.session.selected_row is not None
        self.alike.setEnabled(review.writable and chosen)
        taught = teaching.taught is not None
        self.save.setEnabled(taught and not self._controller.session.busy)
        self.hint.setVisible(not taught)
        # how often the model is right would tell a blind reader what it said
        measured = "" if review.blind else teaching.accuracy_words()
        for label, text in ((self.words, teaching.words()), (self.measured, measured)):
            label.setText(text)
            label.setVisible(bool(text))
        taught = taught and not review.blind
        self.more.setVisible(taught)
        self.more.setText(LESS if self.more.isChecked() else MORE)
        shown = taught and self.more.isChecked()
        self.curve.setVisible(shown)
        if shown:
            self.curve.setText(self._curve_words())

    def ask_for_a_class(self) -> NewClassDialog | None:
        """Open the window that adds a class."""
        base = self._controller.session.opened
        if base is None:
            return None
        dialog = NewClassDialog(
            self,
            base.taxonomy,
            lambda one: self._try(self._teaching.add_classes, [one]),
        )
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        return dialog

    def save_as(self, name: str) -> None:
        """Save what was taught as a profile of this name, beside the checkpoints."""
        self._try(self._controller.save_profile, name)

    def _teach(self) -> None:
        if self._teaching.asking:
            self._teaching.stop()
        elif self._try(self._teaching.ask):
            self._controller.next_flagged(1)

    def _save(self) -> None:
        name, good = QInputDialog.getText(
            self, "Save profile", "Name: up to 64 letters, digits, - and _"
        )
        if good and name.strip():
            self.save_as(name.strip())

    def _try(self, do: Callable[..., None], *given: object) -> bool:
        try:
            do(*given)
        except CytoDinoError as error:
            notices.error(error)
            return False
        return True

    def _curve_words(self) -> str:
        rows = [f"{cells} cells: {text}" for cells, text in self._teaching.curve()]
        note = (
            "All taught cells, each judged by a head that did not know it; they were "
            "not drawn at random, so this is no accuracy of the image."
        )
        return "\n".join([*rows, note])

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self.add, self.save):
            buttons.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(ui.heading("Teach"))
        for part in (self.hint, self.on):
            layout.addWidget(part)
        layout.addLayout(ui.row(self.teach, self.alike))
        for part in (self.words, self.measured):
            layout.addWidget(part)
        layout.addWidget(self.more)
        layout.addWidget(self.curve)
        layout.addLayout(buttons)
