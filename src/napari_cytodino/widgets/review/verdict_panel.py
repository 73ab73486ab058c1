"""Review: who reads, what is left, and a button and a key for every verdict."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cytodino.results import class_colours
from napari_cytodino.widgets.controls import ui
from napari_cytodino.widgets.session import progress, read_preferences

if TYPE_CHECKING:
    from napari_cytodino.review import ReviewKeys
    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.widgets.controllers import Controller


COLUMNS = 3
"""Class buttons side by side."""

IN_WORDS = {
    "accept": "&Accept",
    "skip": "S&kip",
    "back": "Bac&k",
    "not_a_cell": "Not a cell",
    "withdraw": "Take back",
    "search": "Find a class",
    "undo": "Undo",
    "redo": "Redo",
}
"""What the button of each action says, before its key."""


class ReviewPanel(QWidget):
    """Start a review, and give verdicts."""

    def __init__(self, controller: Controller, keys: ReviewKeys | None = None) -> None:
        super().__init__()
        self._controller = controller
        self._session = controller.session
        self._reviewing = controller.review
        self.reader = QLineEdit(read_preferences().reader)
        self.reader.setPlaceholderText("Your name or initials")
        self.case = QLineEdit()
        self.case.setPlaceholderText("Case number; no patient data")
        self.blind = QCheckBox("&Blind: hide the model's predictions")
        self.start = QPushButton("Start revie&w")
        self.hint = ui.hint()
        self.status = ui.hint()
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Cells of the queue that have a verdict")
        self.agreement = ui.hint()
        self.buttons: dict[str, QPushButton] = {}
        self.classes: dict[str, QPushButton] = {}
        self._grid = QGridLayout()
        self._taxonomy: Taxonomy | None = None
        self._image = self._session.image
        self.keys = keys
        self._lay_out()
        self.start.clicked.connect(self.begin)
        self.reader.returnPressed.connect(self.begin)
        for signal in (
            self._reviewing.state,
            self._session.results,
            self._session.chosen,
            controller.case.offered,
        ):
            ui.listen(self, signal, self.refresh)
        ui.listen(self, self._session.verdicts_changed, self._on_verdicts)
        ui.listen(self, self._session.chosen, self._follow_image)
        ui.listen(self, self._session.selected, self._enable)
        self.refresh()

    def _follow_image(self) -> None:
        """Forget the number of a case when another image is chosen."""
        if self._session.image is not self._image:
            self._image = self._session.image
            self.case.clear()

    def begin(self) -> None:
        """Open the case, or end the review."""
        if self._reviewing.is_open:
            self._reviewing.stop()
        elif self.start.isEnabled():
            self._controller.case.open(
                self.reader.text(), case=self.case.text(), blind=self.blind.isChecked()
            )

    def set_keys(self, keys: ReviewKeys | None) -> None:
        """Show other keys on the buttons."""
        self.keys, self._taxonomy = keys, None
        self.refresh()

    def refresh(self) -> None:
        """Bring everything up to date."""
        reviewing, open_ = self._reviewing, self._reviewing.is_open
        if self._taxonomy is not self._session.taxonomy:
            self._build(self._session.taxonomy)
        for field in self._fields:
            field.setVisible(not open_)
        self.verdicts.setVisible(open_)
        self.start.setText("End revie&w" if open_ else "Start revie&w")
        there = self._session.predictions is not None
        self.start.setEnabled((there or open_) and not self._controller.case.busy)
        self.hint.setText(self._hint(there))
        self.hint.setVisible(bool(self.hint.text()))
        self.status.setText(standing_of(self._controller) if open_ else "")
        log = reviewing.log
        self.status.setToolTip(ui.literal(str(log.path)) if log is not None else "")
        self.status.setVisible(open_)
        if log is not None and log.locked:
            self.verdicts.setVisible(False)
        self._count()
        self._enable()

    def _hint(self, there: bool) -> str:
        if self._reviewing.is_open:
            return ""
        if not there:
            return "Classify cells first; then read them here."
        return self._controller.case.offer

    def _lay_out(self) -> None:
        self.verdicts = QWidget()
        inside = QVBoxLayout(self.verdicts)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.bar)
        inside.addWidget(self.agreement)
        for names in (
            ("accept", "skip", "back"),
            ("not_a_cell", "withdraw", "search"),
            ("undo", "redo"),
        ):
            line = QHBoxLayout()
            for name in names:
                line.addWidget(self._button(name), 1)
            inside.addLayout(line)
        self._grid.setSpacing(2)
        inside.addLayout(self._grid)
        form = ui.form()
        form.addRow("Rea&der", self.reader)
        form.addRow("&Case", self.case)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(ui.heading("Review"))
        layout.addWidget(self.hint)
        layout.addLayout(form)
        layout.addWidget(self.blind)
        layout.addWidget(self.status)
        layout.addWidget(self.verdicts)
        layout.addWidget(self.start)
        labels = (form.labelForField(field) for field in (self.reader, self.case))
        self._fields = [self.reader, self.case, self.blind, *filter(None, labels)]

    def _button(self, name: str) -> QPushButton:
        button = QPushButton()
        # a button with focus would take the space bar that accepts
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(partial(self._act, name))
        self.buttons[name] = button
        return button

    def _act(self, name: str) -> None:
        getattr(self._controller.actions, name)()

    def _build(self, taxonomy: Taxonomy | None) -> None:
        """Make a button for each class, lineage by lineage, in order of maturation."""
        self._taxonomy = taxonomy
        for button in self.classes.values():
            self._grid.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.classes = {}
        for name, button in self.buttons.items():
            key = self.keys.actions[name] if self.keys else ""
            button.setText(f"{IN_WORDS[name]}  [{key}]" if key else IN_WORDS[name])
        if taxonomy is None:
            return
        colours = class_colours(taxonomy)
        ordered = [c for g in taxonomy.lineages for c in taxonomy.classes_of(g.name)]
        for place, cell in enumerate(ordered):
            key = self.keys.classes.get(cell.code, "") if self.keys else ""
            button = QPushButton(f"{cell.code}  [{key}]" if key else cell.code)
            button.setIcon(
                ui.swatch(
                    colours[cell.code],
                    ui.line_height(self),
                    self.palette().text().color(),
                )
            )
            tip = f"{cell.name}: key {key}" if key else cell.name
            button.setToolTip(ui.literal(tip))
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(
                partial(self._controller.actions.set_class, cell.code)
            )
            self.classes[cell.code] = button
            self._grid.addWidget(button, place // COLUMNS, place % COLUMNS)

    def _on_verdicts(self, rows: object) -> None:
        self._count()
        self._enable()

    def _count(self) -> None:
        if not self._reviewing.is_open:
            return
        found = progress(self._session)
        self.bar.setRange(0, max(1, found.asked))
        self.bar.setValue(found.asked - found.left)
        self.bar.setFormat(f"%v of {found.asked:,} read, {found.left:,} left")
        self.agreement.setText(found.words(blind=self._reviewing.blind))

    def _enable(self) -> None:
        log, reviewing = self._reviewing.log, self._reviewing
        if log is None:
            return
        writable = reviewing.writable
        chosen = writable and len(self._session.selected_rows) > 0
        name, settling = reviewing.reader, reviewing.settling
        can = dict.fromkeys(self.buttons, chosen) | {
            "accept": writable and not reviewing.blind,
            "skip": True,
            "back": True,
            "undo": writable and log.can_undo(name, settling=settling),
            "redo": writable and log.can_redo(name, settling=settling),
        }
        for action, button in self.buttons.items():
            button.setEnabled(can[action])
        for button in self.classes.values():
            button.setEnabled(chosen)


def standing_of(controller: Controller) -> str:
    """Return who reads which case, where it is kept, and why it may be closed."""
    reviewing, log = controller.review, controller.review.log
    if log is None:
        return ""
    how = "Settling as" if reviewing.settling else "Reading as"
    parts = [f"{how} {reviewing.reader}{', blind' if reviewing.blind else ''}."]
    if log.case:
        parts.append(f"Case {log.case}.")
    if log.revision > 1:
        parts.append(f"Revision {log.revision}.")
    parts.append(controller.case.place_note or f"Kept in {log.path.name}.")
    if log.read_only:
        parts.append(f"READ-ONLY: {log.why_read_only}")
    elif log.locked:
        parts.append("LOCKED: reopen it below to change verdicts.")
    if reviewing.lost:
        parts.append(
            f"{reviewing.lost} reviewed cells are not among these; their verdicts are "
            "kept."
        )
    return " ".join(parts)
