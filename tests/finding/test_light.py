"""The light of a field is measured and taken out, whatever lies in it."""

import numpy as np
import pytest

from napari_cytodino.finding.light import absorbance_of, measure_light


class Picture:
    def __init__(self, array):
        self.array, self.shape = array, array.shape[:2]

    def read(self, top, left, bottom, right):
        return self.array[top:bottom, left:right]


def field(shape=(300, 400), light=(240, 225, 205), fall=0.0, covered=0.0, seed=0):
    """Bare glass under light that falls off to one corner, cells on a share of it."""
    chance = np.random.default_rng(seed)
    y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    bright = np.array(light) * np.exp(-fall * (y + 0.6 * x + 0.3 * x * x))[..., None]
    image, rows, columns = bright.copy(), *np.ogrid[: shape[0], : shape[1]]
    over = np.zeros(shape, bool)
    while over.mean() < covered:
        cy, cx, radius = chance.uniform(0, shape[0]), chance.uniform(0, shape[1]), 22
        disc = (rows - cy) ** 2 + (columns - cx) ** 2 < radius**2
        image[disc & ~over] *= (0.55, 0.35, 0.75)
        over |= disc
    image = image + chance.normal(0, 2, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), np.minimum(bright, 255), over


def off(image, bright, over):
    light = measure_light(Picture(image))
    rows, columns = (np.arange(n) + 0.5 for n in image.shape[:2])
    left = light.absorbance(np.rint(bright), rows, columns)
    return np.abs(left[~over] if (~over).any() else left)


@pytest.mark.parametrize("covered", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("fall", [0.0, 0.15])
@pytest.mark.parametrize("light", [(240, 225, 205), (110, 95, 70)])
def test_bare_glass_absorbs_nothing(light, fall, covered):
    assert (
        np.quantile(off(*field(light=light, fall=fall, covered=covered)), 0.95) < 0.08
    )


def test_each_channel_has_its_own_light():
    image, *_ = field(light=(250, 180, 120))
    light = measure_light(Picture(image))
    assert np.exp(light.terms[:, 0]) - 8 == pytest.approx([250, 180, 120], abs=4)
    assert light.bright
    assert light.clear > 0.95


def test_a_dark_field_is_not_bright():
    assert not measure_light(Picture(np.full((50, 60, 3), 12, np.uint8))).bright


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (3, 2), (60, 5000)])
def test_any_shape_has_a_light(shape):
    light = measure_light(Picture(np.full((*shape, 3), 200, np.uint8)))
    assert np.isfinite(light.terms).all()
    assert light.level == pytest.approx(200, abs=3)


def test_a_mosaic_larger_than_a_field_has_one_light():
    image = np.full((4200, 300, 3), 230, np.uint8)
    assert not measure_light(Picture(image)).terms[:, 1:].any()


def test_absorbance_is_of_lambert_and_beer():
    one = np.array([[[100, 50, 25]]], np.uint8)
    absorbed = absorbance_of(one, np.array([200.0, 200.0, 200.0]))[0, 0]
    assert absorbed == pytest.approx(
        np.log(208 / np.array([108.0, 58.0, 33.0])), rel=1e-5
    )
