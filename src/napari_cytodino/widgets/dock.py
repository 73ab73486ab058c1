"""The dock "CytoDINO": panels around one session, nothing computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_cytodino.widgets.controllers import Controller
from napari_cytodino.widgets.controls import PluginWidget, ui
from napari_cytodino.widgets.panels import (
    AccuracyPanel,
    CardPanel,
    CellsPanel,
    CheckpointPanel,
    ExportPanel,
    FindingPanel,
    LegendPanel,
    RunPanel,
)
from napari_cytodino.widgets.session import Session, read_preferences

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QCloseEvent

    from napari_cytodino.widgets.panels import FolderDialog


NOTICE = "Research use only. Not for diagnosis; an expert confirms every cell."

FIRST_CHECKPOINT = "starter"
"""What is open at first, where the preferences name nothing else."""

WIDTH = 21
"""Of the dock in heights of a line, so that it stays the same when results come."""


class CytoDinoDock(PluginWidget):
    """Classify the cells of an image layer.

    Parameters
    ----------
    viewer
        The viewer that this dock belongs to.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.session = Session()
        self.controller = Controller(viewer, self.session)
        self.cells = CellsPanel(self.controller)
        self.finding = FindingPanel(self.controller)
        self.checkpoint = CheckpointPanel(self.controller)
        self.run = RunPanel(self.controller)
        self.legend = LegendPanel(self.controller)
        self.accuracy = AccuracyPanel(self.controller)
        self.card = CardPanel(self.controller)
        self.export = ExportPanel(self.controller)
        self.notice = ui.hint(NOTICE)
        self._lay_out()
        self._add_shortcuts()
        self._shown: int | None = None
        self._folder: FolderDialog | None = None
        self.run.folder.clicked.connect(self.classify_folder)
        self.controller.clicks.crop.connect(self._show_card)
        self.controller.nearest.found.connect(self._scroll_to_card)
        controller = self.controller
        self.destroyed.connect(lambda: controller.close())
        preferences = read_preferences()
        self.session.set_min_confidence(preferences.min_confidence)
        self.checkpoint.choose(preferences.default_checkpoint or FIRST_CHECKPOINT)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop all work when the dock is closed for good."""
        self.controller.close()
        super().closeEvent(event)

    def let_go(self) -> None:
        """Stop all work when napari takes this dock away; a review ends with it."""
        self.controller.review.stop()
        self.controller.close()

    def classify_folder(self) -> FolderDialog:
        """Open the dialogue for many images, or bring it to the front."""
        if self._folder is None:
            from napari_cytodino.widgets.panels import FolderDialog

            run = self.controller.folder
            self._folder = FolderDialog(self, self.session, run)
        self._folder.show()
        self._folder.raise_()
        self._folder.activateWindow()
        return self._folder

    def _lay_out(self) -> None:
        inside = QWidget()
        self.column = Column(inside)
        column = QVBoxLayout(inside)
        column.addWidget(self.cells)
        column.addWidget(self.finding)
        column.addWidget(self.checkpoint)
        column.addWidget(self.run)
        column.addWidget(line())
        column.addWidget(self.legend, 1)
        column.addWidget(line())
        column.addWidget(self.accuracy)
        column.addWidget(line())
        column.addWidget(self.card)
        column.addWidget(line())
        column.addWidget(self.export)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.column, 1)
        layout.addWidget(self.notice)

    def _show_card(self, picture: object) -> None:
        """Scroll to the card of another cell; its picture comes once it is laid out."""
        row = self.session.selected_row
        if row is not None and row != self._shown:
            self._scroll_to_card()
        self._shown = row

    def _scroll_to_card(self) -> None:
        self.column.ensureWidgetVisible(self.card, 0, 0)

    def _add_shortcuts(self) -> None:
        # Qt would keep the dock alive for a function that holds it
        controller = self.controller
        here = Qt.ShortcutContext.WidgetWithChildrenShortcut
        # "find next" of editors; napari binds no function key, so the canvas has it too
        anywhere = Qt.ShortcutContext.WindowShortcut
        for keys, act, where in (
            ("Ctrl+Return", self.run.classify.click, here),
            ("Escape", self.run.cancel.click, here),
            ("F3", lambda: controller.next_flagged(), anywhere),
            ("Shift+F3", lambda: controller.next_flagged(-1), anywhere),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(where)
            shortcut.activated.connect(act)


class Column(QScrollArea):
    """Scrolls up and down only, and is as wide as its content needs."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)

    def minimumSizeHint(self) -> QSize:
        """Return the width of the content, with room for the scroll bar."""
        wanted = max(
            self.widget().minimumSizeHint().width(), ui.line_height(self) * WIDTH
        )
        bar = self.verticalScrollBar().sizeHint().width()
        return QSize(wanted + bar, ui.line_height(self) * 12)

    def sizeHint(self) -> QSize:
        """Return the size of the content."""
        wanted = self.widget().sizeHint().height()
        return QSize(self.minimumSizeHint().width(), wanted)

    def event(self, event: QEvent) -> bool:
        """Follow the content's width, which themes and fonts change."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().event(event))


def line() -> QFrame:
    """Return a thin line between sections."""
    frame = QFrame()
    frame.setFrameShape(QFrame.Shape.HLine)
    frame.setFrameShadow(QFrame.Shadow.Sunken)
    return frame
