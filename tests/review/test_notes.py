"""What a record tells beside verdicts: drawn cells and added classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_cytodino.cells.cells import cells_from_points
from napari_cytodino.common.errors import InputError
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.taxonomy.taxonomy import CellClass

if TYPE_CHECKING:
    from pathlib import Path

SPOTS = np.array([(20 + 30 * k, 40 + 20 * (k % 4)) for k in range(8)], float)
OWN = CellClass("ABC", "My cell", "", 0, "none", "#123456", counted=True)


def cells(order: Any = slice(None)) -> Any:
    return cells_from_points(SPOTS[order], (400, 400), diameter=20)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "case.sqlite"


def test_drawn_cells_are_found_again_in_another_order(place: Path) -> None:
    with ReviewLog.open(place, image="pixels") as log:
        log.attach(cells())
        log.notes.note_drawn(np.array([2, 5]), of=8, reviewer="AB")
        log.notes.note_drawn(np.array([7]), of=6, reviewer="AB")
        assert log.notes.drawn() == (2, 5, 7)
    with ReviewLog.open(place, image="pixels") as log:
        assert log.notes.drawn() == (), "no cells are attached"
        log.attach(cells([7, 6, 5, 4, 3, 2, 1, 0]))
        assert log.notes.drawn() == (0, 2, 5)


def test_classes_come_back_as_they_were(place: Path) -> None:
    with ReviewLog.open(place, image="pixels") as log:
        assert log.notes.classes() == []
        log.notes.add_classes(["KSC", OWN], "AB")
        log.notes.add_classes(["KSC"], "AB")
    with ReviewLog.open(place, image="pixels", read_only=True) as log:
        assert log.notes.classes() == ["KSC", OWN]


def test_where_nothing_can_be_recorded_nothing_is(place: Path) -> None:
    ReviewLog.open(place, image="pixels").close()
    with ReviewLog.open(place, image="pixels", read_only=True) as log:
        log.attach(cells())
        with pytest.raises(InputError, match="only be looked at"):
            log.notes.note_drawn(np.array([1]), of=8, reviewer="AB")
        with pytest.raises(InputError, match="only be looked at"):
            log.notes.add_classes(["KSC"], "AB")
    with ReviewLog.open(place, image="pixels") as log:
        log.attach(cells())
        with pytest.raises(InputError, match="needs its reader"):
            log.notes.add_classes(["KSC"], " ")
        log.lock("AB")
        with pytest.raises(InputError, match="is locked"):
            log.notes.note_drawn(np.array([1]), of=8, reviewer="AB")
        assert log.notes.drawn() == ()


def test_a_cell_with_a_verdict_and_what_readers_say(place: Path) -> None:
    with ReviewLog.open(place, image="pixels") as log:
        log.attach(cells())
        log.record([1, 3], "NGS", reviewer="AB")
        log.record([3], "MON", reviewer="CD")
        found = log.readings()
        assert [codes for _, codes in found] == [("NGS",), ("MON", "NGS")]
        assert [(cell.y, cell.x) for cell, _ in found] == [
            tuple(SPOTS[1]),
            tuple(SPOTS[3]),
        ]
        log.record([3], "EOS", reviewer="CD", settling=True)
        assert log.readings()[1][1] == ("EOS",)
