"""Paints what of the gallery is in view: sections, tiles, and what the mouse does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRect, Qt

from napari_cytodino.widgets.gallery import _paint as paint

if TYPE_CHECKING:
    from qtpy.QtGui import QPainter

    from napari_cytodino.widgets.gallery._view import GalleryView


NOTHING = "Cells appear here once they are read: choose an image, then press Classify."


def draw(painter: QPainter, view: GalleryView) -> None:
    """Draw a view onto its viewport."""
    style = paint.style_of(view.viewport())
    room = view.viewport().rect()
    painter.fillRect(room, style.paper)
    if view.plan.counts:
        _sections(painter, view, style)
    else:
        wrap = Qt.AlignmentFlag.AlignCenter.value | Qt.TextFlag.TextWordWrap.value
        painter.setPen(style.ink)
        painter.drawText(room.adjusted(8, 8, -8, -8), wrap, NOTHING)
    gestures = view.gestures
    if gestures.band is not None:
        paint.draw_band(painter, gestures.band.translated(0, -view.offset))
    if len(gestures.carried):
        count, aim = len(gestures.carried), gestures.aim
        paint.draw_burden(painter, style, QPointF(gestures.at), count, aim)


def _sections(painter: QPainter, view: GalleryView, style: paint.Style) -> None:
    top = view.offset
    for number, first, stop in view.plan.visible(top, top + view.viewport().height()):
        places = [
            (int(row), (x, y - top))
            for row, place in zip(
                view.model.order.rows[first:stop], range(first, stop), strict=True
            )
            for x, y in [view.plan.corner(place)]
        ]
        # rings first, so that none covers the neighbour of a selected tile
        for row, corner in places:
            _ring(painter, view, style, row, corner)
        for row, corner in places:
            tile, picture = view.model.tile(row), view.thumbnails.get(row)
            paint.draw_tile(painter, style, corner, view.side, tile, picture)
        _header(painter, view, style, number, view.plan.section_span(number)[0] - top)
    held = view.held_header()
    if held is not None:
        end = view.plan.section_span(held)[1] - top
        _header(painter, view, style, held, min(0, end - view.plan.header))


def _header(
    painter: QPainter, view: GalleryView, style: paint.Style, number: int, y: int
) -> None:
    section, aim = view.model.order.sections[number], view.gestures.aim
    room = QRect(0, y, view.viewport().width(), view.plan.header)
    aimed = aim is not None and bool(aim.code) and aim.key == section.kind.key
    paint.draw_header(painter, style, room, section, aim=aimed)


def _ring(
    painter: QPainter,
    view: GalleryView,
    style: paint.Style,
    row: int,
    corner: tuple[int, int],
) -> None:
    chosen = view.choice.holds(row)
    current = row == view.choice.current and view.hasFocus()
    if chosen or current:
        paint.draw_chosen(
            painter, style, corner, view.side, selected=chosen, current=current
        )
