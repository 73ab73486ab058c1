"""Training pictures say of themselves what is on them."""

import numpy as np
import pytest

from napari_cytodino.training.finding.other_pictures import other_pictures
from napari_cytodino.training.finding.patches import SIDE, WIDE, Sources, draw_patch
from napari_cytodino.training.finding.scenes import read_fields, read_single_cells


@pytest.fixture(scope="module")
def sources(data):
    return Sources(
        read_fields(data), read_single_cells(data, 4, 0), other_pictures(8, 0)
    )


@pytest.fixture(scope="module")
def patches(sources):
    chance = np.random.default_rng(0)
    return [draw_patch(sources, chance) for _ in range(120)]


def test_shapes_and_ranges(patches):
    for p in patches:
        assert p.absorbance.shape == (3, SIDE, SIDE)
        assert p.heat.shape == p.size.shape == (2, SIDE, SIDE)
        assert p.nucleus.shape == p.cell.shape == (SIDE, SIDE)
        for plane in (p.heat, p.nucleus, p.cell):
            assert plane.min() >= 0
            assert plane.max() <= 1
        assert np.isfinite(p.absorbance).all()
        assert np.isfinite(p.size).all()
        assert WIDE[0] <= p.octaves <= WIDE[1]


def test_a_number_gives_one_picture(sources):
    one, same, other = (
        draw_patch(sources, np.random.default_rng(s)) for s in (5, 5, 6)
    )
    assert np.array_equal(one.absorbance, same.absorbance)
    assert np.array_equal(one.heat, same.heat)
    assert not np.array_equal(one.absorbance, other.absorbance)


def test_centres_lie_in_cells_and_nuclei_too(patches):
    seen = 0
    for p in patches:
        for y, x in np.argwhere(p.heat[0] == 1):
            seen += 1
            assert p.cell[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max() > 0.5
        assert (p.nucleus[p.cell == 0] < 0.6).all()
    assert seen > 60


def test_sizes_are_those_of_cells_at_the_picture_s_scale(patches):
    for p in patches:
        for kind, microns in ((0, (9, 20)), (1, (7, 8))):
            sizes = 2 ** p.size[kind][p.heat[kind] == 1] * 0.4 * 2**p.octaves
            assert (sizes > 0.9 * microns[0]).all()
            assert (sizes < 1.1 * microns[1]).all()


def test_weights_say_what_is_known(patches):
    weights = np.array([p.weights for p in patches])
    assert set(np.unique(weights)) <= {0, 1}
    assert 0.4 < weights[:, 0].mean() < 0.95
    # what shows no cells has no scale
    strange = weights[:, 4] == 0
    assert 0 < strange.mean() < 0.2
    assert all(not p.heat.any() for p, odd in zip(patches, strange, strict=True) if odd)
