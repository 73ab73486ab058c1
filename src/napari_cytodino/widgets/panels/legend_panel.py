"""The legend: classes by lineage with swatch, code, name, count, and a tick to hide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import (
    QComboBox,
    QHeaderView,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_cytodino.results import (
    MODES,
    NONE,
    STATUS_COLOURS,
    Colour,
    class_colours,
    lineage_colours,
    palette,
    rgba,
)
from napari_cytodino.widgets.controls import ui
from napari_cytodino.widgets.session import (
    OPEN,
    REJECTED,
    STATUS_WORDS,
    UNSETTLED,
    counts,
)

if TYPE_CHECKING:
    from napari_cytodino.taxonomy import CellClass, Taxonomy
    from napari_cytodino.widgets.controllers import Controller


KEY = Qt.ItemDataRole.UserRole

NO_BREAK = "&nbsp;"


class LegendPanel(QWidget):
    """Tree of lineages and classes, and the choice of what colours mean."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._session = controller.session
        self.mode = QComboBox()
        self.mode.setAccessibleName("What colours show")
        self.mode.addItems(list(MODES))
        label = QLabel("Colour &by")
        label.setBuddy(self.mode)
        self.tree = QTreeWidget()
        self.tree.setAccessibleName("Legend: untick a class to hide its cells")
        self.tree.setHeaderLabels(["Class", "Cells"])
        self.tree.setUniformRowHeights(True)
        self.tree.setIndentation(ui.line_height(self))
        self.tree.setMinimumHeight(ui.line_height(self) * 9)
        self.tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # A bar that comes and goes would cover the counts until the next layout.
        self.tree.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        header = self.tree.header()
        # names may be cut, since their tooltips are not; counts never
        for column, mode in enumerate(("Stretch", "ResizeToContents")):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode[mode])
        header.setStretchLastSection(False)
        self.key = QLabel()
        self.key.setTextFormat(Qt.TextFormat.RichText)
        self.key.setWordWrap(True)
        self.note = ui.hint()
        self._items: dict[str, QTreeWidgetItem] = {}
        self._groups: dict[str, QTreeWidgetItem] = {}
        self._built: tuple[object, str] = (None, "")
        form = ui.form()
        form.addRow(label, self.mode)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.key)
        layout.addWidget(self.note)
        self.mode.currentTextChanged.connect(lambda mode: self._session.show(mode=mode))
        self.tree.itemChanged.connect(self._ticked)
        for signal in (
            self._session.chosen,
            self._session.results,
            self._session.display,
        ):
            signal.connect(self.refresh)
        self._session.verdicts_changed.connect(self._recount)
        self.refresh()

    def refresh(self) -> None:
        """Bring tree and counts up to date."""
        taxonomy = self._session.taxonomy
        with signals_blocked(self.tree):
            if self._built != (taxonomy, self._session.mode):
                self._build(taxonomy)
                self._built = (taxonomy, self._session.mode)
            self._count()
        with signals_blocked(self.mode):
            self.mode.setCurrentText(self._session.mode)
        self.key.setText(key_of(self._session.mode, taxonomy))
        self.key.setVisible(bool(self.key.text()))
        self.note.setText(self._note())
        self.note.setVisible(bool(self.note.text()))

    def _build(self, taxonomy: Taxonomy | None) -> None:
        self.tree.clear()
        self._items, self._groups = {}, {}
        if taxonomy is None:
            return
        by_class, by_lineage = class_colours(taxonomy), lineage_colours(taxonomy)
        for lineage in taxonomy.lineages:
            colour = by_lineage[lineage.name]
            group = self._item(self.tree, "", lineage.title, colour, "")
            self._groups[lineage.name] = group
            for cell in taxonomy.classes_of(lineage.name):
                shown = colour if self._session.mode == "lineage" else None
                self._add(group, cell, shown or by_class[cell.code])
            open_key = OPEN + lineage.name
            self._items[open_key] = self._item(
                group, "~", "stage open", self._open_colour(colour), open_key
            )
            group.setExpanded(True)
        for key in (UNSETTLED, REJECTED):
            self._items[key] = self._item(self.tree, "–", key, NONE, key)

    def _open_colour(self, lineage: Colour) -> Colour:
        return lineage if self._session.mode == "lineage" else NONE

    def _add(self, group: QTreeWidgetItem, cell: CellClass, colour: Colour) -> None:
        self._items[cell.code] = self._item(
            group, cell.code, cell.name, colour, cell.code
        )

    def _item(
        self, parent: object, code: str, name: str, colour: Colour, key: str
    ) -> QTreeWidgetItem:
        item = QTreeWidgetItem(parent, [f"{code}  {name}".strip(), ""])
        item.setData(0, KEY, key)
        flags = item.flags() | Qt.ItemFlag.ItemIsUserCheckable
        item.setFlags(flags if key else flags | Qt.ItemFlag.ItemIsAutoTristate)
        hidden = key in self._session.hidden
        item.setCheckState(
            0, Qt.CheckState.Unchecked if hidden else Qt.CheckState.Checked
        )
        if self._session.mode in ("class", "lineage"):
            text = self.palette().color(QPalette.ColorRole.WindowText)
            item.setIcon(0, ui.swatch(colour, ui.line_height(self), text))
        item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight)
        item.setToolTip(0, ui.literal(name))
        if not key:
            font = item.font(0)
            font.setBold(True)
            item.setFont(0, font)
            item.setFont(1, font)
        return item

    def _count(self) -> None:
        numbers = counts(self._session.table)
        for key, item in self._items.items():
            count = numbers.get(key, 0)
            item.setText(1, str(count) if count else "")
            special = key.startswith(OPEN) or key in (UNSETTLED, REJECTED)
            item.setHidden(special and not count)
        for group in self._groups.values():
            total = sum(
                int(group.child(i).text(1) or 0) for i in range(group.childCount())
            )
            group.setText(1, str(total) if total else "")

    def _recount(self, rows: object) -> None:
        with signals_blocked(self.tree):
            self._count()

    def _note(self) -> str:
        session = self._session
        if session.taxonomy is None:
            return "The classes appear here when a checkpoint is open."
        if session.opened is not None and session.opened.synthetic:
            return "SYNTHETIC: of no meaning for real cells."
        return ""

    def _ticked(self, item: QTreeWidgetItem, column: int) -> None:
        hidden = frozenset(
            key
            for key, entry in self._items.items()
            if entry.checkState(0) == Qt.CheckState.Unchecked
        )
        if column == 0 and hidden != self._session.hidden:
            self._session.show(hidden=hidden)


def key_of(mode: str, taxonomy: Taxonomy | None) -> str:
    """Return what colours mean where the tree does not show it, as rich text."""
    if mode == "status":
        parts = [
            _square(rgba(colour))
            + NO_BREAK
            + STATUS_WORDS[status].replace(" ", NO_BREAK)
            for status, colour in STATUS_COLOURS.items()
        ]
        return "&nbsp; ".join(parts)
    if mode == "confidence" and taxonomy is not None:
        ramp = palette(taxonomy, mode).values()
        return f"unsure {''.join(_square(c) for c in ramp)} sure"
    return ""


def _unbroken(part: str) -> str:
    """Return rich text whose words stay on one line; tags keep their own spaces."""
    tag, closing, words = part.partition("</span>")
    return tag + closing + words.replace(" ", NO_BREAK)


def _square(colour: Colour) -> str:
    return f'<span style="color:{ui.qcolor(colour).name()}">■</span>'
