"""TIFF files read as tifffile does where they are whole, and end soon where not."""

import io
import logging
import random
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cytodino.core.errors import InputError
from napari_cytodino.core.images import read_image
from napari_cytodino.core.tiff_files import read_tiff

GREY = np.random.default_rng(0).integers(0, 999, (3, 48, 64)).astype(np.uint16)


def written(data, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, data, **options)
    return file.getvalue()


def tag(content, code, value):
    """Give one LONG of the first directory another value, in its place."""
    (at,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    changed = bytearray(content)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if struct.unpack_from("<H", content, entry)[0] == code:
            struct.pack_into("<HHII", changed, entry, code, 4, 1, value)
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
