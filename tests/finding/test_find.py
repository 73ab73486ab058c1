"""Cells are found, whole and each once, whatever the scale, the light and the tiles."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage as ndi
from skimage import data

from napari_cytodino.common.errors import InputError
from napari_cytodino.finding import find
from napari_cytodino.finding.find import find_cells, nucleus_mask, search


class Source:
    """An image in parts, that remembers the largest one."""

    def __init__(self, pixels):
        self.pixels, self.shape, self.largest = pixels, pixels.shape[:2], 0

    def read(self, top, left, bottom, right):
        self.largest = max(self.largest, (bottom - top) * (right - left))
        return self.pixels[top:bottom, left:right]


def hits(smear, labels):
    """Return the share of drawn cells with a label of their own, and false labels."""
    drawn = range(1, smear.labels.max() + 1)
    middles = [
        tuple(int(v) for v in c)
        for c in ndi.center_of_mass(smear.labels > 0, smear.labels, drawn)
    ]
    there = [labels[m] for m in middles]
    own = [label for label in there if label and there.count(label) == 1]
    return len(own) / len(there), labels.max() - len(set(there) - {0})


def test_drawn_cells_are_found_and_red_cells_and_platelets_are_not(smear):
    labels = find_cells(smear.image)
    assert labels.dtype == np.int32
    assert labels.shape == smear.labels.shape
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
    found, false = hits(smear, labels)
    assert found >= 0.9
    assert false <= 1


def test_a_label_is_the_whole_cell(smear):
    labels = find_cells(smear.image)
    overlap = []
    for label in range(1, smear.labels.max() + 1):
        drawn = smear.labels == label
        there = labels[drawn]
        if there.any():
            own = labels == np.bincount(there[there > 0]).argmax()
            overlap.append((own & drawn).sum() / (own | drawn).sum())
    assert np.median(overlap) > 0.7


@pytest.mark.parametrize("factor", [0.5, 0.75])
def test_the_scale_of_the_picture_does_not_matter(smear, factor):
    image = Image.fromarray(smear.image)
    small = np.asarray(image.resize([round(factor * s) for s in image.size]))
    labels = find_cells(small)
    assert labels.max() == pytest.approx(find_cells(smear.image).max(), abs=1)


def test_dim_and_uneven_light_does_not_matter(smear):
    rows, columns = np.mgrid[
        -1 : 1 : smear.image.shape[0] * 1j, -1 : 1 : smear.image.shape[1] * 1j
    ]
    light = np.exp(-0.15 * rows - 0.2 * columns)[..., None] * (0.42, 0.38, 0.30)
    found, false = hits(smear, find_cells((smear.image * light).astype(np.uint8)))
    assert found >= 0.8
    assert false <= 1


def test_marrow_of_a_laboratory_that_was_not_trained_on(marrow):
    assert marrow.alone(find_cells(marrow.rgb)).mean() >= 0.8


def test_blood_of_a_laboratory_that_was_not_trained_on(blood):
    labels = find_cells(blood.rgb)
    assert blood.alone(labels).all()
    # a thick red cell without pallor may pass for one
    assert labels.max() <= len(blood.centres) + 1


def test_the_tiles_do_not_matter(smear, monkeypatch):
    whole = find_cells(smear.image, pixel_size=0.1)
    monkeypatch.setattr(find, "TILE", 64)
    tiled = find_cells(smear.image, pixel_size=0.1)
    assert tiled.max() == whole.max()
    assert ((tiled > 0) != (whole > 0)).mean() < 1e-4


def test_a_large_picture_is_read_in_parts(smear, monkeypatch):
    monkeypatch.setattr(find, "TILE", 64)
    monkeypatch.setattr("napari_cytodino.finding.light.LARGEST_FIELD", 700)
    monkeypatch.setattr("napari_cytodino.finding.light.SAMPLE", 256)
    wide = Source(np.tile(smear.image[:384], (1, 6, 1)))
    steps = list(search(wide, pixel_size=0.1))
    assert [s.done for s in steps] == list(range(len(steps)))
    assert steps[-1].done == steps[-1].total > 20
    assert [s.cells for s in steps] == sorted(s.cells for s in steps)
    assert wide.largest < wide.pixels.size / 3 / 4


def test_more_sensitivity_finds_no_fewer_cells(smear):
    counts = [
        find_cells(smear.image, pixel_size=0.1, sensitivity=s).max()
        for s in (0.1, 0.5, 0.95)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


@pytest.mark.parametrize("level", [255, 200, 90])
def test_bare_glass_holds_nothing(level):
    chance = np.random.default_rng(0)
    glass = np.clip(chance.normal(level, 3, (300, 400, 3)), 0, 255).astype(np.uint8)
    assert not find_cells(glass).any()
    assert not nucleus_mask(glass).any()


@pytest.mark.parametrize("name", ["coffee", "retina", "immunohistochemistry", "cat"])
def test_pictures_of_something_else_hold_next_to_nothing(name):
    assert find_cells(np.ascontiguousarray(getattr(data, name)()[..., :3])).max() <= 2


def test_a_dark_field_is_refused():
    with pytest.raises(InputError, match="background of this picture is dark"):
        find_cells(np.full((60, 80, 3), 9, np.uint8))


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 5, 3), (1, 300, 3), (70, 9, 3)])
def test_tiny_pictures_keep_their_shape(shape):
    bright = np.full(shape, 230, np.uint8)
    assert find_cells(bright).shape == shape[:2]
    assert find_cells(bright, diameter=1e5).shape == shape[:2]


def test_nuclei_lie_in_cells(smear):
    mask = nucleus_mask(smear.image)
    assert mask.shape == smear.labels.shape
    assert (mask & (smear.labels > 0)).sum() > 0.95 * mask.sum()
    assert mask.sum() > 0.2 * (smear.labels > 0).sum()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((20, 30), np.uint8), r"\(20, 30\).*RGB"),
        (np.zeros((20, 30, 4), np.uint8), r"\(20, 30, 4\).*RGB"),
        (np.zeros((20, 30, 3), np.uint16), r"uint16.*uint8"),
        (np.full((20, 30, 3), np.nan), r"float64, with NaN.*uint8"),
        (np.zeros((0, 30, 3), np.uint8), r"\(0, 30, 3\).*larger"),
        (Source(np.zeros((0, 30, 3), np.uint8)), r"\(0, 30\).*pixels"),
    ],
)
def test_what_is_no_picture_is_named(image, words):
    for function in (find_cells, nucleus_mask):
        with pytest.raises(InputError, match=words):
            function(image)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"sensitivity": 0}, "sensitivity is 0"),
        ({"sensitivity": 1.0}, "sensitivity is 1.0"),
        ({"diameter": -3}, "diameter is -3"),
        ({"diameter": float("nan")}, "diameter is nan"),
        ({"pixel_size": 30.0}, "pixel size is 30.0"),
    ],
)
def test_what_is_no_number_for_it_is_named(words, sentence):
    with pytest.raises(InputError, match=sentence):
        find_cells(np.full((20, 30, 3), 230, np.uint8), **words)


def test_a_step_is_said_in_words(smear):
    *_, last = search(smear.image, pixel_size=0.1)
    assert str(last).startswith(f"{last.cells} cells, about ")
    assert str(last).endswith("0.1 µm a pixel, given")


def test_a_heap_is_told_by_its_middle_in_pixels_of_the_image(monkeypatch, smear):
    """Where no centre is sure, the stained region is one heap."""
    from napari_cytodino.finding import find

    monkeypatch.setattr(find, "unread_in", lambda *_: np.array([[50.0, 80.0]]))
    *_, step = search(smear.image, pixel_size=0.1)
    assert len(step.thick) == 1
    assert step.thick[0] == pytest.approx((200, 320), abs=4)
    assert "1 region is too thick to count" in str(step)
