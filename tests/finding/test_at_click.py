"""The cell under a click, or a disc."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_cytodino.common.errors import InputError
from napari_cytodino.finding.at_click import cell_at


def test_a_click_on_a_cell_cuts_it_out(smear):
    y, x = ndi.center_of_mass(smear.labels == 1)
    hit = cell_at(smear.image, y, x, 130)
    assert hit.segmented
    top, left, bottom, right = hit.bbox
    assert top <= y < bottom
    assert left <= x < right
    assert hit.mask.shape == (bottom - top, right - left)
    drawn = smear.labels[top:bottom, left:right] == 1
    assert (hit.mask & drawn).sum() > 0.6 * (hit.mask | drawn).sum()


def test_a_click_on_bare_glass_cuts_a_disc():
    glass = np.full((300, 400, 3), 230, np.uint8)
    bare = cell_at(glass, 250, 350, 50)
    assert not bare.segmented
    assert bare.bbox == (225, 325, 276, 376)
    assert cell_at(glass, 0, 0, 50).bbox == (0, 0, 26, 26)


@pytest.mark.parametrize("place", [(-1, 3), (3, 400), (300, 3)])
def test_a_click_outside_is_refused(place):
    with pytest.raises(InputError, match="outside the image of 300 x 400"):
        cell_at(np.full((300, 400, 3), 230, np.uint8), *place, 50)
