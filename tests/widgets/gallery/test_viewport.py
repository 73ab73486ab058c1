"""What is in view, by arithmetic: no widget is made here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QRectF

from napari_cytodino.widgets.gallery._order import SectionKind, arrange
from napari_cytodino.widgets.gallery._viewport import Viewport

SIDE, GAP, HEADER = 40, 10, 20
"""Tiles of 50 x 60 pixels: five stand side by side in 310."""


@dataclass
class Bar:
    """A scroll bar; it goes no further than its range."""

    maximum: int = 10_000
    at: int = 0

    def value(self) -> int:
        return self.at

    def setValue(self, value: int) -> None:
        self.at = min(max(value, 0), self.maximum)


@dataclass
class Surface:
    wide: int = 310
    high: int = 200

    def width(self) -> int:
        return self.wide

    def height(self) -> int:
        return self.high


KINDS = tuple(SectionKind(k, k, k, "", (0, 0, 0, 1)) for k in "ABC")


class Model:
    """Cells of A (0 to 11), B (12 to 18) and C (19 to 30), as they come."""

    def __init__(self, *counts: int) -> None:
        self.deal(np.repeat(np.arange(len(counts)), counts))

    def deal(self, kind_of: Any) -> None:
        self.kinds = np.asarray(kind_of, np.uint16)
        self.order = arrange(self.kinds, np.arange(len(self.kinds)), KINDS)

    def kind_of(self, row: int) -> SectionKind:
        return KINDS[self.kinds[row]]


def lay_out(port: Viewport) -> Viewport:
    port.lay_out((port.side + 10, port.side + 20), GAP, HEADER)
    return port


@pytest.fixture
def model() -> Model:
    return Model(12, 7, 12)


@pytest.fixture
def bar() -> Bar:
    return Bar()


@pytest.fixture
def port(model: Model, bar: Bar) -> Viewport:
    return lay_out(Viewport(model, bar, Surface(), SIDE))


def centre(port: Viewport, row: int) -> QPoint:
    x, y = port.corner_of(row)
    return QPoint(x + 25, y + 30)


def test_before_anything_is_laid_out(bar: Bar) -> None:
    port = Viewport(Model(), bar, Surface(), SIDE)
    assert port.sticky_header() is None
    assert port.row_at(QPoint(5, 5)) is None
    assert port.kind_at(QPoint(5, 5)) is None
    assert not len(port.rows_in_view())
    assert port.anchors(None) == []


def test_points_and_rectangles_find_cells(port: Viewport) -> None:
    for row in (0, 4, 5, 9):
        assert port.row_at(centre(port, row)) == row
    assert port.row_at(QPoint(1, HEADER + 1)) is None, "between the tiles"
    port.scroll_by(200)
    assert port.row_at(centre(port, 12)) == 12
    a, b = port.plan.corner(0), port.plan.corner(6)
    band = QRectF(a[0], a[1], b[0] - a[0], b[1] - a[1])
    assert port.rows_within(band).tolist() == [0, 1, 5, 6], "in pixels of the content"


def test_the_header_stays_while_its_section_is_in_view(port: Viewport) -> None:
    assert port.sticky_header() is None
    port.scroll_by(HEADER + 20)
    assert port.sticky_header() == 0
    spot = QPoint(centre(port, 0).x(), 3)
    assert port.row_at(spot) is None, "the header lies above the tiles"
    port.scroll_by(port.plan.section_span(0)[1] - 10 - port.offset)
    assert port.kind_at(QPoint(5, 3)) == KINDS[0]
    assert port.kind_at(QPoint(5, HEADER + 1)) == KINDS[1]


def test_cells_in_view(port: Viewport, bar: Bar) -> None:
    assert port.rows_in_view().tolist() == list(range(12))
    assert port.rows_in_view(ahead=1.0)[:12].tolist() == list(range(12))
    assert len(port.rows_in_view(ahead=1.0)) > 12
    bar.setValue(port.plan.height - port.height)
    assert port.rows_in_view()[-1] == 30


def test_cells_whose_whole_picture_is_in_view(port: Viewport) -> None:
    # lines begin at 30, 100 and 170; the picture of the third one ends at 220
    assert port.rows_whole().tolist() == list(range(10))
    port.scroll_by(20)
    assert port.rows_whole().tolist() == list(range(5, 12)), "a header hides the first"


def test_a_cell_is_brought_into_view_and_no_further(port: Viewport) -> None:
    port.show_row(3)
    assert port.offset == 0
    port.show_row(30)
    assert port.height_of(30) + port.plan.pitch == port.height
    before = port.offset
    port.show_row(30)
    assert port.offset == before
    port.show_row(0)
    assert port.height_of(0) >= HEADER, "not below the header"


def test_sections_can_be_gone_to(port: Viewport) -> None:
    for number, kind in enumerate(KINDS):
        port.show_kind(kind)
        assert port.offset == port.plan.section_span(number)[0]
    port.show_kind(SectionKind("D", "D", "D", "", (0, 0, 0, 1)))
    assert port.offset == port.plan.section_span(2)[0]


def test_anchors_begin_with_the_current_cell(port: Viewport) -> None:
    assert port.anchors(None) == [], "the very top stays the top"
    rows = [row for row, _, _ in port.anchors(7)]
    assert rows == [7, *range(7), *range(8, 12)]
    port.scroll_by(100)
    assert [row for row, _, _ in port.anchors(0)][:2] == [5, 6], "0 is out of view"
    assert next(row for row, _, _ in port.anchors(0, np.array([5]))) == 6
    assert port.anchors(None)[0] == (5, port.height_of(5), "A")


def test_a_cell_stays_where_it_is_when_pictures_grow(port: Viewport) -> None:
    port.show_row(20)
    before, anchors = port.height_of(20), port.anchors(20)
    port.side = 80
    lay_out(port)
    assert port.height_of(20) != before
    port.restore(anchors)
    assert port.height_of(20) == before


def test_what_left_its_section_is_no_anchor(port: Viewport, model: Model) -> None:
    port.scroll_by(200)
    anchors = port.anchors(12)
    assert anchors[0].row == 12
    second = anchors[1]
    # twelve joins the first section, and its line with it
    model.deal([0] * 13 + [1] * 6 + [2] * 12)
    lay_out(port)
    port.restore(anchors)
    assert port.height_of(second.row) == second.y


def test_cells_that_are_gone_are_no_anchor(port: Viewport, model: Model) -> None:
    port.scroll_by(200)
    anchors, before = port.anchors(20), port.offset
    model.deal([])
    lay_out(port)
    port.restore(anchors)
    assert port.offset == before


def test_the_bar_ends_where_the_content_ends(port: Viewport, bar: Bar) -> None:
    bar.maximum = 50
    port.scroll_by(500)
    assert port.offset == 50
    port.scroll_by(-500)
    assert port.offset == 0


def test_sizes_of_the_surface_count_at_once(model: Model, bar: Bar) -> None:
    surface = Surface()
    port = lay_out(Viewport(model, bar, surface, SIDE))
    surface.high = 90
    assert port.rows_in_view().tolist() == list(range(5))
    surface.wide = 130
    assert port.plan.columns == 5
    assert lay_out(port).plan.columns == 2
