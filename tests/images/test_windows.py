"""Windows of lazy pixels equal those of pixels in memory; each chunk is read once."""

import gc
import weakref
from collections import Counter

import dask.array as da
import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.images import chunks as reading
from napari_cytodino.images import windows
from napari_cytodino.images.source import ImageSource
from napari_cytodino.images.windows import WindowReader

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (90, 110, 3), dtype=np.uint8)


class Chunked:
    """Pixels in chunks that notes each chunk that is read, and breaks on demand."""

    def __init__(self, pixels, chunks, broken=(), fails_at=None):
        self.shape, self.dtype, self.chunks = pixels.shape, pixels.dtype, (*chunks, 3)
        self.pixels, self.broken, self.fails_at = pixels, broken, fails_at
        self.chunk_reads, self.reads = Counter(), 0

    def __getitem__(self, window):
        spans = [
            range(part.start // side, -(-part.stop // side))
            for part, side in zip(window[:2], self.chunks, strict=False)
        ]
        touched = [(i, j) for i in spans[0] for j in spans[1]]
        self.chunk_reads.update(touched)
        self.reads += 1
        if self.reads == self.fails_at or set(touched) & set(self.broken):
            raise KeyError("checksum")  # not an error that anyone would expect
        return self.pixels[window]


@pytest.fixture
def _one_by_one(monkeypatch):
    """Chunks are read one by one, however small."""
    monkeypatch.setattr(reading, "_TOGETHER", 1)


def read_all(data, corners, side, **options):
    """Return pixels and whether they are readable, in the order of the corners."""
    read = WindowReader(ImageSource(data, **options), np.array(corners), side)
    pixels = np.full((len(corners), side, side, 3), 99, np.uint8)
    readable = np.zeros(len(corners), bool)
    assert sorted(read.order) == list(range(len(corners)))
    for step, row in enumerate(read.order):
        readable[row] = read.fill(step, pixels[row])
    assert not pixels[~readable].any()
    return pixels, readable


def scattered(count, shape, side, seed=0):
    """Return corners of windows whose middle is in the image."""
    low, high = -(side // 2), np.array(shape) - side // 2
    return np.random.default_rng(seed).integers(low, high, (count, 2))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_chunks_give_what_memory_gives(data):
    side, count = data.draw(st.integers(1, 130)), data.draw(st.integers(1, 20))
    corners = scattered(count, PICTURE.shape[:2], side, data.draw(st.integers(0, 99)))
    lazy = Chunked(PICTURE, data.draw(st.tuples(*[st.integers(7, 120)] * 2)))
    want, _ = read_all(PICTURE, corners, side)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "TILE", data.draw(st.integers(9, 64)))
        patch.setattr(reading, "_TOGETHER", data.draw(st.integers(1, 64)))
        whole = data.draw(st.booleans())
        if not whole:
            patch.setattr(windows, "LIMIT", data.draw(st.integers(0, 20_000)))
            patch.setattr(reading, "_LARGEST", data.draw(st.integers(1, 9_000)))
            patch.setattr(reading, "_PART", data.draw(st.integers(9, 50)))
        got, readable = read_all(lazy, corners, side)
    assert readable.all()
    np.testing.assert_array_equal(got, want)
    if whole:
        assert set(lazy.chunk_reads.values()) == {1}


def test_20_000_px_with_chunks_of_512_each_read_once_in_little_memory():
    length, side = 20_000, 250
    slide = Chunked(
        np.broadcast_to(np.uint8(7), (length, length, 3)), chunks=(512, 512)
    )
    corners = RNG.integers(-100, length - 150, (9_000, 2))
    read, most = WindowReader(ImageSource(slide), corners, side), 0
    out = np.zeros((side, side, 3), np.uint8)
    for step in range(len(corners)):
        assert read.fill(step, out)
        most = max(most, read._pieces._bytes)
    assert len(slide.chunk_reads) == 40 * 40
    assert set(slide.chunk_reads.values()) == {1}
    # A strip of two pieces' height is 31 MB, a part that is read at once 3 MB.
    assert 10 * 2**20 < most < 48 * 2**20


def test_each_chunk_of_dask_is_computed_once():
    computed = Counter()

    def block(block_info=None):
        computed[tuple(block_info[None]["chunk-location"])] += 1
        return np.zeros((256, 256, 3), np.uint8)

    sides = (256,) * 12
    lazy = da.map_blocks(block, chunks=(sides, sides, (3,)), dtype=np.uint8)
    computed.clear()  # dask may call it once to see what it returns
    _, readable = read_all(lazy, scattered(600, (3072, 3072), 250), 250)
    assert readable.all()
    assert len(computed) == 144
    assert set(computed.values()) == {1}


@pytest.mark.parametrize("kind", ["zarr", "h5py", "h5py without chunks"])
def test_stored_arrays(kind, tmp_path):
    corners = scattered(20, PICTURE.shape[:2], 33)
    want, _ = read_all(PICTURE, corners, 33)
    if kind == "zarr":
        stored = zarr.create_array(tmp_path / "a", data=PICTURE, chunks=(32, 40, 3))
        got, _ = read_all(stored, corners, 33)
    else:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            chunks = (32, 40, 1) if kind == "h5py" else None
            stored = file.create_dataset("a", data=PICTURE, chunks=chunks)
            got, _ = read_all(stored, corners, 33)
    np.testing.assert_array_equal(got, want)


@pytest.mark.usefixtures("_one_by_one")
def test_one_read_that_fails_once_costs_nothing():
    corners = scattered(60, PICTURE.shape[:2], 20)
    lazy = Chunked(PICTURE, (16, 16), fails_at=3)
    got, readable = read_all(lazy, corners, 20)
    assert lazy.reads > 3
    assert readable.all()
    np.testing.assert_array_equal(got, read_all(PICTURE, corners, 20)[0])


@pytest.mark.usefixtures("_one_by_one")
def test_a_broken_chunk_costs_the_windows_on_it_and_no_other():
    corners = scattered(200, PICTURE.shape[:2], 20)
    lazy = Chunked(PICTURE, (16, 16), broken=[(2, 3)])
    got, readable = read_all(lazy, corners, 20)
    ends = corners + 20
    y, x = [(corners[:, i] < (c + 1) * 16) & (ends[:, i] > c * 16)
            for i, c in ((0, 2), (1, 3))]  # fmt: skip
    assert readable.tolist() == (~(y & x)).tolist()
    assert 0 < (~readable).sum() < 100
    want, _ = read_all(PICTURE, corners, 20)
    np.testing.assert_array_equal(got[readable], want[readable])


@pytest.mark.parametrize("lazy", [True, False])
def test_values_that_are_no_numbers_cost_the_windows_on_them(lazy):
    pixels = PICTURE.astype(np.float32) / 255
    pixels[40, 50, 1], pixels[3, 3, 0] = np.nan, np.inf
    corners = scattered(300, PICTURE.shape[:2], 20)
    data = Chunked(pixels, (16, 16)) if lazy else pixels
    got, readable = read_all(data, corners, 20, limits=(0, 1))
    hit = [((corners <= at) & (corners + 20 > at)).all(1) for at in ([40, 50], [3, 3])]
    assert readable.tolist() == (~(hit[0] | hit[1])).tolist()
    want, _ = read_all(PICTURE, corners, 20)
    np.testing.assert_array_equal(got[readable], want[readable])
    if lazy:
        assert set(data.chunk_reads.values()) == {1}


def test_memory_that_runs_out_is_no_unreadable_pixel():
    class Full(Chunked):
        def __getitem__(self, window):
            raise MemoryError

    with pytest.raises(MemoryError):
        read_all(Full(PICTURE, (16, 16)), [[0, 0]], 20)


def test_fewer_pixels_than_asked_for_are_unreadable():
    class Short(Chunked):
        def __getitem__(self, window):
            return super().__getitem__(window)[:-1]

    _, readable = read_all(Short(PICTURE, (16, 16)), [[0, 0], [5, 5]], 20)
    assert not readable.any()


def test_a_window_beside_the_image_is_black():
    corners = [[-40, 0], [0, 110], [90, 5], [0, 0]]
    for data in (PICTURE, Chunked(PICTURE, (16, 16))):
        assert read_all(data, corners, 20)[1].tolist() == [False] * 3 + [True]


@pytest.mark.parametrize("lazy", [True, False])
def test_nothing_is_kept_from_run_to_run(lazy):
    pixels = PICTURE.astype(np.uint16)
    source = ImageSource(Chunked(pixels, (16, 16)) if lazy else pixels, limits=(0, 255))
    corners, out = (
        scattered(300, PICTURE.shape[:2], 20),
        np.zeros((20, 20, 3), np.uint8),
    )

    kept = []

    def run():
        read = WindowReader(source, corners, 20)
        kept.append(weakref.ref(read._pieces))
        return [(read.fill(step, out), out.copy())[1] for step in range(100)]

    before = run()
    gc.collect()
    assert kept[0]() is None
    pixels[...] = 255 - pixels
    after = run()
    np.testing.assert_array_equal(np.array(before), 255 - np.array(after))
