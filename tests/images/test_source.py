"""Every common layout of pixels comes out as the same 8-bit RGB."""

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_cytodino.common.errors import InputError
from napari_cytodino.images.source import ImageSource, read_image

RGB = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (RGB, {}),
        (np.dstack([RGB, np.full((40, 50), 7, np.uint8)]), {}),
        (np.moveaxis(RGB, -1, 0), {"channel_axis": 0}),
        (RGB.astype(np.float32) / 255, {}),
        (RGB.astype(np.uint16) * 257, {"limits": (0, 65535)}),
        (RGB.astype(">u2"), {"limits": (0, 255)}),
        (da.from_array(RGB, chunks=16), {}),
        ([RGB, RGB[::2, ::2]], {}),
        (np.stack([RGB[::-1], RGB]), {"plane": (1,)}),
        (np.stack([RGB, RGB])[None], {"plane": (0, 1)}),
        (np.moveaxis(np.stack([RGB, RGB]), -1, 0), {"channel_axis": 0, "plane": (1,)}),
    ],
    ids=[
        "rgb", "rgba", "channel-first", "float", "uint16", "big-endian", "dask",
        "multiscale", "stack", "time-z", "channel-first-stack",
    ],
)  # fmt: skip
def test_any_layout_reads_the_same(data, options):
    source = ImageSource(data, **options)
    assert source.shape == (40, 50)
    read = source.read(3, 5, 33, 47)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, RGB[3:33, 5:47])


def test_grey_is_repeated():
    source = ImageSource(RGB[..., 0])
    assert not source.colour
    read = source.read(0, 0, 40, 50)
    np.testing.assert_array_equal(read, np.repeat(RGB[..., :1], 3, axis=2))


def test_12_bit_data_are_not_black():
    data = np.linspace(0, 4095, 40 * 50).astype(np.uint16).reshape(40, 50)
    read = ImageSource(data).read(0, 0, 40, 50)
    assert read.max() == 255
    assert 120 < read.mean() < 135


def test_limits_of_a_lazy_image_are_those_of_one_in_memory_broken_chunks_apart():
    data = np.random.default_rng(0).integers(50, 4000, (2100, 60)).astype(np.uint16)
    data[1500, 30] = 60_000
    want = ImageSource(data).limits

    def block(part, block_info=None):
        if block_info[0]["chunk-location"] == (0, 1):
            raise KeyError("checksum")
        return part

    lazy = da.from_array(data, chunks=(700, 25))
    assert ImageSource(lazy).limits == want
    broken = lazy.map_blocks(block, dtype=np.uint16, meta=np.zeros(0, np.uint16))
    assert ImageSource(broken).limits == want


def test_boolean_image():
    read = ImageSource(np.eye(5, dtype=bool)).read(0, 0, 5, 5)
    assert set(np.unique(read)) == {0, 255}


def test_a_flat_image_is_not_divided_by_zero():
    assert ImageSource(np.full((4, 4), -3.0)).read(0, 0, 4, 4).max() == 0


@given(top=st.integers(0, 39), left=st.integers(0, 49), data=st.data())
def test_any_window(top, left, data):
    bottom = data.draw(st.integers(top, 40))
    right = data.draw(st.integers(left, 50))
    read = ImageSource(RGB).read(top, left, bottom, right)
    np.testing.assert_array_equal(read, RGB[top:bottom, left:right])


def test_nan_is_told_only_where_it_is_read():
    data = RGB.astype(np.float32) / 255
    data[0, 0] = np.nan
    source = ImageSource(data)
    np.testing.assert_array_equal(source.read(1, 0, 40, 50), RGB[1:])
    with pytest.raises(InputError, match="NaN"):
        source.read(0, 0, 5, 5)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, None])
def test_chunks_are_told_along_y_and_x_wherever_the_channels_are(axis):
    grey = da.from_array(np.zeros((2, 40, 50), np.uint8), chunks=(1, (30, 10), 25))
    data = grey if axis is None else da.stack([grey] * 3, axis)
    y, x = ImageSource(data, channel_axis=axis, plane=(1,)).edges()
    assert y.tolist() == [0, 30, 40]
    assert x.tolist() == [0, 25, 50]


def test_without_chunks_pixels_are_in_memory_or_read_in_blocks():
    class Bare:
        shape, dtype = (1100, 40), np.dtype(np.uint8)

        def __getitem__(self, window):
            return np.zeros(self.shape, self.dtype)[window][:7]

    assert ImageSource(RGB).edges() is None
    source = ImageSource(Bare())
    assert [e.tolist() for e in source.edges()] == [[0, 512, 1024, 1100], [0, 40]]
    assert source.read(0, 0, 7, 9).shape == (7, 9, 3)
    with pytest.raises(InputError, match=r"gave \(7, 9\) pixels where \(8, 9\)"):
        source.read(0, 0, 8, 9)


def test_gaps_are_told_beside_the_pixels_that_can_be_shown():
    data = RGB.astype(np.float32) / 255
    data[4, 6, 1] = np.inf
    source = ImageSource(data)
    pixels, gaps = source.to_rgb8(source.raw(slice(0, 9), slice(0, 9)))
    assert np.argwhere(gaps).tolist() == [[4, 6]]
    np.testing.assert_array_equal(pixels[~gaps], RGB[:9, :9][~gaps])
    assert source.to_rgb8(source.raw(slice(5, 9), slice(0, 9)))[1] is None


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (np.zeros(5), {}, r"\(5,\) is not an image"),
        (np.zeros((0, 5)), {}, "is not an image"),
        (np.zeros((4, 5, 6)), {}, "1 leading axes"),
        (np.zeros((4, 5, 6)), {"channel_axis": 0, "plane": ()}, "three or four"),
        (np.zeros((3, 5, 6)), {"channel_axis": 9}, "Axis 9"),
        (np.zeros((4, 4), complex), {}, "complex128"),
        (np.full((4, 4), np.nan), {}, "no finite value"),
    ],
)
def test_what_is_no_image_is_refused(data, options, message):
    if data.shape == (4, 5, 6) and "channel_axis" in options:
        data = np.zeros((5, 5, 6))
    with pytest.raises(InputError, match=message):
        ImageSource(data, **options)


def test_a_window_outside_is_refused():
    with pytest.raises(InputError, match="leaves an image of 40 x 50"):
        ImageSource(RGB).read(0, 0, 41, 50)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_files(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    Image.fromarray(RGB).save(path)
    np.testing.assert_array_equal(read_image(path).read(0, 0, 40, 50), RGB)


def test_16_bit_grey_png_is_not_clipped(tmp_path):
    path = tmp_path / "deep.png"
    data = np.linspace(0, 60000, 100).astype(np.uint16).reshape(10, 10)
    Image.fromarray(data).save(path)
    read = read_image(path).read(0, 0, 10, 10)[..., 0]
    assert len(np.unique(read)) > 90


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.png", None, "There is no image"),
        ("image.svg", b"<svg/>", "no type that can be read"),
        ("broken.png", b"\x89PNG\r\n\x1a\nnonsense", "cannot be read"),
        ("broken.tif", b"II*\0nonsense", "cannot be read"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_image(path)
    assert name in str(caught.value)


def test_a_cut_off_jpeg_is_refused(tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(RGB).save(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match=r"cut\.jpg cannot be read"):
        read_image(path)


def test_a_picture_beyond_what_pillow_unpacks_is_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    Image.fromarray(RGB).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match=r"bomb\.png cannot be read .*exceeds limit"):
        read_image(path)
