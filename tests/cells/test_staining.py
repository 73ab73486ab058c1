"""The stain of nuclei is told from red cells, at any brightness and scale."""

import numpy as np
import pytest

from napari_cytodino.cells.staining import (
    MIN_STAIN,
    estimate_stain,
    nuclei_in,
    stain_of,
)

BACKGROUND = np.array([240.0, 225.0, 205.0])
RED_CELL, NUCLEUS, CYTOPLASM = (205, 165, 150), (80, 50, 130), (190, 185, 205)


class Picture:
    def __init__(self, array):
        self.array, self.shape = array, array.shape[:2]

    def read(self, top, left, bottom, right):
        return self.array[top:bottom, left:right]


def disc(shape, y, x, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def smear(shape=(400, 500), radius=30, light=1.0):
    image = np.empty((*shape, 3))
    image[:] = BACKGROUND
    for y, x in ((70, 70), (300, 90), (100, 400), (330, 420), (200, 60)):
        image[disc(shape, y, x, 35)] = RED_CELL
    for y, x in ((180, 180), (200, 330)):
        image[disc(shape, y, x, radius * 1.5)] = CYTOPLASM
        image[disc(shape, y, x, radius)] = NUCLEUS
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image * light + noise, 0, 255).astype(np.uint8)


def test_nuclei_are_stained_and_red_cells_are_not():
    stain = stain_of(smear(), BACKGROUND)
    assert stain[180, 180] > 2 * MIN_STAIN
    assert stain[70, 70] < MIN_STAIN
    assert abs(stain[10, 250]) < 0.1


@pytest.mark.parametrize("light", [1.0, 0.7])
def test_the_background_is_measured_at_any_brightness(light):
    setting = estimate_stain(Picture(smear(light=light)), None)
    np.testing.assert_allclose(setting.background, light * BACKGROUND, atol=12)


def test_a_given_diameter_is_taken_as_it_is():
    assert estimate_stain(Picture(smear()), 77.0).diameter == 77


def test_the_estimated_diameter_follows_the_scale():
    small = estimate_stain(Picture(smear(radius=22)), None).diameter
    large = estimate_stain(Picture(smear(radius=44)), None).diameter
    assert 22 < small < 130
    assert large > small


def test_where_nothing_is_stained_there_is_no_setting():
    blank = np.full((100, 100, 3), 230, np.uint8)
    assert estimate_stain(Picture(blank), None) is None


def test_the_mask_is_the_nuclei():
    image = smear()
    setting = estimate_stain(Picture(image), 90.0)
    stain = stain_of(image, setting.background)
    mask = nuclei_in(stain, setting.threshold, 90.0)
    truth = disc(image.shape[:2], 180, 180, 30) | disc(image.shape[:2], 200, 330, 30)
    dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
    assert dice > 0.95
