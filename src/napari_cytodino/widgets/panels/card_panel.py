"""The card of one cell: its crop, the five likeliest classes, lineage and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_cytodino.widgets.controls import ProbabilityBars, rounded_percent, ui
from napari_cytodino.widgets.session import (
    SIGNS,
    STATUS_WORDS,
    CellCard,
    cell_card_of,
    familiar_words,
    percent,
    tally,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_cytodino.widgets.controllers import Controller


LINES = 8
"""Side of the picture, in lines of text."""


class CardPanel(QWidget):
    """What is known of the cell that was clicked."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._session = controller.session
        self._clicks = controller.clicks
        self._nearest = controller.nearest
        self.title = ui.heading("Cell")
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setAccessibleName("Picture of the cell")
        side = ui.line_height(self) * LINES
        self.picture.setFixedSize(side, side)
        self.bars = ProbabilityBars()
        self.facts = ui.hint("Click a cell in the image.")
        self.cut = QCheckBox("C&ut out a cell where I click on a bare spot")
        self.cut.setToolTip(
            "A cell without segmentation is cut out around the click, classified at "
            "once and added to the layer 'Clicked cells'."
        )
        top = QHBoxLayout()
        top.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignTop)
        top.addWidget(self.bars, 1, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.title)
        layout.addLayout(top)
        layout.addWidget(self.facts)
        layout.addWidget(self.cut)
        self.cut.toggled.connect(self._toggle)
        session = self._session
        for signal in (session.selected, session.results, session.verdicts_changed):
            ui.listen(self, signal, self.refresh)
        ui.listen(self, self._nearest.found, self.refresh)
        ui.listen(self, self._clicks.crop, self._show_crop)
        self.refresh()

    def refresh(self) -> None:
        """Show the selected cell."""
        row = self._session.selected_row
        chosen = row is not None and row < self._session.cells_count
        self.picture.setVisible(chosen)
        self.bars.setVisible(chosen)
        if row is None or not chosen:
            self.title.setText("Cell")
            self.facts.setText("Click a cell in the image to see what it is, and why.")
            return
        card = cell_card_of(self._session, row)
        blind = self._session.blind
        words = f"{SIGNS.get(card.status, '')} {STATUS_WORDS[card.status]}".strip()
        self.title.setText(card.title if blind else f"{card.title}: {words}")
        self.bars.setVisible(not blind)
        self.bars.show_entries(card.likeliest)
        nearest = () if blind else self._nearest.codes
        self.facts.setText("\n".join(facts(card, nearest)))

    def _show_crop(self, pixels: npt.NDArray[np.uint8] | None) -> None:
        if pixels is None:
            self.picture.setPixmap(QPixmap())
            self.picture.setText("unreadable" if self._session.selected_row else "")
            return
        ratio = self.picture.devicePixelRatioF()
        side = round(self.picture.width() * ratio)
        pixmap = to_pixmap(pixels).scaled(
            side,
            side,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        pixmap.setDevicePixelRatio(ratio)
        self.picture.setPixmap(pixmap)

    def _toggle(self, on: bool) -> None:
        self._clicks.cut_bare_spots = on


def facts(card: CellCard, nearest: tuple[str, ...]) -> list[str]:
    """Return the lines below the bars.

    Parameters
    ----------
    nearest
        Classes of the nearest training cells; empty where they are unknown.
    """
    lines = [f"Verdict: {card.verdict}"] if card.verdict else []
    if card.likeliest:
        first = card.likeliest[0]
        how = "Calibrated" if card.calibrated else "Not calibrated"
        lines.append(
            f"{how}: {rounded_percent(first.probability)} {first.code} ({first.name})"
        )
    if card.lineage:
        lines.append(f"Lineage: {card.lineage}")
    if card.reason:
        lines.append(f"Reason: {card.reason}")
    if card.possible is not None and card.likeliest:
        classes = ", ".join(card.possible) or "none is likely enough"
        lines.append(f"Possible classes ({percent(card.set_level)} sure): {classes}")
    distance = familiar_words(card.unfamiliarity)
    if distance:
        lines.append(f"Distance to the training cells: {distance}")
    if nearest:
        lines.append(f"Nearest training cells: {tally(nearest)}")
    return lines


def to_pixmap(pixels: npt.NDArray[Any]) -> QPixmap:
    """Return (h, w, 3) uint8 as a picture for Qt."""
    solid = np.ascontiguousarray(pixels)
    height, width = solid.shape[:2]
    image = QImage(
        solid.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
    )
    return QPixmap.fromImage(image.copy())
