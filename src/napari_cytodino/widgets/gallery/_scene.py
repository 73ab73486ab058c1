"""Paints what of the gallery is in view: sections, tiles, and what the mouse does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRect, Qt

from napari_cytodino.widgets.gallery import _paint as paint

if TYPE_CHECKING:
    from qtpy.QtGui import QPainter
    from qtpy.QtWidgets import QWidget

    from napari_cytodino.widgets.gallery._gestures import MouseGestures
    from napari_cytodino.widgets.gallery._selection import GallerySelection
    from napari_cytodino.widgets.gallery._viewport import Viewport
    from napari_cytodino.widgets.workers import Thumbnails


NOTHING = "Cells appear here once they are read: choose an image, then press Classify."


@dataclass(frozen=True)
class Scene:
    """All that is painted of a gallery, and the widget it is painted on."""

    surface: QWidget
    port: Viewport
    selection: GallerySelection
    thumbnails: Thumbnails
    gestures: MouseGestures

    def draw(self, painter: QPainter, *, focus: bool) -> None:
        """Draw what is in view; the current cell is outlined where keys go there."""
        style, room = paint.style_of(self.surface), self.surface.rect()
        painter.fillRect(room, style.paper)
        if self.port.plan.counts:
            self._sections(painter, style, focus=focus)
        else:
            wrap = Qt.AlignmentFlag.AlignCenter.value | Qt.TextFlag.TextWordWrap.value
            painter.setPen(style.ink)
            painter.drawText(room.adjusted(8, 8, -8, -8), wrap, NOTHING)
        gestures = self.gestures
        if gestures.band is not None:
            paint.draw_band(painter, gestures.band.translated(0, -self.port.offset))
        if len(gestures.carried):
            count, aim = len(gestures.carried), gestures.aim
            paint.draw_burden(painter, style, QPointF(gestures.at), count, aim)

    def _sections(self, painter: QPainter, style: paint.Style, *, focus: bool) -> None:
        port, model, top = self.port, self.port.model, self.port.offset
        for number, first, stop in port.plan.visible(top, top + port.height):
            rows = model.order.rows[first:stop].tolist()
            corners = {row: port.corner_of(row) for row in rows}
            # rings first, so that none covers the neighbour of a selected tile
            for row, corner in corners.items():
                selected = self.selection.holds(row)
                current = focus and row == self.selection.current
                if selected or current:
                    paint.draw_chosen(
                        painter,
                        style,
                        corner,
                        port.side,
                        selected=selected,
                        current=current,
                    )
            for row, corner in corners.items():
                tile, picture = model.tile(row), self.thumbnails.get(row)
                paint.draw_tile(painter, style, corner, port.side, tile, picture)
            self._header(painter, style, number, port.plan.section_span(number)[0])
        sticky = port.sticky_header()
        if sticky is not None:
            end = port.plan.section_span(sticky)[1] - port.plan.header
            self._header(painter, style, sticky, min(top, end))

    def _header(
        self, painter: QPainter, style: paint.Style, number: int, y: int
    ) -> None:
        """Draw the header of a section at a height of the content."""
        port, aim = self.port, self.gestures.aim
        section = port.model.order.sections[number]
        room = QRect(0, y - port.offset, self.surface.width(), port.plan.header)
        aimed = aim is not None and bool(aim.code) and aim.key == section.kind.key
        paint.draw_header(painter, style, room, section, aim=aimed)
