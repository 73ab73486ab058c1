"""Where sections, their headers and uniform tiles lie, by arithmetic alone; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt


@dataclass(frozen=True)
class Layout:
    """Sections below one another, each a header and lines of tiles.

    Places count all tiles through, from 0; lengths are in pixels from the top left.

    Attributes
    ----------
    counts
        How many tiles each section holds; none is empty.
    width
        Of the room there is.
    tile_width, tile_height
        Of one tile; `gap` lies left of and above each.
    header
        Height of a header.
    """

    counts: tuple[int, ...]
    width: int
    tile_width: int
    tile_height: int
    gap: int
    header: int

    @cached_property
    def columns(self) -> int:
        """How many tiles stand side by side, at least one."""
        return max(1, (self.width - self.gap) // (self.tile_width + self.gap))

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        """The first place of each section, and after the last; (S + 1,)."""
        return np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])

    @cached_property
    def _lines(self) -> npt.NDArray[np.int64]:
        """How many lines lie above each section, and in all; (S + 1,)."""
        lines = -(-np.array(self.counts, np.int64) // self.columns)
        return np.concatenate([[0], np.cumsum(lines)])

    @cached_property
    def _tops(self) -> npt.NDArray[np.int64]:
        """Where each section begins, and the last one ends; (S + 1,)."""
        ends = np.arange(len(self._lines)) * (self.header + self.gap)
        return self._lines * self.pitch + ends

    @property
    def pitch(self) -> int:
        """Distance from one line of tiles to the next."""
        return self.tile_height + self.gap

    @property
    def height(self) -> int:
        """Height of everything."""
        return int(self._tops[-1])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def section_of(self, place: int) -> int:
        """Return which section a place lies in."""
        return int(np.searchsorted(self._starts, place, side="right")) - 1

    def section_at(self, y: float) -> int:
        """Return the section at a height, the nearest one beyond both ends."""
        found = int(np.searchsorted(self._tops, y, side="right")) - 1
        return min(max(found, 0), len(self.counts) - 1)

    def section_span(self, section: int) -> tuple[int, int]:
        """Return where a section begins and ends, header included."""
        return int(self._tops[section]), int(self._tops[section + 1])

    def corner(self, place: int) -> tuple[int, int]:
        """Return x, y of the top left corner of a tile."""
        section = self.section_of(place)
        line, column = divmod(place - int(self._starts[section]), self.columns)
        x = self.gap + column * (self.tile_width + self.gap)
        return x, self._tiles_top(section) + line * self.pitch

    def _tiles_top(self, section: int) -> int:
        return int(self._tops[section]) + self.header + self.gap

    def place_at(self, x: float, y: float) -> int | None:
        """Return the place of the tile at a point, None between tiles."""
        if not (0 <= y < self.height and 0 <= x < self.width):
            return None
        section = self.section_at(y)
        line, dy = divmod(y - self._tiles_top(section), self.pitch)
        column, dx = divmod(x - self.gap, self.tile_width + self.gap)
        between = dx >= self.tile_width or dy >= self.tile_height
        if line < 0 or not 0 <= column < self.columns or between:
            return None
        place = int(self._starts[section] + line * self.columns + column)
        return place if place < self._starts[section + 1] else None

    def visible(self, top: float, bottom: float) -> Iterator[tuple[int, int, int]]:
        """Yield each section that shows between two heights, with its tiles.

        Yields
        ------
        section, first, stop
            Places of the tiles of whole lines; empty where only the header shows.
        """
        if not self.counts or bottom <= top:
            return
        for section in range(self.section_at(top), self.section_at(bottom - 1) + 1):
            first, stop = int(self._starts[section]), int(self._starts[section + 1])
            tiles = self._tiles_top(section)
            line = max(0, int((top - tiles + self.gap) // self.pitch))
            last = max(line, int(-(-(bottom - tiles) // self.pitch)))
            yield (
                section,
                min(first + line * self.columns, stop),
                min(first + last * self.columns, stop),
            )

    def within(
        self, left: float, top: float, right: float, bottom: float
    ) -> npt.NDArray[np.int64]:
        """Return the places of the tiles that a rectangle touches, in ascending order.

        Its right and bottom edges do not belong to it.
        """
        step = self.tile_width + self.gap
        low = max(0, int(left // step))
        high = min(self.columns, int(-(-(right - self.gap) // step)))
        found = [np.zeros(0, np.int64)]
        for section, first, stop in self.visible(top, bottom):
            column = (np.arange(first, stop) - self._starts[section]) % self.columns
            found.append(first + np.flatnonzero((low <= column) & (column < high)))
        return np.concatenate(found)

    def moved(self, place: int, lines: int) -> int:
        """Return the place so many lines below (above if negative), as near as can be.

        Headers count as nothing; beyond the first and last line it stays there.
        """
        section = self.section_of(place)
        line, column = divmod(place - int(self._starts[section]), self.columns)
        wanted = int(self._lines[section]) + line + lines
        wanted = min(max(wanted, 0), int(self._lines[-1]) - 1)
        target = int(np.searchsorted(self._lines, wanted, side="right")) - 1
        inside = (wanted - int(self._lines[target])) * self.columns + column
        first, stop = int(self._starts[target]), int(self._starts[target + 1])
        return min(first + inside, stop - 1)
