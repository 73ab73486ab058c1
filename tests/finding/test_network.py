"""Windows of a picture at another scale, and what the network says of them."""

import pytest

from napari_cytodino.finding._readable import as_source
from napari_cytodino.finding.light import measure_light
from napari_cytodino.finding.network import WEIGHTS, Rescaled, look, network


def rescaled(image, factor):
    source = as_source(image)
    return Rescaled(source, measure_light(source), factor)


@pytest.mark.parametrize("factor", [0.13, 0.25, 0.71, 1.0, 1.6])
def test_a_window_is_a_part_of_the_whole(smear, factor):
    picture = rescaled(smear.image, factor)
    height, width = picture.shape
    assert picture.factors == pytest.approx((factor, factor), rel=0.02)
    whole = picture.absorbance((0, 0, height, width))
    window = (height // 4, width // 3, height // 2, width // 2)
    part = picture.absorbance(window)
    assert part == pytest.approx(
        whole[window[0] : window[2], window[1] : window[3]], abs=0.02
    )


def test_maps_have_the_window_s_shape_whatever_it_is(smear):
    picture = rescaled(smear.image, 0.25)
    for side in (8, 61, 100):
        maps = look(picture, (0, 0, side, side + 3))
        for plane in (maps.white, maps.red, maps.nucleus, maps.cell):
            assert plane.shape == (side, side + 3)
        assert maps.size.shape == (2, side, side + 3)
        assert 0 <= maps.white.min() <= maps.white.max() <= 1


def test_the_weights_are_small_and_ready_once():
    assert WEIGHTS.stat().st_size < 6_000_000
    assert network() is network()
    assert not any(p.requires_grad for p in network().parameters())
