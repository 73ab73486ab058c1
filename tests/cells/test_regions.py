"""Regions from runs equal those counted pixel by pixel; lazy blocks are read once."""

import tracemalloc
from collections import Counter

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cytodino.cells import _regions as label_runs
from napari_cytodino.cells._regions import measure_regions
from napari_cytodino.common.errors import InputError

KINDS = ["i1", "u2", ">i4", "u4", "i8", "u8"]


@st.composite
def label_images(draw):
    kind = np.dtype(draw(st.sampled_from(KINDS)))
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))
    ids = st.sampled_from([0, 1, 2, 100, low, high, high // 2 + 1])
    return draw(hnp.arrays(kind, shape, elements=ids))


def one_by_one(labels):
    for value in np.unique(labels[labels != 0]):
        y, x = np.nonzero(labels == value)
        yield (
            value, [len(y), y.sum(), x.sum()], [y.min(), x.min()],
            [y.max() + 1, x.max() + 1],
        )  # fmt: skip


def assert_counted(regions, labels):
    want = list(one_by_one(labels))
    assert regions.ids.tolist() == [int(row[0]) for row in want]
    for name, column in (("sums", 1), ("low", 2), ("high", 3)):
        value = getattr(regions, name).tolist()
        assert value == [[int(v) for v in row[column]] for row in want], name


@settings(deadline=None)
@given(label_images(), st.data())
def test_equal_to_a_count_pixel_by_pixel(labels, data):
    sides = st.integers(1, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_runs, "_SLAB", data.draw(sides) * 8)
        patch.setattr(label_runs, "_SIDE", data.draw(sides))
        assert_counted(measure_regions(labels), labels)
        lazy = Counted(labels, (data.draw(sides), data.draw(sides)))
        assert_counted(measure_regions(lazy), labels)


@pytest.mark.parametrize("view", ["T", "flipped", "stepped", "fortran"])
def test_any_order_in_memory(view):
    labels = np.random.default_rng(0).integers(0, 5, (40, 31)).astype(np.int32)
    seen = {
        "T": labels.T,
        "flipped": labels[::-1, ::-1],
        "stepped": labels[::2, 1::3],
        "fortran": np.asfortranarray(labels),
    }[view]
    assert_counted(measure_regions(seen), seen)


def test_sums_of_a_large_region_do_not_overflow():
    region = np.broadcast_to(np.int8(1), (1, 100_000))
    tall = da.from_array(np.broadcast_to(np.int8(1), (70_000, 1)))
    assert measure_regions(region).sums.tolist() == [[100_000, 0, 4_999_950_000]]
    assert measure_regions(tall).sums.tolist() == [[70_000, 2_449_965_000, 0]]


class Counted:
    """Labels in chunks that counts how often each chunk is read; may be broken."""

    def __init__(self, labels, chunks, fails_at=None):
        self.shape, self.dtype, self.chunks = labels.shape, labels.dtype, chunks
        self.labels, self.fails_at, self.reads = labels, fails_at, Counter()

    def __getitem__(self, window):
        (y, x), (h, w) = window, self.chunks
        for i in range(y.start // h, -(-y.stop // h)):
            self.reads.update((i, j) for j in range(x.start // w, -(-x.stop // w)))
        if len(self.reads) == self.fails_at:
            raise KeyError("chunk 3")
        return self.labels[window]


@pytest.mark.parametrize("chunks", [(64, 64), (300, 50), (512, 700), (1, 2000)])
def test_each_chunk_is_read_once(chunks, monkeypatch):
    monkeypatch.setattr(label_runs, "_SIDE", 128)
    labels = np.kron(np.arange(1, 57).reshape(7, 8), np.ones((100, 130), int))
    lazy = Counted(labels, chunks)
    assert_counted(measure_regions(lazy), labels)
    assert set(lazy.reads.values()) == {1}
    assert len(lazy.reads) == -(-700 // chunks[0]) * -(-1040 // chunks[1])


def test_zarr(tmp_path):
    labels = np.kron(np.eye(5, dtype=np.uint16), np.ones((30, 20), np.uint16))
    stored = zarr.create_array(tmp_path / "labels", data=labels, chunks=(32, 32))
    assert_counted(measure_regions(stored), labels)


def test_a_part_that_cannot_be_read_is_named():
    lazy = Counted(np.ones((3000, 10), np.int32), (1024, 10), fails_at=2)
    with pytest.raises(InputError, match=r"rows 1024 to 2048, .*0 to 10 \('chunk 3'"):
        measure_regions(lazy)


def test_memory_is_that_of_a_block_not_of_the_image():
    def block(block_info=None):
        y, x = block_info[None]["chunk-location"]
        return np.full((1024, 1024), 1 + 6 * y + x, np.int32)

    def peak(count):
        rows = (1024,) * count
        lazy = da.map_blocks(block, chunks=(rows, rows), dtype=np.int32)
        tracemalloc.start()
        assert measure_regions(lazy).sums[:, 0].sum() == (1024 * count) ** 2
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    # A block is 4 MiB; the larger image is nine times the smaller, 144 MiB.
    small = peak(2)
    assert small < 16 * 2**20
    assert peak(6) < small + 2 * 2**20
