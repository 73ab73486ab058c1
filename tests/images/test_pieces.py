"""What is read at once, and that no more is kept than windows to come need."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cytodino.images import windows
from napari_cytodino.images.chunks import read_blocks
from napari_cytodino.images.source import ImageSource
from napari_cytodino.images.windows import TileCache

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
EDGES = np.arange(0, 65, 16), np.arange(0, 97, 16)


def regular(length, side):
    return np.append(np.arange(0, length, side), length)


@pytest.mark.parametrize(
    ("shape", "chunks", "reach", "want"),
    [
        ((4096, 4096), (512, 512), 1e6, (1024, 1024)),
        ((4096, 4096), (512, 512), 250, (512, 512)),
        ((4096, 4096), (3000, 3000), 1e6, (3000, 3000)),
        ((20_000, 20_000), (1, 20_000), 1e6, (209, 20_000)),
        ((20_000, 20_000), (20_000, 20_000), 1e6, (2000, 2000)),
    ],
    ids=["small", "few windows", "large", "rows", "one chunk"],
)
def test_what_is_read_at_once(shape, chunks, reach, want):
    edges = tuple(map(regular, shape, chunks))
    units = read_blocks(edges, reach)
    assert tuple(int(np.diff(e).max()) for e in units) == want


@given(st.integers(1, 300), st.integers(1, 300), st.floats(1, 1e6))
def test_units_hold_whole_chunks(height, width, reach):
    edges = regular(5000, height), regular(7000, width)
    for unit, chunk in zip(read_blocks(edges, reach), edges, strict=True):
        assert set(unit) <= set(chunk)
        assert unit[[0, -1]].tolist() == chunk[[0, -1]].tolist()


def kept(store):
    return sorted(store._kept)


def test_a_piece_goes_with_the_last_window_that_needs_it():
    boxes = np.array([[0, 0, 16, 16], [0, 8, 16, 24], [16, 16, 20, 40], [0, 0, 4, 4]])
    store = TileCache(ImageSource(PICTURE), EDGES, boxes)
    after = []
    for step, (top, left, bottom, right) in enumerate(boxes):
        out = np.zeros((bottom - top, right - left, 3), np.uint8)
        assert store.copy(step, out) is True
        np.testing.assert_array_equal(out, PICTURE[top:bottom, left:right])
        after.append(kept(store))
    assert after == [[(0, 0)], [(0, 0)], [(0, 0)], []]
    assert store._bytes == 0


def test_the_limit_holds_and_the_longest_unused_goes(monkeypatch):
    size = 16 * 16 * 3
    monkeypatch.setattr(windows, "LIMIT", 2 * size)
    box = [[0, 16 * i, 16, 16 * i + 16] for i in (0, 1, 0, 2, 0, 1, 2)]
    store, after = TileCache(ImageSource(PICTURE), EDGES, np.array(box)), []
    for step in range(4):
        store.copy(step, np.zeros((16, 16, 3), np.uint8))
        assert store._bytes == size * len(store._kept) <= 2 * size
        after.append(kept(store))
    assert after == [[(0, 0)], [(0, 0), (0, 1)], [(0, 0), (0, 1)], [(0, 0), (0, 2)]]


def test_pieces_are_no_views_of_what_was_read():
    whole = np.array([0, 64]), np.array([0, 96])
    store = TileCache(ImageSource(PICTURE), whole, np.tile([[0, 0, 9, 9]], (2, 1)))
    store.copy(0, np.zeros((9, 9, 3), np.uint8))
    assert all(piece.pixels.base is None for piece in store._kept.values())
