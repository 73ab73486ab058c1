"""What of the gallery is in view: geometry and arithmetic, testable without display."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from napari_cytodino.widgets.gallery._layout import Layout

if TYPE_CHECKING:
    import numpy.typing as npt
    from qtpy.QtCore import QPoint, QRectF

    from napari_cytodino.widgets.gallery._model import GalleryModel
    from napari_cytodino.widgets.gallery._order import SectionKind


class ScrollAnchor(NamedTuple):
    """A cell, how far below the top it is seen, and the kind it is of."""

    row: int
    y: int
    key: str


class ScrollBar(Protocol):
    """What is needed of the vertical scroll bar."""

    def value(self) -> int:
        """Return how far the content is scrolled, in pixels."""

    def setValue(self, value: int) -> None:
        """Scroll there, or as far as there is content."""


class Surface(Protocol):
    """What is needed of the widget that is painted on."""

    def width(self) -> int:
        """Return its width in pixels."""

    def height(self) -> int:
        """Return its height in pixels."""


class Viewport:
    """The part of the content that shows, and how to scroll it.

    Attributes
    ----------
    model
        The cells and their order.
    side
        Of a picture, in pixels of the screen.
    plan
        Where everything lies.
    """

    def __init__(
        self, model: GalleryModel, bar: ScrollBar, surface: Surface, side: int
    ) -> None:
        self.model, self.side = model, side
        self._bar, self._surface = bar, surface
        self.plan = Layout((), 1, 1, 1, 1, 1)

    @property
    def offset(self) -> int:
        """How far the content is scrolled, in pixels."""
        return int(self._bar.value())

    @property
    def height(self) -> int:
        """How much of the content shows at once, in pixels."""
        return int(self._surface.height())

    def lay_out(self, tile: tuple[int, int], gap: int, header: int) -> None:
        """Compute anew where everything lies.

        Parameters
        ----------
        tile
            Width and height of a tile.
        gap
            Between tiles.
        header
            Height of a header.
        """
        counts = tuple(len(section) for section in self.model.order.sections)
        self.plan = Layout(counts, self._surface.width(), *tile, gap, header)

    def anchors(
        self, current: int | None, gone: npt.NDArray[np.int64] | None = None
    ) -> list[ScrollAnchor]:
        """Return the cells in view and where they are seen, the current one first.

        Parameters
        ----------
        current
            The cell in focus, if any.
        gone
            Rows to leave out.
        """
        seen = self.rows_in_view()
        if current is not None and current in seen:
            seen = np.append(current, seen[seen != current])
        elif not self.offset:
            # who is at the very top stays there, whatever comes to stand there
            return []
        if gone is not None:
            seen = seen[~np.isin(seen, gone)]
        return [self.anchor_of(row) for row in seen.tolist()]

    def anchor_of(self, row: int) -> ScrollAnchor:
        """Return where a cell is seen."""
        return ScrollAnchor(row, self.height_of(row), self.model.kind_of(row).key)

    def restore(self, anchors: list[ScrollAnchor]) -> None:
        """Scroll so that the first cell that is still of its kind is where it was."""
        for row, y, key in anchors:
            if row < len(self.model.order) and self.model.kind_of(row).key == key:
                self.scroll_by(self.height_of(row) - y)
                break

    def corner_of(self, row: int) -> tuple[int, int]:
        """Return x, y of a cell, from the top left of what is in view."""
        x, y = self.plan.corner(int(self.model.order.place[row]))
        return x, y - self.offset

    def height_of(self, row: int) -> int:
        """Return how far below the top of what is in view a cell is."""
        return self.corner_of(row)[1]

    def sticky_header(self) -> int | None:
        """Return the section whose header stays at the top, None without one."""
        if not self.plan.counts:
            return None
        section = self.plan.section_at(self.offset)
        return section if self.plan.section_span(section)[0] < self.offset else None

    def row_at(self, at: QPoint) -> int | None:
        """Return the cell at a point of what is in view."""
        if at.y() < self.plan.header and self.sticky_header() is not None:
            return None
        place = self.plan.place_at(at.x(), at.y() + self.offset)
        return None if place is None else int(self.model.order.rows[place])

    def kind_at(self, at: QPoint) -> SectionKind | None:
        """Return the section at a point of what is in view, None without cells."""
        if not self.plan.counts:
            return None
        section = self.sticky_header() if at.y() < self.plan.header else None
        if section is None:
            section = self.plan.section_at(at.y() + self.offset)
        return self.model.order.sections[section].kind

    def rows_within(self, band: QRectF) -> npt.NDArray[np.int64]:
        """Return the cells that a rectangle touches, in pixels of the content."""
        places = self.plan.within(
            band.left(), band.top(), band.right() + 1, band.bottom() + 1
        )
        return self.model.order.rows[places]

    def rows_in_view(self, *, ahead: float = 0.0) -> npt.NDArray[np.int64]:
        """Return the cells of which something is in view.

        Parameters
        ----------
        ahead
            So many screens further down too.
        """
        end = self.offset + self.height * (1 + ahead)
        spans = list(self.plan.visible(self.offset, end))
        # sections adjoin
        first, stop = (spans[0][1], spans[-1][2]) if spans else (0, 0)
        return self.model.order.rows[first:stop]

    def rows_whole(self) -> npt.NDArray[np.int64]:
        """Return the cells whose whole picture is in view."""
        top = self.plan.header if self.sticky_header() is not None else 0
        bottom = self.height - self.plan.tile_width
        seen = self.rows_in_view().tolist()
        return np.array(
            [row for row in seen if top <= self.height_of(row) <= bottom], np.int64
        )

    def scroll_by(self, pixels: int) -> None:
        """Scroll down, or up if negative."""
        self._bar.setValue(self.offset + int(pixels))

    def show_row(self, row: int) -> None:
        """Scroll as little as is needed to bring a cell into view."""
        y = self.height_of(row)
        above = y - self.plan.gap - self.plan.header
        below = y + self.plan.pitch - self.height
        self.scroll_by(min(max(0, below), above))

    def show_kind(self, kind: SectionKind) -> None:
        """Scroll to the header of a section."""
        for number, section in enumerate(self.model.order.sections):
            if section.kind.key == kind.key:
                self._bar.setValue(self.plan.section_span(number)[0])
