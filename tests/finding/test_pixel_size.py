"""The size of a pixel: given, of the file, or estimated from the picture."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.finding._readable import as_source
from napari_cytodino.finding.find import search
from napari_cytodino.finding.light import measure_light
from napari_cytodino.finding.network import MICRONS, Rescaled
from napari_cytodino.finding.pixel_size import colour_of_the_rest, pixel_size_of
from napari_cytodino.finding.sizes import as_pixel_size


def estimated(image, **words):
    return next(search(image, **words)).pixel_size


@pytest.fixture(scope="module")
def size(smear):
    return estimated(smear.image)


def test_drawn_red_cells_give_the_scale(size):
    """SYNTHETIC: at its own scale a red cell is drawn 78 px wide, 0.096 um a pixel."""
    assert size.microns == pytest.approx(0.096, rel=0.15)
    assert size.low < size.microns < size.high
    assert size.red_cells >= 20
    assert not size.doubtful
    assert "red cells" in str(size)


@pytest.mark.parametrize("factor", [0.4, 0.7])
def test_half_the_pixels_are_twice_as_large(smear, size, factor):
    image = Image.fromarray(smear.image)
    small = np.asarray(image.resize([round(factor * s) for s in image.size]))
    assert estimated(small).microns * factor == pytest.approx(size.microns, rel=0.1)


def test_a_cell_size_is_where_to_begin(smear):
    near = estimated(smear.image, diameter=130)
    assert near.microns == pytest.approx(0.096, rel=0.15)
    far = estimated(smear.image, diameter=500)
    assert far == as_pixel_size(None, 500)


def test_without_red_cells_it_is_a_guess(smear):
    one = np.array(smear.image[:40, :40])
    known = estimated(one)
    assert known.red_cells == 0
    assert known.doubtful
    assert "how it looks" in str(known)


def test_a_grey_or_dark_picture_shows_none():
    grey = SimpleNamespace(colour=False)
    assert pixel_size_of(grey) is None
    dark = SimpleNamespace(
        shape=(30, 30), read=lambda *_: np.zeros((30, 30, 3), np.uint8)
    )
    assert pixel_size_of(dark) is None


def test_a_picture_that_cannot_be_read_shows_none():
    def read(*_):
        raise OSError("a block is gone")

    assert pixel_size_of(SimpleNamespace(shape=(30, 30), read=read)) is None


def test_the_colour_of_the_rest_is_that_of_the_red_cells(smear):
    light = measure_light(as_source(smear.image))
    known = as_pixel_size(None, 60)
    picture = Rescaled(as_source(smear.image), light, known.microns / MICRONS)
    rest = colour_of_the_rest(picture)
    assert rest.shape == (3,)
    # red cells let red light through
    assert rest[0] < rest[1]
    bare = np.full((300, 400, 3), 240, np.uint8)
    nothing = Rescaled(as_source(bare), measure_light(as_source(bare)), 0.5)
    assert colour_of_the_rest(nothing) is None


def test_a_picture_without_colour_has_no_colour_of_red_cells(smear):
    grey = np.repeat(smear.image.mean(axis=2, keepdims=True), 3, axis=2)
    source = as_source(grey.astype(np.uint8))
    known = as_pixel_size(None, 60)
    picture = Rescaled(source, measure_light(source), known.microns / MICRONS)
    assert colour_of_the_rest(picture) is None
