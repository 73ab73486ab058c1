"""Nuclei have the lobes, the bend and the place their class asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from napari_cytodino.synthetic._drawing import disc, make_patch
from napari_cytodino.synthetic._morphology import morphologies
from napari_cytodino.synthetic._nuclei import INSET, draw_nucleus

if TYPE_CHECKING:
    from napari_cytodino.synthetic._morphology import Nucleus
    from napari_cytodino.synthetic._nuclei import NucleusDrawing

RADIUS = 65.0
CODES = [kind.code for kind in morphologies()]
SEEDS = range(9)


def nucleus(code: str, seed: int = 0, style: Nucleus | None = None) -> NucleusDrawing:
    """Draw the nucleus of a class in a round cell of one size."""
    patch = make_patch(RADIUS + 5, 1, 0)
    cell = disc(patch.u, patch.v, (0, 0), RADIUS)
    (kind,) = morphologies([code])
    rng = np.random.default_rng(seed)
    return draw_nucleus(style or kind.nucleus, patch, RADIUS, cell, rng)


def solidity(code: str) -> float:
    """Median share of the convex hull that the nucleus fills."""
    masks = (nucleus(code, seed).coverage > 0.5 for seed in SEEDS)
    return float(
        np.median([regionprops(m.astype(np.uint8))[0].solidity for m in masks])
    )


def lobes(code: str, depth: float) -> list[int]:
    """Count the pieces left when everything thinner than twice the depth is gone."""
    masks = (nucleus(code, seed).coverage > 0.5 for seed in SEEDS)
    return [ndimage.label(ndimage.distance_transform_edt(m) > depth)[1] for m in masks]


@pytest.mark.parametrize("code", CODES)
def test_a_nucleus_stays_inside_its_cell(code: str) -> None:
    patch = make_patch(RADIUS + 5, 1, 0)
    outside = disc(patch.u, patch.v, (0, 0), RADIUS) > 0
    for seed in SEEDS:
        drawn = nucleus(code, seed)
        soft = drawn.coverage[outside].max()
        assert soft < (0.05 if code not in {"KSC"} else 0.5)
        assert np.isfinite(drawn.density).all()
        assert drawn.density.dtype == drawn.coverage.dtype == np.float32


def test_the_inset_keeps_a_rim_of_cytoplasm() -> None:
    patch = make_patch(RADIUS + 5, 1, 0)
    tight = disc(patch.u, patch.v, (0, 0), 20)
    (kind,) = morphologies(["BLA"])
    drawn = draw_nucleus(kind.nucleus, patch, RADIUS, tight, np.random.default_rng(0))
    reach = np.hypot(patch.u, patch.v)[drawn.coverage > 0.5].max()
    assert 20 - INSET - 2 < reach <= 20 - INSET + 0.5


def test_segmented_nuclei_have_more_lobes_than_the_others() -> None:
    segmented, bilobed = lobes("NGS", 9), lobes("EOS", 9)
    assert np.median(segmented) >= 3
    assert set(bilobed) == {2}
    assert set(lobes("LYT", 9)) == {1}


def test_threads_join_the_lobes() -> None:
    for code in ("NGS", "EOS", "OTH"):
        pieces = [
            ndimage.label(nucleus(code, seed).coverage > 0.3, np.ones((3, 3)))[1]
            for seed in SEEDS
        ]
        assert np.median(pieces) == 1, code


def test_nuclei_bend_from_round_over_kidney_to_band() -> None:
    series = [solidity(code) for code in ("MYB", "MMZ", "NGB")]
    assert series[0] > 0.95
    assert series[0] > series[1] + 0.03
    assert series[1] > series[2] + 0.1


def test_a_band_is_even_in_width() -> None:
    depth = ndimage.distance_transform_edt(nucleus("NGB", 3).coverage > 0.5)
    assert depth.max() < 0.3 * RADIUS
    assert set(lobes("NGB", 0.1 * RADIUS)) == {1}


def test_the_plasma_cell_nucleus_is_the_most_eccentric() -> None:
    def offset(code: str) -> float:
        drawn = [nucleus(code, seed) for seed in SEEDS]
        return float(np.median([np.hypot(*one.centre) for one in drawn])) / RADIUS

    assert offset("PLM") > offset("PMO") > offset("BLA")
    assert offset("PLM") > 0.45


def test_a_clock_face_has_its_hours() -> None:
    drawn = nucleus("PLM", 2)
    patch = make_patch(RADIUS + 5, 1, 0)
    u, v = patch.u - drawn.centre[0], patch.v
    ring = abs(np.hypot(u, v) - 0.34 * RADIUS) < 3
    hours = ((np.arctan2(v, u)[ring] + np.pi) / (2 * np.pi) * 72).astype(int) % 72
    stain = drawn.density.sum(2)[ring]
    profile = np.bincount(hours, stain, 72) / np.bincount(hours, minlength=72)
    power = abs(np.fft.rfft(profile - profile.mean()))
    assert power.argmax() in {7, 8, 9}


def test_nucleoli_are_pale_spots() -> None:
    (kind,) = morphologies(["BLA"])
    bare = replace(kind.nucleus, nucleoli=(0, 0))

    def palest(style: Nucleus) -> float:
        shares = []
        for seed in SEEDS:
            drawn = nucleus("BLA", seed, style)
            inner = ndimage.distance_transform_edt(drawn.coverage > 0.5) > 6
            stain = ndimage.gaussian_filter(drawn.density.sum(2), 3)[inner]
            shares.append(stain.min() / np.median(stain))
        return float(np.median(shares))

    assert palest(kind.nucleus) < palest(bare) - 0.1


def test_chromatin_is_finer_in_blasts_than_in_lymphocytes() -> None:
    def coarseness(code: str) -> float:
        values = []
        for seed in SEEDS:
            drawn = nucleus(code, seed)
            inner = ndimage.distance_transform_edt(drawn.coverage > 0.5) > 6
            stain = np.log(drawn.density.sum(2))
            rest = stain - ndimage.gaussian_filter(stain, 2)
            values.append(rest[inner].std() / stain[inner].std())
        return float(np.median(values))

    assert coarseness("BLA") > 1.2 * coarseness("LYT")


def test_a_smudge_has_no_sharp_border() -> None:
    def steepest(code: str) -> float:
        rise = [np.hypot(*np.gradient(nucleus(code, s).coverage)).max() for s in SEEDS]
        return float(np.median(rise))

    assert steepest("KSC") < 0.6 * steepest("LYT")
