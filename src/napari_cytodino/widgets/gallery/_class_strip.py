"""All classes with their counts in a few lines: press to go there, drop to set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QPainter, QPen
from qtpy.QtWidgets import QStyle, QStyleOption, QToolButton, QWidget
from superqt import QFlowLayout

from napari_cytodino.widgets.controls import ui
from napari_cytodino.widgets.gallery._paint import ACCENT, readable_on, style_of

if TYPE_CHECKING:
    from qtpy.QtCore import QPoint
    from qtpy.QtGui import QPaintEvent

    from napari_cytodino.widgets.gallery._model import GalleryModel
    from napari_cytodino.widgets.gallery._order import SectionKind


class ClassChip(QToolButton):
    """One section: its code on its colour, and how many cells it holds."""

    chosen = Signal(object)
    """It was pressed; its kind."""

    def __init__(self, kind: SectionKind) -> None:
        super().__init__()
        self.kind = kind
        self.count = 0
        self.aimed = False
        # keys go through the gallery itself: Ctrl with the arrows, from class to class
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setToolTip(ui.literal(kind.name))
        self.clicked.connect(self._choose)

    def _choose(self) -> None:
        self.chosen.emit(self.kind)

    def set_count(self, count: int) -> None:
        """Say how many cells there are."""
        if count != self.count or not self.text():
            self.count = count
            self.setText(f"{self.kind.word} {count:,}")
            self.setAccessibleName(f"{self.kind.name}: {count:,} cells")
            self.updateGeometry()

    def sizeHint(self) -> QSize:
        """Return room for code and count."""
        metrics = self.fontMetrics()
        unit = ui.line_height(self)
        width = metrics.horizontalAdvance(self.kind.word + f" {self.count:,}")
        return QSize(width + round(unit * 1.5), round(unit * 1.35))

    def minimumSizeHint(self) -> QSize:
        """Return the same; a count is never cut."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it; faint without cells, outlined where a drop would go."""
        option = QStyleOption()
        option.initFrom(self)
        over = bool(option.state & QStyle.StateFlag.State_MouseOver)
        style = style_of(self)
        painter = QPainter(self)
        room = self.rect().adjusted(1, 1, -1, -1)
        word = room.adjusted(0, 0, 0, 0)
        wide = self.fontMetrics().horizontalAdvance(self.kind.word) + style.line // 2
        word.setWidth(wide)
        colour = ui.qcolor(self.kind.colour)
        painter.fillRect(room, style.faint(0.2 if over else 0.08))
        painter.fillRect(word, colour)
        painter.setPen(readable_on(colour))
        align = Qt.AlignmentFlag.AlignCenter
        painter.drawText(word, align, self.kind.word)
        painter.setPen(style.ink if self.count else style.faint(0.6))
        rest = room.adjusted(wide, 0, 0, 0)
        painter.drawText(rest, align, f"{self.count:,}")
        edge = QPen(ACCENT, 3) if self.aimed else QPen(style.faint(0.35), 1)
        painter.setPen(edge)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(room)
        painter.end()


class ClassStrip(QWidget):
    """A chip for each class, in maturation order; others only where they hold cells."""

    pressed = Signal(object)
    """The kind whose chip was pressed."""

    def __init__(self) -> None:
        super().__init__()
        self.chips: dict[str, ClassChip] = {}
        self._built: tuple[SectionKind, ...] = ()
        layout = QFlowLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(4)
        layout.setVerticalSpacing(3)
        self.setAccessibleName("Classes: press one to go there, or drop cells on it")

    def refresh(self, model: GalleryModel) -> None:
        """Bring chips and counts up to date."""
        if model.known != self._built:
            self._build(model.known)
        for chip in self.chips.values():
            count = model.count_of(chip.kind)
            chip.set_count(count)
            chip.setVisible(bool(count or chip.kind.code))
        self.setVisible(bool(len(model.order)))

    def _build(self, known: tuple[SectionKind, ...]) -> None:
        layout = self.layout()
        for chip in self.chips.values():
            layout.removeWidget(chip)
            chip.deleteLater()
        self.chips = {kind.key: ClassChip(kind) for kind in known}
        for chip in self.chips.values():
            layout.addWidget(chip)
            chip.chosen.connect(self.pressed)
        self._built = known

    def kind_at(self, at: QPoint) -> SectionKind | None:
        """Return the class of the chip at a place on the screen."""
        for chip in self.chips.values():
            if chip.isVisible() and chip.rect().contains(chip.mapFromGlobal(at)):
                return chip.kind
        return None

    def aim(self, kind: SectionKind | None) -> None:
        """Show where a drop would go."""
        for key, chip in self.chips.items():
            aimed = kind is not None and key == kind.key
            if aimed != chip.aimed:
                chip.aimed = aimed
                chip.update()
