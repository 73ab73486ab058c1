"""How tiles, headers and what is dragged look; drawing only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QPixmap, QPolygonF

from napari_cytodino.widgets.controls import ui
from napari_cytodino.widgets.session import OPEN

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_cytodino.results import Colour
    from napari_cytodino.widgets.gallery._model import Tile
    from napari_cytodino.widgets.gallery._order import Section, SectionKind
    from napari_cytodino.widgets.workers import Thumbnail


ACCENT = QColor("#56B4E9")
"""Of selected cells; from the palette of Okabe and Ito."""

DOUBT = QColor("#F0E442")
"""Of the signs of doubt; bright on stained cells."""

READ = QColor("#007A53")
"""Of the tick, on white."""

LOOK = "look at each one"
"""Stands in the header of classes that cannot be confirmed many at a time."""


@dataclass(frozen=True)
class Style:
    """Colours and lengths of one widget, which follow its theme and its font."""

    font: QFont
    ink: QColor
    paper: QColor
    line: int
    ratio: float

    @property
    def frame(self) -> int:
        """Width of the coloured edge of a tile."""
        return max(2, round(self.line * 0.2))

    @property
    def caption(self) -> int:
        """Height of the words below a picture."""
        return self.line + 2

    @property
    def header(self) -> int:
        """Height of the header of a section."""
        return round(self.line * 1.7)

    @property
    def gap(self) -> int:
        """Space between tiles; the ring of selected ones lies in it."""
        return max(6, round(self.line * 0.45))

    def faint(self, share: float) -> QColor:
        """Return the ink, thinned."""
        colour = QColor(self.ink)
        colour.setAlphaF(share)
        return colour

    def tile(self, side: int) -> tuple[int, int]:
        """Return width and height of a tile whose picture has this side."""
        width = side + 2 * self.frame
        return width, width + self.caption

    @cached_property
    def bold(self) -> QFont:
        """The font of codes."""
        font = QFont(self.font)
        font.setBold(True)
        return font

    @cached_property
    def _widths(self) -> dict[tuple[str, bool], int]:
        return {}

    def width_of(self, words: str, *, bold: bool) -> int:
        """Return how wide some words are, measured once."""
        found = self._widths.get((words, bold))
        if found is None:
            metrics = QFontMetrics(self.bold if bold else self.font)
            found = self._widths[words, bold] = metrics.horizontalAdvance(words)
        return found

    @cached_property
    def _badges(self) -> dict[tuple[str, int], QPixmap]:
        return {}

    def badge(self, sign: str, side: int) -> QPixmap:
        """Return a sign of doubt, or the tick for an empty one, drawn once."""
        kept = self._badges.get((sign, side))
        if kept is None:
            room = QRectF(0, 0, side, side)
            kept = QPixmap(QSize(side, side) * self.ratio)
            kept.setDevicePixelRatio(self.ratio)
            kept.fill(Qt.GlobalColor.transparent)
            painter = QPainter(kept)
            if sign:
                draw_sign(painter, self, room.adjusted(1, 1, -1, -1), sign)
            else:
                draw_tick(painter, room.adjusted(1, 1, -1, -1))
            painter.end()
            self._badges[sign, side] = kept
        return kept


def style_of(widget: QWidget) -> Style:
    """Return the style of a widget as its theme has it now."""
    palette = widget.palette()
    return _style(
        widget.font().toString(),
        palette.color(widget.foregroundRole()).rgba(),
        palette.color(widget.backgroundRole()).rgba(),
        ui.line_height(widget),
        widget.devicePixelRatioF(),
    )


@lru_cache(maxsize=8)
def _style(font: str, ink: int, paper: int, line: int, ratio: float) -> Style:
    """Keep styles, and the words they measured and the badges they drew."""
    made = QFont()
    made.fromString(font)
    return Style(made, QColor.fromRgba(ink), QColor.fromRgba(paper), line, ratio)


@lru_cache(maxsize=256)
def ink_on(colour: Colour) -> QColor:
    """Return what is readable on a colour, made once."""
    return readable_on(ui.qcolor(colour))


@lru_cache(maxsize=256)
def colour_of(colour: Colour) -> QColor:
    """Return a colour for Qt, made once."""
    return ui.qcolor(colour)


def readable_on(colour: QColor) -> QColor:
    """Return black or white, whichever is easier to read on a colour (WCAG)."""
    parts = (colour.redF(), colour.greenF(), colour.blueF())
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return QColor("black") if light > 0.179 else QColor("white")


def header_words(section: Section) -> str:
    """Return what a header says: code, name, count, per cent of the differential."""
    kind, count = section.kind, len(section)
    name = f"{kind.code}  {kind.name}" if kind.is_class else kind.name
    words = [
        name[:1].upper() + name[1:],
        f"{count:,} cell{'s' if count != 1 else ''}",
    ]
    if not math.isnan(section.percent):
        words.append(f"{section.percent:.1f} %")
    elif kind.is_class:
        words.append("outside the differential")
    if kind.critical:
        words.append(LOOK)
    return " · ".join(words)


def draw_header(
    painter: QPainter, style: Style, room: QRect, section: Section, *, aim: bool
) -> None:
    """Draw the header of a section; `aim` where a drop would go there."""
    painter.fillRect(room, style.paper)
    painter.fillRect(room, ACCENT if aim else style.faint(0.1))
    unit = style.line
    mark = QRectF(room.left(), room.top(), unit * 0.45, room.height())
    painter.fillRect(mark, colour_of(section.kind.colour))
    painter.setFont(style.bold)
    painter.setPen(readable_on(ACCENT) if aim else style.ink)
    text = room.adjusted(round(unit * 0.8), 0, -round(unit * 0.4), 0)
    words = QFontMetrics(style.bold).elidedText(
        header_words(section), Qt.TextElideMode.ElideRight, text.width()
    )
    align = Qt.AlignmentFlag
    painter.drawText(text, align.AlignVCenter | align.AlignLeft, words)


def draw_tile(
    painter: QPainter,
    style: Style,
    corner: tuple[int, int],
    side: int,
    tile: Tile,
    picture: Thumbnail | None,
) -> None:
    """Draw one cell: its picture in a frame of its class, signs, and words below."""
    x, y = corner
    width, height = style.tile(side)
    colour = colour_of(tile.kind.colour)
    frame = style.frame
    painter.fillRect(QRect(x, y, width, width), colour)
    inside = QRect(x + frame, y + frame, side, side)
    if picture is not None and picture.pixmap is not None:
        painter.drawPixmap(inside, picture.pixmap)
    else:
        _draw_lack(painter, style, inside, failed=picture is not None)
    _outline(painter, QRect(x, y, width, width), style.faint(0.5))
    badge = round(style.line * (1.35 if side > 4 * style.line else 1))
    if tile.sign:
        painter.drawPixmap(x + frame, y + frame, style.badge(tile.sign, badge))
    if tile.read:
        painter.drawPixmap(x + frame + side - badge, y + frame, style.badge("", badge))
    _draw_caption(painter, style, QRect(x, y + width, width, height - width), tile)


def _outline(painter: QPainter, room: QRect, colour: QColor) -> None:
    """Draw a thin frame; Qt strokes see-through rectangles a hundred times slower."""
    x, y, width, height = room.x(), room.y(), room.width(), room.height()
    painter.fillRect(x, y, width, 1, colour)
    painter.fillRect(x, y + height - 1, width, 1, colour)
    painter.fillRect(x, y + 1, 1, height - 2, colour)
    painter.fillRect(x + width - 1, y + 1, 1, height - 2, colour)


def _draw_lack(painter: QPainter, style: Style, room: QRect, *, failed: bool) -> None:
    painter.fillRect(room, style.paper)
    painter.fillRect(room, style.faint(0.08))
    if failed:
        painter.setPen(style.ink)
        painter.setFont(style.font)
        align = Qt.AlignmentFlag.AlignCenter
        metrics = QFontMetrics(style.font)
        words = metrics.elidedText(
            "unreadable", Qt.TextElideMode.ElideRight, room.width()
        )
        painter.drawText(room, align, words)


def _draw_caption(painter: QPainter, style: Style, room: QRect, tile: Tile) -> None:
    """Write the code on its colour, and beside it what there is room for."""
    code = tile.code or ("~" if tile.kind.key.startswith(OPEN) else "")
    if not code:
        return
    chip = QRect(room)
    wanted = style.width_of(code, bold=True) + style.line // 2
    chip.setWidth(min(room.width(), wanted))
    painter.fillRect(chip, colour_of(tile.kind.colour))
    align = Qt.AlignmentFlag
    painter.setFont(style.bold)
    painter.setPen(ink_on(tile.kind.colour))
    painter.drawText(chip, align.AlignCenter, code)
    rest = QRect(room)
    rest.setLeft(chip.right() + 3)
    if tile.note and style.width_of(tile.note, bold=False) <= rest.width():
        painter.setFont(style.font)
        painter.setPen(style.ink)
        painter.drawText(rest, align.AlignRight | align.AlignVCenter, tile.note)


def draw_sign(painter: QPainter, style: Style, room: QRectF, sign: str) -> None:
    """Draw a sign of doubt on a shape of its own, seen without colour."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor("black"), 1))
    painter.setBrush(DOUBT)
    middle, half = room.center(), room.width() / 2
    if sign == "?":
        corners = ((0, -half), (half, 0), (0, half), (-half, 0))
        painter.drawPolygon(QPolygonF([middle + QPointF(*c) for c in corners]))
    elif sign == "~":
        painter.drawEllipse(room)
    else:
        painter.drawRect(room.adjusted(half / 6, half / 6, -half / 6, -half / 6))
    font = QFont(style.bold)
    font.setPixelSize(max(7, round(room.height() * 0.72)))
    painter.setFont(font)
    painter.drawText(room, Qt.AlignmentFlag.AlignCenter, sign)


def draw_tick(painter: QPainter, room: QRectF) -> None:
    """Draw the tick of a cell that was read."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor("black"), 1))
    painter.setBrush(QColor("white"))
    painter.drawEllipse(room)
    side = room.width()
    pen = QPen(READ, side * 0.16)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    a, b, c = (
        room.topLeft() + QPointF(side * u, side * v)
        for u, v in ((0.25, 0.55), (0.43, 0.73), (0.76, 0.3))
    )
    painter.drawPolyline(QPolygonF([a, b, c]))


def draw_chosen(
    painter: QPainter,
    style: Style,
    corner: tuple[int, int],
    side: int,
    *,
    selected: bool,
    current: bool,
) -> None:
    """Draw the ring of a selected cell, and the outline of the one in focus."""
    reach = style.gap // 2
    width, height = style.tile(side)
    ring = QRect(*corner, width, height).adjusted(-reach, -reach, reach, reach)
    if selected:
        painter.fillRect(ring, ACCENT)
        painter.fillRect(QRect(*corner, width, height), style.paper)
    if current:
        painter.setPen(QPen(style.ink, 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(ring.adjusted(1, 1, -1, -1))


def draw_band(painter: QPainter, band: QRectF) -> None:
    """Draw the rectangle that the mouse spans."""
    fill = QColor(ACCENT)
    fill.setAlphaF(0.25)
    painter.setPen(QPen(ACCENT, 1))
    painter.setBrush(fill)
    painter.drawRect(band)


def draw_burden(
    painter: QPainter, style: Style, at: QPointF, count: int, kind: SectionKind | None
) -> None:
    """Write beside the mouse what is carried, and where it would go."""
    cells = f"{count:,} cell{'s' if count != 1 else ''}"
    words = cells if kind is None or not kind.code else f"{cells} → {kind.word}"
    room = QRectF(
        at.x() + style.line,
        at.y() + style.line / 2,
        style.width_of(words, bold=True) + style.line,
        style.line * 1.5,
    )
    painter.setPen(QPen(style.ink, 1))
    painter.setBrush(style.paper)
    painter.drawRect(room)
    painter.setFont(style.bold)
    painter.drawText(room, Qt.AlignmentFlag.AlignCenter, words)
