"""A review whose write-ahead log is torn: whole actions up to the tear, or words."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.review.log import ReviewLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_cytodino.review.state import Event

HEADER, FRAME = 32, 24 + 4096
"""Bytes of the log's head and of a page in it (sqlite.org/fileformat2.html#the_wal)."""

NAME = "a.cytodino.sqlite"


@dataclass(frozen=True)
class Killed:
    """What a kill left: the file, its log, and the history after each action."""

    file: bytes
    log: bytes
    histories: list[list[Event]]
    cells: Any


def opened(folder: Path, cells: Any, **options: Any) -> ReviewLog:
    log = ReviewLog.open(folder / NAME, image="pixels", case="17", **options)
    log.attach(cells)
    return log


def actions(log: ReviewLog) -> Iterator[object]:
    """Do all that a reader does, one acknowledged action at a time."""
    for row, code in enumerate(("a", "b", "c")):
        yield log.record([row], code, reviewer="Ann", why="w" * 300 * row)
    yield log.record(range(100), "d", reviewer="Bob")
    yield log.undo("Ann")
    yield log.withdraw([0, 1], reviewer="Bob")
    yield log.lock("Ann", "signed")
    yield log.reopen("Bob", "a late smear")


@pytest.fixture(scope="module", params=["in its first session", "in its second"])
def killed(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    many_cells: Any,
) -> Killed:
    """Return what lies on the disk when the program is killed after eight actions."""
    folder = tmp_path_factory.mktemp("killed")
    if request.param == "in its second":
        with opened(folder, many_cells.cells) as first:
            first.record([7, 8], "a", reviewer="Cy")
    with opened(folder, many_cells.cells) as log:
        histories = [log.events()]
        histories += [log.events() for _ in actions(log)]
        file, wal = folder / NAME, folder / f"{NAME}-wal"
        left = Killed(file.read_bytes(), wal.read_bytes(), histories, many_cells.cells)
    assert len(left.log) > 10 * FRAME
    return left


def held(killed: Killed, log: bytes) -> int:
    """Open what a torn log leaves; return how many whole actions it holds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, wal = folder / NAME, folder / f"{NAME}-wal"
        file.write_bytes(killed.file)
        wal.write_bytes(log)
        try:
            with opened(folder, killed.cells, read_only=True) as looked:
                seen = looked.events()
        except InputError as error:
            # a first session of which nothing was left
            assert "holds no review yet" in str(error)  # noqa: PT017
            assert file.read_bytes() == killed.file
            seen = []
        assert seen in killed.histories
        with opened(folder, killed.cells) as again:
            assert again.events() == seen
            if again.locked:
                again.reopen("Dan", "torn")
            assert again.record([300], "z", reviewer="Dan") == (300,)
            after = again.events()
        assert after[: len(seen)] == seen
        with opened(folder, killed.cells) as last:
            assert last.events() == after
    return killed.histories.index(seen)


def whole_before(killed: Killed, place: int) -> int:
    """Count the actions that end before a byte, by what the format says of a frame."""
    starts = range(HEADER, len(killed.log), FRAME)
    # the size of the database after a commit; 0 in all other frames
    ends = [s + FRAME for s in starts if any(killed.log[s + 4 : s + 8])]
    after = sum(end > place for end in ends)
    return max(len(killed.histories) - 1 - after, 0)


def test_cut_at_the_ends_of_pages(killed: Killed) -> None:
    size = len(killed.log)
    ends = [0, HEADER - 1, *range(HEADER, size, 3 * FRAME), size - 1, size]
    found = [held(killed, killed.log[:end]) for end in ends]
    assert found == [whole_before(killed, end) for end in ends]
    assert found[0] == 0
    assert found[-2:] == [7, 8]


@settings(max_examples=12, deadline=None)
@given(share=st.floats(0, 1), way=st.sampled_from(["cut", "flip", "zeros"]))
def test_torn_at_any_byte(killed: Killed, share: float, way: str) -> None:
    log, size = killed.log, len(killed.log)
    place = min(int(share * size), size - 1)
    tail = {
        "cut": b"",
        "flip": bytes([log[place] ^ 1]) + log[place + 1 :],
        "zeros": bytes(size - place),
    }
    found = held(killed, log[:place] + tail[way])
    known = whole_before(killed, place)
    # where zeros stood already, nothing is torn
    assert found in ({known, known + 1} if way == "zeros" else {known})
