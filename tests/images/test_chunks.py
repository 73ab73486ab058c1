"""Edges are those of the chunks, whoever made the array."""

import dask.array as da
import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_cytodino.images.chunks import (
    LastChunkCache,
    chunk_edges,
    full_resolution,
    merged,
    split,
)


def edges_of(array):
    return [chunk_edges(array, axis).tolist() for axis in range(len(array.shape))]


def test_of_dask_with_uneven_and_empty_chunks():
    array = da.zeros((70, 50, 3), chunks=((30, 0, 40), 20, 3))
    assert edges_of(array) == [[0, 30, 70], [0, 20, 40, 50], [0, 3]]


def test_of_zarr_and_h5py(tmp_path):
    grid = zarr.create_array(
        tmp_path / "a.zarr", shape=(70, 60), chunks=(32, 20), dtype="i4"
    )
    assert edges_of(grid) == [[0, 32, 64, 70], [0, 20, 40, 60]]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("a", (70, 60), "i4", chunks=(32, 20))
        assert edges_of(data) == [[0, 32, 64, 70], [0, 20, 40, 60]]
        assert chunk_edges(file.create_dataset("b", (7, 6), "i4"), 0) is None


class Odd:
    shape = (5, 5)

    def __init__(self, chunks):
        self._chunks = chunks

    @property
    def chunks(self):
        if self._chunks is None:
            raise NotImplementedError
        return self._chunks


@pytest.mark.parametrize("chunks", [None, "auto", (5,), 3])
def test_what_says_nothing_of_use_has_none(chunks):
    assert chunk_edges(np.zeros((5, 5)), 0) is None
    assert chunk_edges(Odd(chunks), 0) is None


@given(st.sets(st.integers(1, 500), min_size=1), st.integers(1, 100))
def test_merged_and_split_keep_the_ends_and_their_promise(inner, length):
    edges = np.array([0, *sorted(inner)])
    joined, cut = merged(edges, length), split(edges, length)
    assert set(joined) <= set(edges) <= set(cut)
    assert joined[[0, -1]].tolist() == cut[[0, -1]].tolist() == edges[[0, -1]].tolist()
    assert (np.diff(joined)[:-1] >= length).all()
    assert (np.diff(cut) > 0).all()
    assert (np.diff(cut) <= length).all()


def test_the_finest_level_is_the_first():
    levels = [np.zeros((8, 8)), np.zeros((4, 4))]
    assert full_resolution(levels) is levels[0]
    assert full_resolution(levels[1]) is levels[1]
    rows = [[0, 1], [1, 0]]
    assert full_resolution(rows) is rows
    assert full_resolution([]) == []


def test_the_last_chunk_is_kept_and_one_that_failed_is_asked_again():
    class Flaky:
        shape, dtype, asked = (10, 4), np.dtype(int), []

        def __getitem__(self, rows):
            self.asked.append((rows.start, rows.stop))
            if len(self.asked) == 2:
                raise OSError("busy")
            return np.arange(40).reshape(self.shape)[rows]

    array = LastChunkCache(Flaky(), np.array([0, 4, 8, 10]))
    assert [array[row, 1] for row in (0, 3)] == [1, 13]
    with pytest.raises(OSError, match="busy"):
        array[4, 0]
    assert [array[row, 1:3].tolist() for row in (4, 7, 9)] == [
        [17, 18],
        [29, 30],
        [37, 38],
    ]
    assert Flaky.asked == [(0, 4), (4, 8), (4, 8), (8, 10)]
