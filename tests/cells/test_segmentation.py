"""Finding cells: drawn smears with known positions, and a sample of real ones."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_cytodino.cells import segmentation, staining
from napari_cytodino.cells.segmentation import cell_at, find_cells, nucleus_mask
from napari_cytodino.common.errors import InputError

DATA = Path(__file__).parents[3] / "shared" / "data"
BACKGROUNDS = {
    "cream": (255, 230, 205),
    "grey": (150, 155, 145),
    "white": (250, 248, 252),
    "yellow": (250, 245, 150),
}
NUCLEUS = (0.45, 0.30, 0.60)
RED_CELL = (0.85, 0.72, 0.72)
PLATELET = (0.75, 0.60, 0.80)


def paper(height=300, width=400, background="cream"):
    return np.full((height, width, 3), BACKGROUNDS[background], np.float64)


def disc(canvas, y, x, radius, stain):
    rows, columns = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
    inside = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    canvas[inside] = canvas[0, 0] * np.array(stain)


def shown(canvas):
    noise = np.random.default_rng(0).normal(0, 2, canvas.shape)
    return np.clip(canvas + noise, 0, 255).astype(np.uint8)


def real(name):
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"the folder {folder} is missing")
    return folder


def load(path):
    return np.asarray(Image.open(path).convert("RGB"))


class Source:
    """An image read in parts that remembers how much was asked at once."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.shape = pixels.shape[:2]
        self.largest = 0

    def read(self, top, left, bottom, right):
        self.largest = max(self.largest, (bottom - top) * (right - left))
        return self.pixels[top:bottom, left:right]


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_nuclei_are_found_and_red_cells_and_platelets_are_not(background):
    canvas = paper(background=background)
    for y, x in ((60, 60), (60, 330), (240, 200)):
        disc(canvas, y, x, 25, RED_CELL)
    disc(canvas, 150, 30, 4, PLATELET)
    centres = [(150, 120), (90, 230), (230, 330)]
    for y, x in centres:
        disc(canvas, y, x, 26, NUCLEUS)
    labels = find_cells(shown(canvas))
    assert labels.dtype == np.int32
    assert labels.max() == 3
    assert {labels[centre] for centre in centres} == {1, 2, 3}
    assert labels[60, 60] == labels[150, 30] == 0


@settings(max_examples=15, deadline=None)
@given(
    st.sets(st.integers(0, 11), min_size=1, max_size=8),
    st.integers(14, 26),
    st.sampled_from(sorted(BACKGROUNDS)),
)
def test_every_drawn_nucleus_gets_one_dense_label(places, radius, background):
    canvas = paper(background=background)
    centres = [(50 + 100 * (p // 4), 50 + 100 * (p % 4)) for p in places]
    for y, x in centres:
        disc(canvas, y, x, radius, NUCLEUS)
    labels = find_cells(shown(canvas))
    assert sorted(labels[c] for c in centres) == list(range(1, len(places) + 1))
    assert np.array_equal(np.unique(labels), np.arange(len(places) + 1))
    areas = np.bincount(labels.ravel())[1:]
    assert np.all(np.abs(areas / (np.pi * radius**2) - 1) < 0.15)


def test_lobes_are_one_cell():
    canvas = paper()
    disc(canvas, 150, 200, 45, (0.92, 0.85, 0.92))
    lobes = [(130, 180), (128, 216), (168, 198)]
    for y, x in lobes:
        disc(canvas, y, x, 15, NUCLEUS)
    labels = find_cells(shown(canvas), diameter=90)
    assert [labels[lobe] for lobe in lobes] == [1, 1, 1]


def test_touching_nuclei_are_two_cells():
    canvas = paper()
    disc(canvas, 150, 150, 30, NUCLEUS)
    disc(canvas, 150, 206, 30, NUCLEUS)
    labels = find_cells(shown(canvas), diameter=80)
    assert labels.max() == 2
    assert labels[150, 140] != labels[150, 216]


def test_the_diameter_decides_what_is_too_small():
    canvas = paper()
    disc(canvas, 150, 150, 12, NUCLEUS)
    assert find_cells(shown(canvas), diameter=30).max() == 1
    assert find_cells(shown(canvas), diameter=120).max() == 0


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_where_nothing_is_stained_nothing_is_found(background):
    canvas = paper(background=background)
    assert not find_cells(shown(canvas)).any()
    assert not nucleus_mask(shown(canvas)).any()
    for y, x in ((60, 60), (160, 300), (240, 100)):
        disc(canvas, y, x, 25, RED_CELL)
    assert not find_cells(shown(canvas)).any()


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 5, 3), (1, 300, 3)])
def test_tiny_images_keep_their_shape(shape):
    dark = np.zeros(shape, np.uint8)
    dark[0, 0] = 255
    assert find_cells(dark).shape == shape[:2]
    assert find_cells(dark, diameter=1e5).shape == shape[:2]


def test_a_large_image_is_read_in_tiles_and_cells_on_seams_are_counted_once(
    monkeypatch,
):
    monkeypatch.setattr(segmentation, "TILE", 200)
    canvas = paper(620, 700)
    centres = [(200, 200), (198, 402), (400, 100), (560, 597), (80, 399)]
    for y, x in centres:
        disc(canvas, y, x, 20, NUCLEUS)
    canvas = shown(canvas)
    monkeypatch.setattr(staining, "SAMPLED_WHOLE", 100_000)
    source = Source(canvas)
    labels = find_cells(source, diameter=50)
    assert sorted(labels[c] for c in centres) == [1, 2, 3, 4, 5]
    assert labels.max() == 5
    assert source.largest <= 350**2
    monkeypatch.setattr(segmentation, "TILE", 10_000)
    assert np.array_equal(labels > 0, find_cells(canvas, diameter=50) > 0)


def test_the_mask_is_the_nucleus():
    canvas = paper()
    disc(canvas, 150, 200, 30, (0.92, 0.85, 0.92))
    disc(canvas, 150, 200, 20, NUCLEUS)
    truth = paper()
    disc(truth, 150, 200, 20, (0.0, 0.0, 0.0))
    expected = truth[..., 0] == 0
    mask = nucleus_mask(shown(canvas))
    assert 2 * (mask & expected).sum() / (mask.sum() + expected.sum()) > 0.95


def test_a_click_on_a_nucleus_cuts_it_out_and_elsewhere_a_disc():
    canvas = paper()
    disc(canvas, 100, 120, 20, NUCLEUS)
    image = shown(canvas)
    hit = cell_at(image, 104, 118, 50)
    assert hit.segmented
    assert np.allclose(hit.bbox, (80, 100, 121, 141), atol=3)
    assert hit.mask.shape == (hit.bbox[2] - hit.bbox[0], hit.bbox[3] - hit.bbox[1])
    bare = cell_at(image, 250, 350, 50)
    assert not bare.segmented
    assert bare.bbox == (225, 325, 276, 376)
    assert cell_at(image, 0, 0, 50).bbox == (0, 0, 26, 26)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((20, 30), np.uint8), r"\(20, 30\).*RGB"),
        (np.zeros((20, 30, 4), np.uint8), r"\(20, 30, 4\).*RGB"),
        (np.zeros((20, 30, 3), np.uint16), "uint16.*uint8"),
        (np.full((20, 30, 3), np.nan), "float64, with NaN.*uint8"),
        (np.zeros((0, 30, 3), np.uint8), r"\(0, 30, 3\).*larger"),
        (Source(np.zeros((0, 30, 3), np.uint8)), r"\(0, 30\).*pixels"),
    ],
)
def test_an_unusable_image_is_named_with_its_remedy(image, words):
    for function in (find_cells, nucleus_mask):
        with pytest.raises(InputError, match=words):
            function(image)


@pytest.mark.parametrize("diameter", [0, -3.0, np.nan, np.inf])
def test_an_impossible_diameter_is_named(diameter):
    with pytest.raises(InputError, match=f"diameter is {diameter}"):
        find_cells(shown(paper()), diameter=diameter)


def test_a_click_outside_is_named():
    with pytest.raises(InputError, match=r"y=300.*300 x 400"):
        cell_at(shown(paper()), 300, 10, 50)


def test_real_fields():
    folder = real("bccd-fields")
    boxes = hits = objects = 0
    for path in sorted((folder / "annotations").glob("*.xml"))[5::60]:
        labels = find_cells(load(folder / "images" / f"{path.stem}.jpg"))
        objects += int(labels.max())
        for entry in ElementTree.parse(path).iter("object"):  # noqa: S314
            if entry.findtext("name") == "WBC":
                left, top, right, bottom = (
                    int(entry.findtext(f"bndbox/{name}", "0"))
                    for name in ("xmin", "ymin", "xmax", "ymax")
                )
                boxes += 1
                hits += bool(labels[top:bottom, left:right].any())
    assert boxes >= 6
    assert hits >= boxes - 1
    assert objects <= boxes + 2


def test_real_nuclei():
    folder = real("wbc-masks")
    scores = []
    for path in sorted((folder / "images").glob("*.png"))[::20]:
        truth = np.asarray(Image.open(folder / "masks" / path.name)) == 255
        mask = nucleus_mask(load(path))
        scores.append(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
    assert np.mean(scores) > 0.88


@pytest.mark.parametrize("name", ["mll-marrow", "pbc-blood"])
def test_real_single_cells(name):
    folders = sorted(real(name).iterdir())
    found = [
        find_cells(load(path))[110:140, 110:140].any()
        for folder in folders
        for path in sorted(folder.iterdir())[::300]
    ]
    assert np.mean(found) > 0.85
