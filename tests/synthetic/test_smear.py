"""Smears and crops: exact labels, repeatable, honest about what does not fit."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_cytodino.common.errors import InputError
from napari_cytodino.synthetic._morphology import morphologies
from napari_cytodino.synthetic.smear import Smear, synthetic_crops, synthetic_smear

EIGHT = np.ones((3, 3), bool)


def assert_exact(smear: Smear, n_cells: int) -> None:
    """Check that labels are 1 to n, each in one piece, apart from all others."""
    labels = smear.labels
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(
        np.unique(labels), np.arange(n_cells + 1) if n_cells else [0]
    )
    assert len(smear.codes) == len(smear.centres) == n_cells
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        mine = labels[box] == label
        assert ndimage.label(mine)[1] == 1, f"label {label} is in pieces"
        grown = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        around = labels[grown]
        near = ndimage.binary_dilation(around == label, EIGHT)
        assert set(np.unique(around[near])) <= {0, label}, f"label {label} touches"
    border = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
    assert not any(line.any() for line in border), "a cell is cut by the border"


@pytest.fixture(scope="module")
def smear() -> Smear:
    return synthetic_smear((900, 1100), 21, seed=1)


def test_the_default_smear_shows_every_class() -> None:
    smear = synthetic_smear()
    assert smear.image.shape == (1536, 2048, 3)
    assert smear.image.dtype == np.uint8
    assert_exact(smear, 60)
    counts = Counter(smear.codes)
    assert set(counts) == {kind.code for kind in morphologies()}
    assert max(counts.values()) - min(counts.values()) <= 1


@settings(deadline=None, max_examples=25)
@given(
    height=st.integers(150, 420),
    width=st.integers(150, 420),
    n_cells=st.integers(0, 5),
    scale=st.floats(0.2, 0.5),
    seed=st.integers(0, 2**32),
)
def test_labels_are_exact_at_any_size_number_and_scale(
    height: int, width: int, n_cells: int, scale: float, seed: int
) -> None:
    try:
        smear = synthetic_smear((height, width), n_cells, seed=seed, scale=scale)
    except InputError as error:
        fit = int(re.search(r"only (\d+) do", str(error))[1])
        assert fit < n_cells
        return
    assert smear.image.shape == (height, width, 3)
    assert smear.labels.shape == (height, width)
    assert_exact(smear, n_cells)


def test_centres_are_centres_of_mass(smear: Smear) -> None:
    expected = ndimage.center_of_mass(smear.labels > 0, smear.labels, range(1, 22))
    np.testing.assert_allclose(smear.centres, expected)


def test_the_same_seed_draws_the_same_smear(smear: Smear) -> None:
    again = synthetic_smear((900, 1100), 21, seed=1)
    np.testing.assert_array_equal(again.image, smear.image)
    np.testing.assert_array_equal(again.labels, smear.labels)
    assert again.codes == smear.codes


def test_another_seed_draws_another_smear(smear: Smear) -> None:
    other = synthetic_smear((900, 1100), 21, seed=2)
    assert (other.labels != smear.labels).mean() > 0.1
    assert other.codes != smear.codes


def test_labels_lie_on_the_cells(smear: Smear) -> None:
    green = ndimage.gaussian_filter(smear.image[..., 1].astype(float), 2)
    glass = np.percentile(green, 95)
    # Precipitate is grains on nearly clear glass; all else covers its label.
    for label, code in enumerate(smear.codes, 1):
        stained = (green[smear.labels == label] < glass - 12).mean()
        assert stained > (0.4 if code == "ART" else 0.9), code


def test_the_dark_is_inside_labels(smear: Smear) -> None:
    dark = smear.image[..., 1] < 75
    assert dark.sum() > 10_000
    near = ndimage.binary_dilation(smear.labels > 0, EIGHT, iterations=8)
    # Platelets are the only other thing that takes up as much stain.
    assert dark[~near].sum() < 0.02 * dark.sum()


def test_red_cells_lie_between(smear: Smear) -> None:
    outside = smear.image[smear.labels == 0].astype(float)
    glass = np.percentile(outside, 90, axis=0)
    pink = (outside[:, 1] < glass[1] - 25) & (outside[:, 0] > outside[:, 1] + 15)
    assert 0.15 < pink.mean() < 0.8


def test_chosen_classes_and_weights_are_kept_to() -> None:
    codes = ["LYT", "EBO", "NGS"]
    drawn = synthetic_smear((800, 800), 40, codes=codes, weights=[3, 1, 0], scale=0.5)
    counts = Counter(drawn.codes)
    assert set(counts) == {"LYT", "EBO"}
    assert counts["LYT"] > counts["EBO"]


def test_no_cells_leave_a_smear_of_red_cells() -> None:
    smear = synthetic_smear((200, 300), 0)
    assert_exact(smear, 0)
    assert smear.centres.shape == (0, 2)
    assert smear.image.std() > 5


def test_too_many_cells_name_how_many_fit() -> None:
    with pytest.raises(InputError, match=r"500 cells at scale 1\.0") as error:
        synthetic_smear((600, 600), 500, codes=["LYT"])
    fit = int(re.search(r"only (\d+) do; enlarge", str(error.value))[1])
    assert 8 < fit < 36
    smear = synthetic_smear((600, 600), fit * 3 // 4, codes=["LYT"])
    assert_exact(smear, fit * 3 // 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (8, 400)}, r"\(8, 400\) is too small"),
        ({"n_cells": -1}, "-1 cells"),
        ({"seed": -3}, "seed is -3"),
        ({"scale": 0.01}, "scale is 0.01"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"codes": ["ZZZ"]}, "'ZZZ'"),
        ({"codes": []}, "codes is empty"),
        ({"weights": [1, 2]}, "2 weights were given for 21 classes"),
        ({"codes": ["LYT", "EBO"], "weights": [1, np.nan]}, "finite"),
        ({"codes": ["LYT", "EBO"], "weights": [1, -1]}, "0 or more, not all 0"),
        ({"codes": ["LYT"], "weights": [0]}, "not all 0"),
    ],
)
def test_what_cannot_be_drawn_is_named(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        synthetic_smear(**{"shape": (300, 300), "n_cells": 2, **arguments})


def test_crops_come_class_after_class() -> None:
    images, codes = synthetic_crops(["PLM", "EBO"], 3, size=120, scale=0.48)
    assert images.shape == (6, 120, 120, 3)
    assert images.dtype == np.uint8
    assert codes == ["PLM"] * 3 + ["EBO"] * 3
    for first, second in pairwise(images):
        assert np.abs(first.astype(int) - second).mean() > 3


def test_crops_of_all_classes_are_repeatable() -> None:
    images, codes = synthetic_crops(None, 1, size=64, scale=0.26, seed=4)
    again, _ = synthetic_crops(None, 1, size=64, scale=0.26, seed=4)
    other, _ = synthetic_crops(None, 1, size=64, scale=0.26, seed=5)
    assert codes == [kind.code for kind in morphologies()]
    np.testing.assert_array_equal(images, again)
    assert not np.array_equal(images, other)


def test_no_crops_are_an_empty_stack() -> None:
    images, codes = synthetic_crops(["LYT"], 0)
    assert images.shape == (0, 250, 250, 3)
    assert codes == []


@pytest.mark.parametrize(
    ("per_class", "size", "message"),
    [(-1, 250, "-1 cells"), (1, 3, r"\(3, 3\) is too small")],
)
def test_crops_that_cannot_be_drawn_are_named(
    per_class: int, size: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        synthetic_crops(["LYT"], per_class, size=size)


def dark_areas(images: list[np.ndarray]) -> list[int]:
    """Measure the dark piece that lies in the middle of each crop."""
    areas = []
    for image in images:
        pieces, _ = ndimage.label(ndimage.gaussian_filter(image[..., 1], 2) < 110)
        middle = image.shape[0] // 2
        centre = pieces[middle - 12 : middle + 13, middle - 12 : middle + 13]
        label = np.bincount(centre[centre > 0]).argmax() if centre.any() else -1
        areas.append(int((pieces == label).sum()))
    return areas


def test_the_labelled_cell_is_in_the_middle_of_its_crop() -> None:
    images, _ = synthetic_crops(["LYT"], 12, seed=3)
    areas = np.array(dark_areas(list(images)))
    # Round nuclei of 35 to 50 pixels' radius.
    assert (areas > 2500).all()
    assert (areas < 8500).all()


def test_smear_and_crops_share_their_scale() -> None:
    smear = synthetic_smear((900, 900), 16, codes=["LYT"], seed=2)
    cut = [
        smear.image[y - 60 : y + 60, x - 60 : x + 60]
        for y, x in smear.centres.round().astype(int)
    ]
    whole = [piece for piece in cut if piece.shape[:2] == (120, 120)]
    crops, _ = synthetic_crops(["LYT"], 16, seed=2)
    in_smear, in_crops = (np.median(dark_areas(list(s))) for s in (whole, crops))
    assert in_smear == pytest.approx(in_crops, rel=0.12)


def test_classes_can_be_told_apart_by_simple_colour_and_texture() -> None:
    train, codes = synthetic_crops(None, 10, size=100, scale=0.4, seed=0)
    test, _ = synthetic_crops(None, 4, size=100, scale=0.4, seed=1)

    def describe(images: np.ndarray) -> np.ndarray:
        middle = images[:, 22:78, 22:78].astype(float) / 255
        levels = np.percentile(middle, (5, 15, 30, 45, 60, 80), axis=(1, 2))
        detail = [
            np.abs(np.diff(middle[:, ::step], axis=1)).mean((1, 2)) for step in (1, 3)
        ]
        return np.hstack([*levels, *detail])

    known, asked = describe(train), describe(test)
    spread = known.std(0)
    distance = np.linalg.norm((asked[:, None] - known[None]) / spread, axis=2)
    found = np.array(codes)[distance.argmin(1)]
    right = (found == np.repeat([kind.code for kind in morphologies()], 4)).mean()
    # Chance is 5 %; shape, which this leaves out, tells the rest apart.
    assert right > 0.6
