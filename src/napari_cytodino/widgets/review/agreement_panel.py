"""Readers compared: agreement, what they call differently, settling, signing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QInputDialog,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_cytodino.common import CytoDinoError
from napari_cytodino.widgets.controls import notices, ui
from napari_cytodino.widgets.review._case_material import compare, pairs_of

if TYPE_CHECKING:
    from napari_cytodino.review import Agreement
    from napari_cytodino.widgets.controllers import Controller


MOST = 500
"""Cells that are listed; more would make the dock wait."""

ROW = Qt.ItemDataRole.UserRole

BLIND = "Hidden while someone reads blind, so that readings stay independent."

ALONE = "When two have read the case, or one beside the model, they are compared here."


class ReadersPanel(QWidget):
    """Who agrees with whom, and what is left to settle."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._session = controller.session
        self._reviewing = controller.review
        self.pair = QComboBox()
        self.pair.setAccessibleName("Whom to compare")
        self.words = ui.hint()
        self.list = QTreeWidget()
        self.list.setAccessibleName("Cells that they call differently")
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setMinimumHeight(ui.line_height(self) * 6)
        self.settle = QPushButton()
        self.lock = QPushButton()
        self.refresh_button = QPushButton("Re&fresh")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(ui.heading("Readers"))
        layout.addLayout(ui.row(self.pair, self.refresh_button))
        layout.addWidget(self.words)
        layout.addWidget(self.list)
        layout.addLayout(ui.row(self.settle, self.lock))
        self.pair.currentIndexChanged.connect(lambda index: self.compare())
        self.refresh_button.clicked.connect(self.refresh)
        self.list.itemSelectionChanged.connect(self._go)
        self.settle.clicked.connect(self._toggle_settling)
        self.lock.clicked.connect(self._toggle_lock)
        ui.listen(self, self._reviewing.state, self.refresh)
        ui.listen(self, self._session.verdicts_changed, self._on_changed)
        self.refresh()

    def refresh(self) -> None:
        """Bring readers and buttons up to date, as on opening a case."""
        log, reviewing = self._reviewing.log, self._reviewing
        self.setVisible(log is not None)
        if log is None:
            return
        readers = list(log.readers)
        pairs = pairs_of(readers)
        with signals_blocked(self.pair):
            before = self.pair.currentData()
            self.pair.clear()
            for first, second in pairs:
                self.pair.addItem(ui.visible(f"{first} and {second}"), (first, second))
            self.pair.setCurrentIndex(max(0, self.pair.findData(before)))
        blind = reviewing.blind
        for part in (self.pair, self.list, self.refresh_button):
            part.setVisible(bool(pairs) and not blind)
        self.settle.setVisible(not blind and len(readers) > 1)
        self.settle.setText(
            "Back to &reading" if reviewing.settling else "Settle &disagreements"
        )
        self.lock.setText("Reo&pen…" if log.locked else "Sign and loc&k…")
        self.lock.setEnabled(not log.read_only)
        self.settle.setEnabled(reviewing.writable or reviewing.settling)
        self.compare()

    def compare(self) -> None:
        """Compare the two that are chosen."""
        chosen, cells = self.pair.currentData(), self._session.cells
        self.list.clear()
        unknown = cells is None or chosen is None or self._session.taxonomy is None
        if self._reviewing.blind or unknown:
            self.words.setText(BLIND if self._reviewing.blind else ALONE)
            return
        assert cells is not None
        try:
            found = compare(self._controller, *chosen)
        except CytoDinoError as error:
            # verdicts of an earlier checkpoint may name classes that this one lacks
            self.words.setText(str(error))
            return
        lines = sentences(found)
        more = len(found.disagreements) - MOST
        if more > 0:
            lines.append(f"The first {MOST} of {MOST + more:,} cells are listed.")
        self.words.setText("\n".join(lines))
        names = (ui.visible(name) for name in (found.first, found.second))
        self.list.setHeaderLabels(["Cell", *names, "Settled"])
        log = self._reviewing.log
        settled = log.settled() if log is not None else {}
        for entry in found.disagreements[:MOST]:
            done = settled.get(entry.row)
            item = QTreeWidgetItem(
                self.list,
                [
                    str(cells.label[entry.row]),
                    entry.first.replace("_", " "),
                    entry.second.replace("_", " "),
                    done.cell_class.replace("_", " ") if done else "",
                ],
            )
            item.setData(0, ROW, entry.row)

    def _on_changed(self, rows: Any) -> None:
        if rows is None:
            self.compare()
        elif self._reviewing.settling and self._reviewing.log is not None:
            # counting agreement anew for each verdict would only slow the keys
            settled = self._reviewing.log.settled()
            for place in range(self.list.topLevelItemCount()):
                item = self.list.topLevelItem(place)
                if item is not None and item.data(0, ROW) in rows:
                    done = settled.get(item.data(0, ROW))
                    item.setText(3, done.cell_class.replace("_", " ") if done else "")

    def _go(self) -> None:
        items = self.list.selectedItems()
        if items:
            self._reviewing.select([items[0].data(0, ROW)])
            self._controller.canvas.show_at_scale()

    def _toggle_settling(self) -> None:
        reviewing = self._reviewing
        reviewing.read_as(reviewing.reader, settling=not reviewing.settling)

    def _toggle_lock(self) -> None:
        log = self._reviewing.log
        if log is None:
            return
        locked = log.locked
        title = "Reopen the case" if locked else "Sign and lock the case"
        question = "Why is it reopened?" if locked else "A remark, if there is one:"
        text, given = QInputDialog.getText(self, title, question)
        if not given:
            return
        try:
            (self._reviewing.reopen if locked else self._reviewing.lock)(text)
        except CytoDinoError as error:
            notices.error(error)


def sentences(found: Agreement) -> list[str]:
    """Return the agreement in words, the strictest first."""
    lines = [
        f"Class: {found.classes.sentence}",
        f"Class, a neighbouring stage accepted: {found.tolerant.sentence}",
        f"Lineage: {found.lineages.sentence}",
        f"Critical or not: {found.critical.sentence}",
    ]
    lines += [f"{s.title}, weighted: {s.weighted.sentence}" for s in found.series]
    return lines
