"""The differential count as it grows: shares with intervals, M:E ratio, alerts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import qthrottled, signals_blocked

from napari_cytodino.common import CytoDinoError
from napari_cytodino.results import (
    LEVELS,
    TARGETS,
    Alert,
    AlertRules,
    CountingRules,
    Differential,
    DifferentialRow,
    Share,
    count_cells,
    find_alerts,
    grey_zone_sentence,
    rgba,
)
from napari_cytodino.widgets.controls import Bars, Row, notices, ui
from napari_cytodino.widgets.session import read_preferences

if TYPE_CHECKING:
    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.widgets.controllers import Controller


REFRESH_MS = 120
"""Least time between two counts, while verdicts come fast."""

KEY = Qt.ItemDataRole.UserRole

MARKS = {"urgent": "‼", "review": "!", "quality": "i"}
"""Sign of each level of alerts, so that colour is not all there is."""

URGENT = "border: 2px solid #D55E00; border-radius: 3px; padding: 4px;"
"""Of what must be seen first; the sign before it says the same without colour."""

SAMPLING = "95 % intervals are of sampling cells; errors of the model are not in them."


class DifferentialPanel(QWidget):
    """Counts, shares and alerts of the cells on the screen."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._session = controller.session
        self._taxonomy: Taxonomy | None = None
        self.counting: CountingRules | None = None
        self.current: Differential | None = None
        self.alerts: tuple[Alert, ...] = ()
        self.rules = AlertRules.load()
        self.urgent, self.warnings = ui.hint(), ui.hint()
        self.urgent.setAccessibleName("Urgent alerts")
        self.urgent.setStyleSheet(URGENT)
        self.warnings.setAccessibleName("Alerts")
        self.total = ui.hint()
        self.target = QComboBox()
        self.target.setAccessibleName("Cells to count")
        for number in TARGETS:
            self.target.addItem(f"{number} cells", number)
        self.only = QCheckBox("Onl&y cells that I have read")
        self.tree = self._make_tree()
        self.bars = Bars(1)
        self.bars.setAccessibleName("Shares of the lineages")
        self.note = ui.hint()
        self._lay_out()
        self._soon = qthrottled(self.refresh, timeout=REFRESH_MS, leading=False)
        self.target.currentIndexChanged.connect(self._choose_target)
        self.only.toggled.connect(lambda on: self.refresh())
        self.tree.itemChanged.connect(self._tick)
        session = self._session
        for signal in (session.results, session.chosen, session.verdicts_changed):
            ui.listen(self, signal, self._count_soon)
        self.destroyed.connect(self._soon.cancel)
        self.refresh()

    def _count_soon(self) -> None:
        self._soon()

    def refresh(self) -> None:
        """Count anew."""
        taxonomy = self._session.taxonomy
        if taxonomy is not self._taxonomy or self.counting is None:
            self._take_taxonomy(taxonomy)
        self.setEnabled(taxonomy is not None and len(self._session.table) > 0)
        if taxonomy is None or self.counting is None:
            return
        table = self._session.table
        if self.only.isChecked():
            table = table[table["reviewed_class"].to_numpy(object) != ""]
        found = self.current = count_cells(table, taxonomy, self.counting)
        self.alerts = find_alerts(found, taxonomy, self.rules)
        with signals_blocked(self.tree):
            self._fill(found)
        self._write_words(found, taxonomy)

    def _make_tree(self) -> QTreeWidget:
        tree = QTreeWidget()
        tree.setAccessibleName(
            "Differential; untick a class to leave it out of the count"
        )
        tree.setHeaderLabels(["Class", "n", "%", "95 %", "model %"])
        tree.setUniformRowHeights(True)
        tree.setIndentation(ui.line_height(self))
        tree.setMinimumHeight(ui.line_height(self) * 12)
        tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = tree.header()
        for column in range(5):
            stretch = QHeaderView.ResizeMode.Stretch
            fit = QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(column, stretch if column == 0 else fit)
        header.setStretchLastSection(False)
        return tree

    def _lay_out(self) -> None:
        label = QLabel("C&ount")
        label.setBuddy(self.target)
        form = ui.form()
        form.addRow(label, self.target)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(ui.heading("Differential"))
        layout.addWidget(self.urgent)
        layout.addWidget(self.warnings)
        layout.addLayout(form)
        layout.addWidget(self.only)
        layout.addWidget(self.total)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.bars)
        layout.addWidget(self.note)

    def _take_taxonomy(self, taxonomy: Taxonomy | None) -> None:
        self._taxonomy = taxonomy
        self.counting = None
        if taxonomy is None:
            return
        wanted = read_preferences()
        try:
            self.rules = AlertRules.load(_path(wanted.alerts))
            own = _path(wanted.counting)
            self.counting = (
                CountingRules.read(own, taxonomy) if own else CountingRules.of(taxonomy)
            )
        except CytoDinoError as error:
            notices.error(error)
            self.counting = CountingRules.of(taxonomy)
        with signals_blocked(self.target):
            place = self.target.findData(self.counting.target)
            if place < 0:
                self.target.addItem(
                    f"{self.counting.target} cells", self.counting.target
                )
                place = self.target.count() - 1
            self.target.setCurrentIndex(place)

    def _fill(self, found: Differential) -> None:
        # the tree is small, and rebuilding it keeps what is open: everything
        scroll = self.tree.verticalScrollBar().value()
        self.tree.clear()
        for group in found.lineages:
            item = self._item(self.tree, group, group.name)
            font = item.font(0)
            font.setBold(True)
            item.setFont(0, font)
            for line in found.classes_of(group.key):
                child = self._item(item, line, f"{line.key}  {line.name}")
                child.setData(0, KEY, line.key)
                child.setFlags(child.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                on = line.key in found.counting.counted
                child.setCheckState(
                    0, Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
                )
                child.setHidden(not (line.reviewed.count or line.model.count))
            item.setExpanded(True)
        self.tree.verticalScrollBar().setValue(scroll)

    def _item(
        self, parent: object, line: DifferentialRow, name: str
    ) -> QTreeWidgetItem:
        share = line.reviewed
        texts = [name, f"{share.count:,}", *_share_words(share), _number(line.model)]
        item = QTreeWidgetItem(parent, texts)
        for column in range(1, 5):
            item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight)
        tip = f"{line.name}; by the model alone: {line.model.count:,}"
        item.setToolTip(0, ui.literal(tip))
        return item

    def _write_words(self, found: Differential, taxonomy: Taxonomy) -> None:
        for label, levels in ((self.urgent, LEVELS[:1]), (self.warnings, LEVELS[1:])):
            texts = [
                f"{MARKS[a.level]}  {a.sentence}"
                for a in self.alerts
                if a.level in levels
            ]
            label.setText("\n".join(texts))
            label.setVisible(bool(texts))
        without = found.without_class
        open_ = f" {without:,} without a class." if without else ""
        self.total.setText(
            f"{found.total:,} of {found.counting.target:,} cells counted.{open_}"
        )
        self.bars.show_rows(
            tuple(
                Row(
                    line.name,
                    line.reviewed.percent / 100,
                    rgba(line.colour),
                    f"{line.reviewed.percent:.1f} %",
                )
                for line in found.lineages
                if line.counted and found.total
            )
        )
        sentences = [found.ratio.sentence + ".", grey_zone_sentence(found)]
        sentences += [SAMPLING, self.rules.missing_classes(taxonomy)]
        self.note.setText("\n".join(text for text in sentences if text))

    def _choose_target(self, index: int) -> None:
        if self.counting is not None:
            self.counting = replace(
                self.counting, target=int(self.target.itemData(index))
            )
            self.refresh()

    def _tick(self, item: QTreeWidgetItem, column: int) -> None:
        code = item.data(0, KEY)
        if self.counting is None or not code:
            return
        on = item.checkState(0) == Qt.CheckState.Checked
        if on != (code in self.counting.counted):
            self.counting = self.counting.with_class(code, on)
            self._soon()


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _number(share: Share) -> str:
    return f"{share.percent:.1f}" if share.percent == share.percent else ""


def _share_words(share: Share) -> tuple[str, str]:
    if not _number(share):
        return ("", "")
    low, high = share.interval
    return (_number(share), f"{low:.1f} to {high:.1f}")
