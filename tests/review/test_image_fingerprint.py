"""The same pixels have the same name, others another, and a slide is not read whole."""

import hashlib
import time

import dask.array as da
import numpy as np
import pytest

from napari_cytodino.cells.crops import CropStack
from napari_cytodino.images.source import ImageSource
from napari_cytodino.review.image_fingerprint import TILE, TILES, fingerprint_pixels


def picture(height=100, width=90, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def test_the_name_is_the_hash_of_shape_and_tiles():
    image = picture(100, 64)
    said = b"image 100 64 True" + image[:64].tobytes() + image[36:].tobytes()
    assert fingerprint_pixels(ImageSource(image)) == hashlib.sha256(said).hexdigest()


@pytest.mark.parametrize("height", [1, 63, 64, 65, 512])
def test_every_pixel_of_a_small_image_counts(height):
    image = picture(height, 70)
    name = fingerprint_pixels(ImageSource(image))
    for y, x in [(0, 0), (height - 1, 69), (height // 2, 35), (height // 3, 66)]:
        other = image.copy()
        other[y, x, 1] ^= 1
        assert fingerprint_pixels(ImageSource(other)) != name


def test_the_container_does_not_matter_and_the_shape_does():
    image = picture(128, 128)
    name = fingerprint_pixels(ImageSource(image))
    assert (
        fingerprint_pixels(ImageSource(da.from_array(image, chunks=(50, 60, 3))))
        == name
    )
    assert fingerprint_pixels(ImageSource([image, image[::2, ::2]])) == name
    grey = np.zeros((64, 128), np.uint8)
    assert fingerprint_pixels(ImageSource(grey)) != fingerprint_pixels(
        ImageSource(grey.T.copy())
    )


def test_of_a_slide_few_tiles_are_read():
    read = []

    def chunk(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return np.full((1024, 1024, 3), len(read) % 7, np.uint8)

    slide = da.map_blocks(
        chunk, chunks=((1024,) * 90, (1024,) * 90, (3,)), dtype=np.uint8
    )
    start = time.process_time()
    fingerprint_pixels(ImageSource(slide))
    assert time.process_time() - start < 5
    # a tile may lie across the corner of four chunks
    assert TILES**2 <= len(read) <= 4 * TILES**2
    assert {(0, 0, 0), (89, 89, 0), (0, 89, 0)} <= set(read)


def test_a_tile_that_cannot_be_read_does_not_hinder():
    image = np.random.default_rng(0).random((3 * TILE, TILE))
    image[0, 0] = np.nan
    name = fingerprint_pixels(ImageSource(image))
    image[-1, -1] += 0.5
    assert fingerprint_pixels(ImageSource(image)) != name


class Undecodable:
    """An array whose decoder raises its own kind of error for any window."""

    shape, dtype = (300, 400, 3), np.dtype(np.uint8)

    def __getitem__(self, where):
        raise KeyError("c/0/0/0")


def test_whatever_a_decoder_raises_does_not_hinder():
    first, again = (fingerprint_pixels(ImageSource(Undecodable())) for _ in range(2))
    assert first == again


def test_crops_of_a_stack_count_in_their_order():
    crops = np.stack([picture(40, 40, seed) for seed in range(5)])
    name = fingerprint_pixels(CropStack(crops))
    assert fingerprint_pixels(CropStack(crops.copy())) == name
    assert fingerprint_pixels(CropStack(crops[::-1])) != name
    assert fingerprint_pixels(CropStack(crops[:4])) != name
    assert fingerprint_pixels(ImageSource(crops[0])) != fingerprint_pixels(
        CropStack(crops[:1])
    )
