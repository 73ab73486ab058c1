"""Arrays and image sources behind one door."""

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.finding._readable import Readable, as_source
from napari_cytodino.images.source import ImageSource


def test_an_array_is_read_in_windows():
    array = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    source = as_source(array)
    assert isinstance(source, Readable)
    assert source.shape == (4, 5)
    assert np.array_equal(source.read(1, 2, 3, 4), array[1:3, 2:4])


def test_a_source_in_colour_is_taken_as_it_is():
    source = ImageSource(np.zeros((4, 5, 3), np.uint8))
    assert as_source(source) is source


def test_a_grey_one_is_refused():
    with pytest.raises(InputError, match="grey"):
        as_source(ImageSource(np.zeros((4, 5), np.uint8)))
