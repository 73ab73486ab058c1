"""The stain of nuclei is told from red cells."""

import numpy as np
import pytest

from napari_cytodino.cells.staining import MIN_STAIN, stain_of

BACKGROUND = np.array([240.0, 225.0, 205.0])


def plain(colour, light=1.0):
    return np.clip(np.full((9, 9, 3), colour) * light, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("light", [1.0, 0.7])
def test_nuclei_are_stained_and_red_cells_and_glass_are_not(light):
    def stain(colour):
        return stain_of(plain(colour, light), light * BACKGROUND)[4, 4]

    assert stain((80, 50, 130)) > 2 * MIN_STAIN
    assert stain((205, 165, 150)) < MIN_STAIN
    assert abs(stain(BACKGROUND)) < 0.05


def test_the_shape_is_the_picture_s():
    found = stain_of(np.zeros((4, 7, 3), np.uint8), BACKGROUND)
    assert found.shape == (4, 7)
    assert found.dtype == np.float32
