"""Pictures: the right pixels at one scale, lazily, within bounds, never a crash."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from qtpy.QtGui import QColor

from napari_cytodino.cells.crops import CropStack
from napari_cytodino.common.errors import InputError
from napari_cytodino.widgets.session.messages import CellsReading
from napari_cytodino.widgets.workers import thumbnails as module
from napari_cytodino.widgets.workers.thumbnails import (
    BATCH,
    Thumbnail,
    Thumbnails,
    cut,
    field,
)

SIDE = 24


@pytest.fixture
def thumbs(pictured: Any, qtbot: Any) -> Any:
    made = Thumbnails(pictured.session)
    yield made
    made.close()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Note which rows are cut, batch by batch."""
    seen: list[list[int]] = []
    real = module.crops_of

    def noted(reading: Any, cells: Any, rows: Any, *rest: Any) -> Any:
        seen.append(rows.tolist())
        return real(reading, cells, rows, *rest)

    monkeypatch.setattr(module, "crops_of", noted)
    return seen


def middle(picture: Thumbnail) -> tuple[int, int, int]:
    image = picture.pixmap.toImage()
    return QColor(image.pixel(image.width() // 2, image.height() // 2)).getRgb()[:3]


def fetch(thumbs: Thumbnails, qtbot: Any, rows: Any, side: int = SIDE) -> None:
    thumbs.want(rows, side)
    qtbot.waitUntil(
        lambda: all(
            (p := thumbs.get(row)) is not None and p.side == side for row in rows
        )
    )
    qtbot.waitUntil(lambda: not thumbs.busy)


def test_pictures_of_the_right_cells(pictured: Any, thumbs: Any, qtbot: Any) -> None:
    assert thumbs.get(3) is None
    fetch(thumbs, qtbot, [3, 59, 0])
    for row in (3, 59, 0):
        picture = thumbs.get(row)
        assert middle(picture) == pictured.colour(row)
        assert picture.pixmap.width() == picture.pixmap.height() == picture.side == SIDE
    assert len(thumbs) == 3
    assert thumbs.size == 3 * 4 * SIDE**2


def test_one_field_for_all_cells(pictured: Any) -> None:
    # the largest squares are 20 px wide, the smallest 14
    assert field(pictured.session) == 24
    crops = cut(pictured.session.reading, pictured.session.cells, [0, 6], 24)
    for row, pixels in crops:
        inside = (pixels == pictured.colour(row)).all(axis=2)
        # never stretched: the size on the picture is the size in the image
        assert inside.sum() == (14 + row % 7) ** 2


def test_the_field_is_never_more_than_the_model_sees(pictured: Any) -> None:
    session = pictured.session
    session.cells.bbox[:, 2:] = session.cells.bbox[:, :2] + 5000
    assert field(session) == session.crop_side()
    session.cells = None
    assert field(session) == session.crop_side()


def test_what_is_there_is_not_read_again(
    thumbs: Any, qtbot: Any, reads: list[list[int]]
) -> None:
    fetch(thumbs, qtbot, [1, 2])
    fetch(thumbs, qtbot, [2, 1, 3])
    assert reads == [[1, 2], [3]]
    thumbs.want([1, 2, 3], SIDE)
    assert not thumbs.busy


def test_another_size_is_read_anew_and_the_old_one_shown_until_then(
    thumbs: Any, qtbot: Any
) -> None:
    fetch(thumbs, qtbot, [4])
    thumbs.want([4], 50)
    assert thumbs.get(4).side == SIDE
    fetch(thumbs, qtbot, [4], 50)
    assert len(thumbs) == 1
    assert thumbs.size == 4 * 50**2


def test_what_was_longest_unseen_is_forgotten(pictured: Any, qtbot: Any) -> None:
    thumbs = Thumbnails(pictured.session, max_bytes=3 * 4 * SIDE**2)
    for row in (0, 1, 2):
        fetch(thumbs, qtbot, [row])
    assert thumbs.get(0) is not None
    fetch(thumbs, qtbot, [3])
    assert [row for row in range(4) if thumbs.get(row)] == [0, 2, 3]
    assert thumbs.size == 3 * 4 * SIDE**2
    thumbs.close()
    assert (len(thumbs), thumbs.size) == (0, 0)
    thumbs.want([5], SIDE)
    assert not thumbs.busy, "closed is closed"


def test_what_scrolled_away_is_not_read(
    thumbs: Any, qtbot: Any, reads: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, real = threading.Event(), module.scaled

    def held(*args: Any) -> Any:
        gate.wait(10)
        return real(*args)

    monkeypatch.setattr(module, "scaled", held)
    thumbs.want(list(range(40)), SIDE)
    qtbot.waitUntil(lambda: len(reads) == 1)
    thumbs.want([50, 51], SIDE)
    gate.set()
    qtbot.waitUntil(lambda: thumbs.get(51) is not None)
    qtbot.waitUntil(lambda: not thumbs.busy)
    # the batch under way is kept, and what is in view now comes next
    assert reads == [list(range(BATCH)), [50, 51]]


def test_what_is_wanted_as_the_worker_ends_is_read_too(thumbs: Any, qtbot: Any) -> None:
    thumbs.want([1], SIDE)
    thumbs.arrived.connect(lambda rows: thumbs.want([7], SIDE))
    qtbot.waitUntil(lambda: thumbs.get(7) is not None)


class Broken:
    """Pixels of which some cannot be read, for any reason."""

    def __init__(self, source: Any, fault: Exception, bad: set[int]) -> None:
        self._source, self._fault, self._bad = source, fault, bad
        self.shape, self.is_rgb8 = source.shape, source.is_rgb8
        self.edges = source.edges

    def read(self, top: int, left: int, bottom: int, right: int) -> Any:
        block = self._source.read(top, left, bottom, right)
        if any((block == (4 * r, 255 - 4 * r, 90)).all(-1).any() for r in self._bad):
            raise self._fault
        return block


@pytest.mark.parametrize("fault", [OSError("gone"), KeyError("chunk"), InputError("x")])
def test_a_failed_read_is_a_placeholder_and_costs_no_other(
    pictured: Any, thumbs: Any, qtbot: Any, fault: Exception
) -> None:
    reading = pictured.session.reading
    broken = Broken(reading.source, fault, {2})
    pictured.session.reading = CellsReading(reading.cells, broken)
    thumbs.want([1, 2, 30], SIDE)
    qtbot.waitUntil(lambda: all(thumbs.get(row) for row in (1, 2, 30)))
    assert thumbs.get(2).pixmap is None
    assert middle(thumbs.get(30)) == pictured.colour(30)
    qtbot.waitUntil(lambda: not thumbs.busy)
    thumbs.want([2], 99)
    assert not thumbs.busy, "what failed is not tried over and over"


def test_pictures_of_changed_pixels_are_dropped(
    pictured: Any, thumbs: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, real = threading.Event(), module.scaled

    def held(*args: Any) -> Any:
        gate.wait(10)
        return real(*args)

    fetch(thumbs, qtbot, [5])
    monkeypatch.setattr(module, "scaled", held)
    arrived: list[Any] = []
    thumbs.arrived.connect(arrived.append)
    thumbs.want([8], SIDE)
    pictured.session.invalidate("the image changed")
    gate.set()
    qtbot.waitUntil(lambda: not thumbs.busy)
    assert arrived == []
    thumbs.want([], SIDE)
    assert len(thumbs) == 0, "those of before are gone too"
    fetch(thumbs, qtbot, [8])


def test_ready_made_crops(pictured: Any, thumbs: Any, qtbot: Any) -> None:
    stack = np.zeros((60, 30, 30, 3), np.uint8)
    stack[:] = np.array([pictured.colour(row) for row in range(60)])[:, None, None]
    session = pictured.session
    session.reading = CellsReading(session.reading.cells, CropStack(stack))
    fetch(thumbs, qtbot, [11])
    assert middle(thumbs.get(11)) == pictured.colour(11)


def test_nothing_is_read_without_cells(pictured: Any, thumbs: Any) -> None:
    pictured.session.clear_cells()
    thumbs.want([0, 1], SIDE)
    assert not thumbs.busy
