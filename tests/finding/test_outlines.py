"""Centres and outlines from maps drawn by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cytodino.finding.outlines import (
    THICK,
    Seeds,
    magnified,
    nucleated,
    outline,
    seeds_in,
    unread_in,
)

SHAPE = (80, 100)


def peaks(*places, shape=SHAPE, width=2.0):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    heat = np.zeros(shape, np.float32)
    for y, x, height in places:
        away = (rows - y) ** 2 + (columns - x) ** 2
        heat = np.maximum(heat, height * np.exp(-away / (2 * width**2)))
    return heat


def picture(factor, shape=SHAPE):
    fine = round(shape[0] / factor), round(shape[1] / factor)
    factors = shape[0] / fine[0], shape[1] / fine[1]
    return SimpleNamespace(source=SimpleNamespace(shape=fine), factors=factors)


def logits(*discs):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    away = [np.hypot(rows - y, columns - x) - r for y, x, r in discs]
    return (-np.minimum.reduce(away)).astype(np.float32)


@given(st.floats(12, 60), st.floats(12, 40), st.floats(0.5, 0.99))
def test_a_peak_is_one_centre(x, y, height):
    found = seeds_in(peaks((y, x, height)), np.full(SHAPE, 20.0), 0.4)
    assert len(found) == 1
    assert np.abs(found.at[0] - 0.5 - (y, x)).max() <= 1


def test_weak_peaks_and_the_weaker_of_a_pair_are_left_out():
    heat = peaks((20, 20, 0.9), (20, 26, 0.7), (60, 60, 0.3), (40, 80, 0.8))
    found = seeds_in(heat, np.full(SHAPE, 20.0), 0.4)
    assert found.at.tolist() == [[20.5, 20.5], [40.5, 80.5]]
    assert len(seeds_in(heat, np.full(SHAPE, 10.0), 0.4)) == 3


def test_nothing_is_found_in_nothing():
    assert len(seeds_in(np.zeros(SHAPE, np.float32), np.ones(SHAPE), 0.4)) == 0


@pytest.mark.parametrize("factor", [0.2, 0.5, 1.0, 1.7])
def test_an_outline_is_as_large_as_the_cell_at_any_scale(factor):
    seeds = Seeds(np.array([[40.0, 50.0]]), np.array([24.0]), np.array([0.9]))
    box, mask = outline(picture(factor), logits((40, 50, 12)), seeds, 0, (0, 0, *SHAPE))
    assert mask.sum() * factor**2 == pytest.approx(np.pi * 144, rel=0.06)
    middle = (np.array(box[:2]) + np.array(box[2:])) / 2 * factor
    assert middle == pytest.approx([40, 50], abs=1)


def test_an_outline_is_smooth_at_the_images_resolution():
    seeds = Seeds(np.array([[40.0, 50.0]]), np.array([24.0]), np.array([0.9]))
    _, mask = outline(picture(0.1), logits((40, 50, 12)), seeds, 0, (0, 0, *SHAPE))
    rows = mask.sum(1)
    steps = np.abs(np.diff(rows[rows > 0]))
    # blocks of ten pixels would step by 20 at least
    assert np.median(steps) <= 4


def test_touching_cells_part_halfway_and_share_no_pixel():
    at = np.array([[40.0, 40.0], [40.0, 60.0]])
    seeds = Seeds(at, np.array([24.0, 24.0]), np.array([0.9, 0.9]))
    both = np.zeros(SHAPE, int)
    for row in (0, 1):
        box, mask = outline(
            picture(1.0), logits((40, 40, 12), (40, 60, 12)), seeds, row, (0, 0, *SHAPE)
        )
        both[box[0] : box[2], box[1] : box[3]] += mask
    assert both.max() == 1
    assert both[:, :50].sum() == pytest.approx(both[:, 50:].sum(), rel=0.05)


def test_an_outline_never_runs_far_from_its_centre():
    seeds = Seeds(np.array([[40.0, 50.0]]), np.array([10.0]), np.array([0.9]))
    everywhere = np.ones(SHAPE, np.float32)
    _, mask = outline(picture(1.0), everywhere, seeds, 0, (0, 0, *SHAPE))
    assert mask.sum() <= np.pi * 6.2**2 * 1.1


def test_a_cell_at_the_edge_is_cut_off_there():
    seeds = Seeds(np.array([[1.0, 99.0]]), np.array([24.0]), np.array([0.9]))
    box, mask = outline(picture(0.5), logits((1, 99, 12)), seeds, 0, (0, 0, *SHAPE))
    assert box[0] == 0
    assert box[3] == 200
    assert mask.any()


def test_a_plane_is_magnified_between_its_pixels():
    plane = np.arange(20, dtype=np.float32).reshape(4, 5)
    assert magnified(plane, (0, 0, 4, 5), (4, 5)) == pytest.approx(plane)
    fine = magnified(plane, (1, 1, 3, 3), (8, 8))
    assert fine.shape == (8, 8)
    assert (np.diff(fine, axis=1) >= 0).all()


NONE = Seeds(np.zeros((0, 2)), np.zeros(0), np.zeros(0))


def test_a_heap_without_centres_is_too_thick_to_count():
    heap = logits((40, 50, 34))
    assert unread_in(heap, NONE) == pytest.approx(np.array([[40, 50]]), abs=1)
    assert np.pi * 34**2 > THICK


def test_a_cell_and_what_is_counted_are_not():
    assert not len(unread_in(logits((40, 50, 16)), NONE))
    one = Seeds(np.array([[40.0, 50.0]]), np.array([60.0]), np.array([0.9]))
    assert not len(unread_in(logits((40, 50, 34)), one))
    assert not len(unread_in(-np.ones(SHAPE, np.float32), NONE))


PLAIN = np.ones((*SHAPE, 3), np.float32)


def test_a_centre_without_a_nucleus_is_a_red_cell():
    at = np.array([[20.0, 30.0], [60.0, 70.0], [1.0, 99.0]])
    seeds = Seeds(at, np.full(3, 24.0), np.array([0.9, 0.8, 0.7]))
    nuclei = logits((20, 30, 7), (60, 70, 2), (1, 99, 7))
    kept = nucleated(seeds, nuclei, PLAIN, None)
    assert kept.score.tolist() == [0.9, 0.7]
    assert not len(nucleated(NONE, logits((20, 30, 7)), PLAIN, None))


def test_what_has_the_colour_of_the_red_cells_is_one_of_them():
    at = np.array([[20.0, 30.0], [60.0, 70.0]])
    seeds = Seeds(at, np.full(2, 24.0), np.array([0.9, 0.8]))
    nuclei = logits((20, 30, 7), (60, 70, 7))
    red = np.array([0.1, 0.5, 0.4], np.float32)
    seen = np.tile(red, (*SHAPE, 1))
    seen[50:71, 60:81] = (0.9, 1.2, 0.5)
    assert nucleated(seeds, nuclei, seen, red).score.tolist() == [0.8]
    # darker, but of the same colour
    assert nucleated(seeds, nuclei, 3 * seen, red).score.tolist() == [0.8]
    assert len(nucleated(seeds, nuclei, seen, None)) == 2
