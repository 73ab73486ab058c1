"""Pictures of something else are drawn, in colour, and each is another."""

import numpy as np

from napari_cytodino.training.finding.other_pictures import SIDE, other_pictures


def test_pictures_are_in_colour_and_all_different():
    pictures = other_pictures(8, 0)
    assert len(pictures) == 8
    for number, picture in enumerate(pictures):
        assert picture.shape == (SIDE, SIDE, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 2
        assert not any(np.array_equal(picture, other) for other in pictures[:number])


def test_a_seed_gives_the_same_pictures():
    for one, same in zip(other_pictures(4, 3), other_pictures(4, 3), strict=True):
        assert np.array_equal(one, same)
