"""Crops keep scale and place: a fixed window about the centre, reflected outside."""

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.cells.cells import cells_from_crops, cells_from_points
from napari_cytodino.cells.crops import (
    CropStack,
    crop_side,
    crops_of,
    iter_crops,
    iter_series,
)
from napari_cytodino.common.errors import InputError
from napari_cytodino.images.source import ImageSource

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (120, 150, 3), dtype=np.uint8)


def cut(points, side, data=PICTURE, batch_size=8):
    source = ImageSource(data)
    cells = cells_from_points(points, source.shape, diameter=4)
    pixels = np.zeros((len(cells), side, side, 3), np.uint8)
    readable = np.zeros(len(cells), bool)
    sizes = []
    for batch in iter_crops(source, cells, side, batch_size):
        pixels[batch.rows], readable[batch.rows] = batch.pixels, batch.readable
        sizes.append(len(batch.rows))
    return pixels, readable, sizes


def test_a_window_inside_is_the_picture_itself():
    pixels, readable, _ = cut([[60, 70]], 21)
    assert readable.all()
    np.testing.assert_array_equal(pixels[0], PICTURE[50:71, 60:81])


def test_an_even_window_is_centred_between_pixels():
    pixels, _, _ = cut([[59.5, 69.5]], 20)
    np.testing.assert_array_equal(pixels[0], PICTURE[50:70, 60:80])


@settings(deadline=None, max_examples=50)
@given(y=st.floats(0, 119), x=st.floats(0, 149), side=st.integers(8, 260))
def test_any_place_and_side_equals_a_padded_picture(y, x, side):
    pixels, _, _ = cut([[y, x]], side)
    wide = np.pad(PICTURE, ((300, 300), (300, 300), (0, 0)), mode="symmetric")
    top = int(np.floor(y - (side - 1) / 2 + 0.5)) + 300
    left = int(np.floor(x - (side - 1) / 2 + 0.5)) + 300
    # The reflection of a window is that of the picture as long as it is shorter.
    if side < 120:
        want = wide[top : top + side, left : left + side]
        np.testing.assert_array_equal(pixels[0], want)
    assert pixels[0].shape == (side, side, 3)


def test_order_and_batches_do_not_matter():
    points = RNG.uniform([0, 0], [119, 149], (23, 2))
    whole, _, sizes = cut(points, 16, batch_size=100)
    parts, _, small = cut(points, 16, batch_size=4)
    np.testing.assert_array_equal(whole, parts)
    assert sizes == [23]
    assert small == [4, 4, 4, 4, 4, 3]


def test_chunks_are_computed_once_not_once_a_cell():
    reads = []

    def block(block_info=None):
        reads.append(block_info)
        return np.zeros((1000, 1000, 3), np.uint8)

    lazy = da.map_blocks(
        block, chunks=((1000,) * 4, (1000,) * 4, (3,)), dtype=np.uint8, meta=np.empty(0)
    )
    points = RNG.uniform(100, 3900, (200, 2))
    reads.clear()
    _, readable, sizes = cut(points, 32, lazy)
    assert readable.all()
    assert sizes == [8] * 25
    assert len(reads) == 16


def test_one_bad_spot_costs_only_its_own_cells():
    data = PICTURE.astype(np.float32) / 255
    data[30, 30] = np.nan
    points = [[30, 30], [100, 100], [34, 28], [60, 140]]
    pixels, readable, _ = cut(points, 16, data)
    assert readable.tolist() == [False, True, False, True]
    assert pixels[1].any()
    assert not pixels[0].any()


@pytest.mark.parametrize("axis", [None, 1])
def test_a_stack_gives_the_middle_of_each_crop(axis):
    crops = RNG.integers(0, 256, (5, 30, 30, 3), dtype=np.uint8)
    data = crops if axis is None else np.moveaxis(crops, -1, axis)
    stack = CropStack(data, channel_axis=axis)
    assert (stack.count, stack.source(0).shape) == (5, (30, 30))
    batches = list(iter_series(stack, 10, batch_size=2))
    assert [len(b.rows) for b in batches] == [2, 2, 1]
    pixels = np.concatenate([b.pixels for b in batches])
    np.testing.assert_array_equal(pixels, crops[:, 10:20, 10:20])


def test_a_small_crop_is_reflected_not_stretched():
    crops = RNG.integers(0, 256, (1, 10, 10, 3), dtype=np.uint8)
    batch = next(iter_series(CropStack(crops), 20))
    np.testing.assert_array_equal(batch.pixels[0, 5:15, 5:15], crops[0])
    np.testing.assert_array_equal(batch.pixels[0, 4, 5:15], crops[0, 0])


@pytest.mark.parametrize("axis", [None, 1])
def test_each_chunk_of_a_lazy_stack_is_computed_once_a_run(axis):
    crops, computed = RNG.integers(0, 256, (20, 9, 9, 3), dtype=np.uint8), []
    now = np.uint8(0)

    def block(part):
        computed.append(len(part))
        return part ^ now

    data = crops if axis is None else np.moveaxis(crops, -1, axis)
    sizes = (8, *data.shape[1:])
    lazy = da.from_array(data, chunks=sizes).map_blocks(block, dtype=np.uint8)
    stack = CropStack(lazy, channel_axis=axis)
    for now in np.array([0, 255], np.uint8):  # the second run shows the change
        computed.clear()
        batches = list(iter_series(stack, 9, batch_size=3))
        assert computed == [8, 8, 4]
        pixels = np.concatenate([b.pixels for b in batches])
        np.testing.assert_array_equal(pixels, crops ^ now)


def test_a_stack_whose_chunks_are_too_large_to_keep_is_read_crop_by_crop(monkeypatch):
    crops = RNG.integers(0, 256, (6, 9, 9), dtype=np.uint8)
    stack = CropStack(da.from_array(crops, chunks=(3, 9, 9)))
    assert stack.held() is not stack
    monkeypatch.setattr("napari_cytodino.cells.crops.LIMIT", 3 * 81 - 1)
    assert stack.held() is stack


def test_a_picture_that_cannot_be_opened_or_read_is_black():
    class Series:
        count = 3

        def source(self, row):
            if row == 1:
                raise OSError("gone")
            pixels = np.full((30, 30), 0.5, np.float32)
            pixels[15, 15] = np.nan if row == 2 else 1
            return ImageSource(pixels)

    (batch,) = iter_series(Series(), 10)
    assert batch.readable.tolist() == [True, False, False]
    assert batch.pixels.any(axis=(1, 2, 3)).tolist() == [True, False, False]


def test_crops_of_some_rows_of_an_image_or_a_stack():
    crops = np.stack([np.full((32, 32, 3), i * 20, np.uint8) for i in range(5)])
    rows = np.array([3, 1])
    (batch,) = crops_of(CropStack(crops), cells_from_crops(5, 32), rows, 16, 8)
    assert batch.rows.tolist() == [0, 1]
    assert batch.pixels[:, 0, 0, 0].tolist() == [60, 20]
    image = ImageSource(np.concatenate(list(crops), axis=1))
    cells = cells_from_points(
        np.array([[16, 16 + 32 * i] for i in range(5)]), (32, 160), diameter=20
    )
    (batch,) = crops_of(image, cells, rows, 16, 8)
    found = dict(
        zip(batch.rows.tolist(), batch.pixels[:, 8, 8, 0].tolist(), strict=True)
    )
    assert found == {0: 60, 1: 20}


def test_an_empty_stack_is_refused():
    with pytest.raises(InputError, match="0 crops"):
        CropStack(np.zeros((0, 8, 8, 3), np.uint8))


def test_side_in_image_pixels():
    assert crop_side(250) == 250
    assert crop_side(250, 0.5) == 125
    with pytest.raises(InputError, match="2 image pixels"):
        crop_side(250, 0.01)
