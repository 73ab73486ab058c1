"""TIFF files read as tifffile does where they are whole, and end soon where not."""

import io
import logging
import random
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cytodino.common.errors import InputError
from napari_cytodino.images.source import read_image
from napari_cytodino.images.tiff import read_colours, read_tiff

RGB = np.random.default_rng(1).integers(0, 256, (40, 50, 3)).astype(np.uint8)
FIRST = np.moveaxis(RGB, -1, 0)
GREY = np.random.default_rng(0).integers(0, 999, (3, 48, 64)).astype(np.uint16)


def written(data, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, data, **options)
    return file.getvalue()


def tag(content, code, value, new=None):
    """Give one LONG of the first directory another value, or name, in its place."""
    (at,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    changed = bytearray(content)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if struct.unpack_from("<H", content, entry)[0] == code:
            struct.pack_into("<HHII", changed, entry, new or code, 4, 1, value)
            return bytes(changed)
    raise AssertionError(f"no tag {code}")


def ring(pages):
    """Give a small image and empty directories; the last leads to the first."""
    content = bytearray(written(GREY[0, :4, :4], metadata=None))
    (first,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, first)
    pointer = first + 2 + 12 * count
    for _ in range(pages):
        content += bytes(len(content) % 2)
        struct.pack_into("<I", content, pointer, len(content))
        pointer = len(content) + 2
        content += bytes(6)
    struct.pack_into("<I", content, pointer, first)
    return bytes(content)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile": (16, 16), "compression": "zlib"},
        {"rowsperstrip": 5, "compression": "zlib", "predictor": True},
        {"bigtiff": True, "metadata": None},
        {"byteorder": ">", "contiguous": False},
        {"ome": True, "tile": (16, 16)},
        {"imagej": True},
    ],
    ids=["plain", "tiled", "strips", "bigtiff", "big-endian", "ome", "imagej"],
)
def test_what_is_whole_reads_as_it_was_written(tmp_path, options):
    path = tmp_path / "w.tif"
    for data in (GREY, GREY[0]):
        path.write_bytes(written(data, photometric="minisblack", **options))
        np.testing.assert_array_equal(read_tiff(path), data)
        np.testing.assert_array_equal(read_tiff(path), tifffile.imread(path))


def test_pyramids_and_pages_of_other_programs(tmp_path):
    path = tmp_path / "p[1].tif"
    with tifffile.TiffWriter(path) as file:
        file.write(GREY[0], subifds=1, tile=(16, 16))
        file.write(GREY[0, ::2, ::2], subfiletype=1, tile=(16, 16))
    np.testing.assert_array_equal(read_tiff(path), GREY[0])
    pages = [Image.fromarray(page.astype(np.uint8)) for page in GREY]
    pages[0].save(
        path, save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate"
    )
    np.testing.assert_array_equal(read_tiff(path), GREY.astype(np.uint8))


def test_a_blank_slide_that_packs_well_is_read(tmp_path):
    path = tmp_path / "b.tif"
    blank = np.zeros((6000, 6000), np.uint8)
    tifffile.imwrite(path, blank, compression="zlib", rowsperstrip=6000)
    assert path.stat().st_size < blank.nbytes / 900
    assert read_tiff(path).shape == blank.shape


@pytest.mark.parametrize("pages", [1, 150])
def test_directories_in_a_ring(tmp_path, pages):
    path = tmp_path / "r.tif"
    path.write_bytes(ring(pages))
    with pytest.raises(InputError, match=r"r\.tif cannot be .*directories form a ring"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # as the fuzzer found: rows without end, one strip of them in the file
        (tag(written(GREY[0], rowsperstrip=1), 257, 2**31), "declares 274877906944"),
        (tag(written(GREY[0], tile=(16, 16)), 256, 9999), "12 of 1875 strips or tiles"),
        (tag(written(GREY[0], tile=(16, 16)), 322, 2**31), "too many for it"),
        (tag(written(GREY[0]), 256, 65)[:-2], "cannot be read"),
        (b"II*\0" + struct.pack("<IH", 8, 4096), "longer than the file"),
    ],
    ids=["rows", "tiles", "tile", "cut", "tags"],
)
def test_what_is_declared_but_not_there(tmp_path, content, message):
    path = tmp_path / "d.tif"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_image(path)


def test_seeded_damage_ends_in_a_sentence(tmp_path):
    whole = [
        written(GREY[0, :4, :4]),
        written(GREY[0, :32, :32], tile=(16, 16)),
        written(GREY[:, :4, :4], photometric="minisblack", ome=True),
    ]
    path, refused = tmp_path / "f.tif", 0
    for seed in range(300):
        dice = random.Random(seed)  # noqa: S311
        content = bytearray(dice.choice(whole))
        for _ in range(dice.randint(1, 8)):
            content[dice.randrange(220)] = dice.choice([0, 1, 128, 255])
        path.write_bytes(content)
        try:
            read_image(path)
        except InputError:
            refused += 1
    assert 100 < refused < 300


def test_what_tifffile_says_of_a_file_is_short_and_of_others_stays(tmp_path, caplog):
    path = tmp_path / "l.tif"
    content = written(GREY[0], metadata=None)
    (at,) = struct.unpack_from("<I", content, 4)
    changed = bytearray(content)
    for entry in range(at + 2 + 12 * 8, at + 2 + 12 * 13, 12):
        changed[entry + 2] = 99
    path.write_bytes(changed)
    for _ in range(2):
        with caplog.at_level(logging.WARNING, "tifffile"):
            caplog.clear()
            try:
                read_tiff(path)
            except Exception:
                caplog.records[0].getMessage()
        assert len(caplog.records) == 3
    logging.getLogger("tifffile").error("another's")
    assert len(caplog.records) == 4


def shown(path):
    source = read_image(path)
    return source.read(0, 0, *source.shape)


SMOOTH = np.add.outer(np.arange(40), 2 * np.arange(50))[..., None] + [0, 60, 120]
"""A picture in colours that JPEG keeps nearly as it is."""


@pytest.mark.parametrize("kind", ["tiff_lzw", "jpeg", "packbits"])
def test_compressions_of_everyday_programs(tmp_path, kind):
    path, near = tmp_path / "c.tif", SMOOTH.astype(np.uint8)
    options = {"quality": 95} if kind == "jpeg" else {}
    Image.fromarray(near).save(path, compression=kind, **options)
    off = np.abs(shown(path).astype(int) - near).max()
    assert off <= (6 if kind == "jpeg" else 0)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_labels_compressed_as_lzw_are_what_they_were(tmp_path, dtype):
    path, values = tmp_path / "l.tif", GREY[0].astype(dtype)
    Image.fromarray(values).save(path, compression="tiff_lzw")
    read = read_tiff(path)
    np.testing.assert_array_equal(read, values)
    assert read.dtype == values.dtype


def lzw(values, **options):
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF", compression="tiff_lzw", **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tag(lzw(RGB), 279, 900), "cannot be read"),
        (lzw(RGB, tiffinfo={274: 3}), "turned or inverted"),
        (tag(lzw(GREY[0].astype("u1")), 262, 0), "turned or inverted"),
        # Pillow would give the upper 8 of 16 bits
        (
            tag(tag(tag(lzw(GREY[0, :, :63]), 256, 21), 278, 3, 277), 262, 2),
            "uint16 values are compressed as LZW",
        ),
        (
            lzw(RGB, save_all=True, append_images=[Image.fromarray(RGB)]),
            "imagecodecs",
        ),
    ],
    ids=["cut", "turned", "inverted", "16-bit", "pages"],
)
def test_what_pillow_would_read_as_other_values_is_refused(tmp_path, content, message):
    path = tmp_path / "o.tif"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_image(path)


def test_a_huge_compressed_page_is_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "h.tif"
    path.write_bytes(lzw(RGB))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1999)
    with pytest.raises(InputError, match="more than 1999 pixels compressed as LZW"):
        read_image(path)


@pytest.mark.parametrize(
    "options",
    [
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "compression": "zlib", "tile": (16, 16)},
        {"planarconfig": "separate", "ome": True},
        {"planarconfig": "separate", "metadata": None, "byteorder": ">"},
    ],
    ids=["planes", "tiles", "ome", "bare"],
)
@pytest.mark.parametrize("scale", [1, 257], ids=["8-bit", "16-bit"])
def test_planes_of_colours_are_colours(tmp_path, options, scale):
    path, data = tmp_path / "p.tif", FIRST
    if scale > 1:
        data = FIRST.astype(np.uint16) * 257
        data[0, 0, 0] = 65535
    tifffile.imwrite(path, data, photometric="rgb", **options)
    expected = np.rint(np.moveaxis(data, 0, -1) / scale)
    np.testing.assert_array_equal(shown(path), expected)
    four = np.concatenate([data, data[:1]])
    tifffile.imwrite(path, four, photometric="rgb", extrasamples=["unassalpha"],
                     **options)  # fmt: skip
    np.testing.assert_array_equal(shown(path), expected)


COLOURS = {"red": -16776961, "green": 16711935, "blue": 65535}


@pytest.mark.parametrize("order", ["red green blue", "blue red green"])
@pytest.mark.parametrize("field", ["Color", "Name"])
def test_ome_channels_are_the_colours_they_are_declared_to_be(tmp_path, order, field):
    path, names = tmp_path / "c.ome.tif", order.split()
    places = [list(COLOURS).index(name) for name in names]
    words = [COLOURS[n] for n in names] if field == "Color" else names
    tifffile.imwrite(path, FIRST[places], photometric="minisblack",
                     metadata={"axes": "CYX", "Channel": {field: words}})  # fmt: skip
    np.testing.assert_array_equal(shown(path), RGB)


@pytest.mark.parametrize(
    "channel",
    [
        {},
        {"Name": ["DAPI", "FITC", "TRITC"]},
        {"Name": ["Red", "Green", "Green"]},
        {"Color": [65535, 65535, -16776961]},
    ],
    ids=["nothing", "stains", "twice", "colour twice"],
)
def test_channels_that_nobody_calls_colours_are_not_guessed(tmp_path, channel):
    path = tmp_path / "n.ome.tif"
    metadata = {"axes": "CYX"} | ({"Channel": channel} if channel else {})
    tifffile.imwrite(path, FIRST, photometric="minisblack", metadata=metadata)
    with pytest.raises(InputError, match="3 channels are not declared as red, green"):
        read_image(path)
    np.testing.assert_array_equal(read_tiff(path), FIRST)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"], ids=["plain", "lzw"])
def test_indices_are_looked_up_in_the_colour_map(tmp_path, compression):
    path = tmp_path / "i.tif"
    indexed = Image.fromarray(RGB).quantize(16)
    indexed.save(path, compression=compression)
    np.testing.assert_array_equal(shown(path), np.asarray(indexed.convert("RGB")))
    # of labels they are the values
    np.testing.assert_array_equal(read_tiff(path), np.asarray(indexed))


def test_colour_maps_of_other_programs(tmp_path):
    path, indices = tmp_path / "m.tif", GREY[0].astype(np.uint8)
    colours = np.random.default_rng(2).integers(0, 256, (3, 256)).astype(np.uint16)
    for factor in (1, 256, 257):
        tifffile.imwrite(path, indices, photometric="palette",
                         colormap=colours * factor)  # fmt: skip
        np.testing.assert_array_equal(shown(path), colours.T[indices])
    grey = np.tile(np.arange(255, -1, -1, dtype=np.uint16) * 257, (3, 1))
    tifffile.imwrite(path, indices, photometric="palette", colormap=grey)
    np.testing.assert_array_equal(read_colours(path), 255 - indices)
    assert not read_image(path).colour


def test_colours_that_are_not_red_green_and_blue_are_refused(tmp_path):
    path = tmp_path / "k.tif"
    picture = Image.fromarray(RGB)
    for mode, name in (("CMYK", "SEPARATED"), ("YCbCr", "YCBCR"), ("LAB", "CIELAB")):
        if mode == "LAB":
            tifffile.imwrite(path, RGB, photometric="cielab")
        else:
            picture.convert(mode).save(path)
        with pytest.raises(InputError, match=f"stored as {name}; save it as RGB"):
            read_image(path)
