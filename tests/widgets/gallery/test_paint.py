"""Tiles and headers as pixels: what must be seen, and not by colour alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from qtpy.QtCore import QPointF, QRect, QRectF
from qtpy.QtGui import QColor, QFont, QImage, QPainter, QPixmap

from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.widgets.gallery import _paint as paint
from napari_cytodino.widgets.gallery._model import Tile
from napari_cytodino.widgets.gallery._order import Section, kinds
from napari_cytodino.widgets.session.appearance import OPEN
from napari_cytodino.widgets.workers.thumbnails import Thumbnail

TAXONOMY = Taxonomy.load("mll21")
KINDS = {kind.key: kind for kind in kinds(TAXONOMY)}
HARMLESS = next(c.code for c in TAXONOMY.classes if c.risk == "none" and c.counted)
CRITICAL = next(c.code for c in TAXONOMY.classes if c.risk == "critical")
OUTSIDE = next(c.code for c in TAXONOMY.classes if not c.counted)
SIDE = 60
TILE = Tile(KINDS[HARMLESS], HARMLESS, "", "62 %", False)


@pytest.fixture
def style(qapp: Any) -> paint.Style:
    font = QFont()
    font.setPixelSize(10)
    return paint.Style(font, QColor("white"), QColor("#262930"), 16, 1.0)


@pytest.fixture
def picture(qapp: Any) -> Thumbnail:
    pixmap = QPixmap(SIDE, SIDE)
    pixmap.fill(QColor("#c0a0c0"))
    return Thumbnail(pixmap, SIDE)


def drawn(style: paint.Style, draw: Any, size: int = 110) -> QImage:
    image = QImage(size, size, QImage.Format.Format_RGB32)
    image.fill(style.paper)
    painter = QPainter(image)
    draw(painter)
    painter.end()
    return image


def tile(style: paint.Style, what: Tile, picture: Thumbnail | None) -> QImage:
    return drawn(
        style, lambda p: paint.draw_tile(p, style, (10, 10), SIDE, what, picture)
    )


def grey(image: QImage) -> QImage:
    return image.convertToFormat(QImage.Format.Format_Grayscale8)


def test_the_picture_stands_in_a_frame_of_its_class(
    style: paint.Style, picture: Thumbnail
) -> None:
    image, side = tile(style, TILE, picture), style.tile(SIDE)[0]
    assert image.pixelColor(10 + side // 2, 10 + side // 2) == QColor("#c0a0c0")
    red, green, blue, _ = KINDS[HARMLESS].colour
    edge = image.pixelColor(11, 10 + side // 2)
    assert (edge.redF(), edge.greenF(), edge.blueF()) == pytest.approx(
        (red, green, blue), abs=0.01
    )
    assert image.pixelColor(2, 2) == style.paper, "nothing is drawn beside the tile"


def test_doubt_verdict_and_class_are_seen_without_colour(
    style: paint.Style, picture: Thumbnail
) -> None:
    other = KINDS[CRITICAL]
    looks = [
        TILE,
        replace(TILE, sign="?"),
        replace(TILE, sign="~"),
        replace(TILE, sign="×"),
        replace(TILE, read=True),
        replace(TILE, note="w X"),
        Tile(replace(KINDS[HARMLESS], code=CRITICAL, key=CRITICAL), CRITICAL, "", "",
             False),
        Tile(KINDS[OPEN + TAXONOMY.lineages[0].name], "", "~", "", False),
        Tile(other, "", "", "", False),
    ]  # fmt: skip
    images = [grey(tile(style, look, picture)) for look in looks]
    for place, image in enumerate(images):
        assert all(image != other_image for other_image in images[place + 1 :])


def test_signs_have_shapes_of_their_own(style: paint.Style) -> None:
    shapes = []
    for sign in "?~×":
        image = drawn(
            style,
            lambda p, s=sign: paint.draw_sign(p, style, QRectF(30, 30, 40, 40), s),
        )
        covered = {
            (x, y)
            for x in range(110)
            for y in range(110)
            if image.pixelColor(x, y) != style.paper
        }
        shapes.append(len(covered))
        assert len(covered) > 40 * 40 * 0.5
    assert len(set(shapes)) == 3


def test_a_missing_picture_and_a_failed_one(style: paint.Style) -> None:
    waiting, failed = tile(style, TILE, None), tile(style, TILE, Thumbnail(None, SIDE))
    assert waiting != failed, "the failed one says so in words"


def test_what_does_not_fit_below_is_left_out(style: paint.Style) -> None:
    long = replace(TILE, note="was something very long indeed")
    assert tile(style, long, None) == tile(style, replace(TILE, note=""), None)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (Section(KINDS[HARMLESS], 0, 1200, 8.44), "1,200 cells · 8.4 %"),
        (Section(KINDS[CRITICAL], 0, 1, 0.1), f"1 cell · 0.1 % · {paint.LOOK}"),
        (Section(KINDS[OUTSIDE], 0, 3, float("nan")), "3 cells · outside the"),
        (Section(KINDS["not_a_cell"], 5, 7, float("nan")), "Not a cell · 2 cells"),
    ],
)
def test_words_of_headers(section: Section, words: str) -> None:
    found = paint.header_words(section)
    assert words in found
    if section.kind.is_class:
        assert found.startswith(f"{section.kind.code}  {section.kind.name[0].upper()}")


def test_a_header_shows_where_a_drop_goes(style: paint.Style) -> None:
    section, room = Section(KINDS[HARMLESS], 0, 4, 1.0), QRect(0, 0, 110, 27)
    plain, aimed = (
        drawn(style, lambda p, a=a: paint.draw_header(p, style, room, section, aim=a))
        for a in (False, True)
    )
    assert plain != aimed
    assert plain.pixelColor(50, 60) == style.paper


def test_selected_and_current_differ_without_colour(style: paint.Style) -> None:
    looks = [
        grey(
            drawn(
                style,
                lambda p, s=s, c=c: paint.draw_chosen(
                    p, style, (10, 10), SIDE, selected=s, current=c
                ),
            )
        )
        for s, c in ((False, False), (True, False), (False, True), (True, True))
    ]
    assert all(a != b for i, a in enumerate(looks) for b in looks[i + 1 :])


def test_band_and_burden(style: paint.Style) -> None:
    blank = drawn(style, lambda p: None)
    assert drawn(style, lambda p: paint.draw_band(p, QRectF(5, 5, 50, 50))) != blank
    said = [
        drawn(
            style,
            lambda p, k=kind: paint.draw_burden(p, style, QPointF(1, 1), 3, k),
        )
        for kind in (None, KINDS[HARMLESS], KINDS["not_a_cell"])
    ]
    assert all(image != blank for image in said)
    assert said[0] != said[1] != said[2]


@pytest.mark.parametrize("code", TAXONOMY.codes)
def test_codes_are_readable_on_their_colours(code: str) -> None:
    red, green, blue, _ = KINDS[code].colour

    def light(colour: tuple[float, float, float]) -> float:
        # relative luminance as WCAG 2 defines it
        parts = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    ink = paint.readable_on(QColor.fromRgbF(red, green, blue))
    pair = sorted((light((red, green, blue)), light((ink.redF(),) * 3)))
    assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5


def test_lengths_follow_the_font(style: paint.Style) -> None:
    large = replace(style, line=2 * style.line)
    assert large.header >= 1.9 * style.header
    assert large.caption >= 1.8 * style.caption
    assert large.gap >= 1.9 * style.gap
    assert style.faint(0.5).alphaF() == pytest.approx(0.5, abs=0.01)
    assert style.bold.bold()
