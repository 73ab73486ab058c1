"""Strangers: what they are made of, and that no cell is left in them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.cells.staining import MIN_STAIN, stain_of
from napari_cytodino.common.errors import InputError
from napari_cytodino.training.data.crops import CellFile, CellSet, decode, read_index
from napari_cytodino.training.evaluation.ood_images import (
    BARE,
    CORNER,
    WHAT,
    bccd_fields,
    made_ood_crops,
    non_cells,
    ood_fields,
    wbc_masks,
)

DATA = Path(__file__).parents[4] / "shared" / "data"
CREAM, PURPLE = (250, 230, 205), (110, 60, 160)

BOX = """<object><name>{}</name><pose>x</pose><bndbox>
<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def paper(count: int = 4, side: int = 50) -> np.ndarray:
    """Return crops with a nucleus in the middle and nothing around it."""
    crops = np.full((count, side, side, 3), CREAM, np.uint8)
    crops[:, 15:35, 15:35] = PURPLE
    return crops


def real(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"{DATA / name} is missing")
    return DATA / name


def stained(crops: np.ndarray) -> np.ndarray:
    """Return the share of each crop that has the stain of nuclei."""
    shares = []
    for crop in crops:
        background = np.percentile(crop.reshape(-1, 3), 95, axis=0)
        shares.append((stain_of(crop, background) > MIN_STAIN).mean())
    return np.array(shares)


def test_surroundings_are_a_corner_mirrored() -> None:
    crops = paper()
    crops[:, -1, -1] = 0
    crops[0, 3, 4] = 99
    found = non_cells(crops)
    assert found.shape == crops.shape
    corner = round(CORNER * 50)
    assert np.array_equal(found[0, :corner, :corner], crops[0, :corner, :corner])
    mirrored = found[0, corner : 2 * corner, :corner]
    assert np.array_equal(mirrored, crops[0, :corner, :corner][::-1])
    assert (stained(found) <= BARE).all()


def test_the_corner_without_a_nucleus_is_taken_or_none() -> None:
    crops = paper(2)
    crops[0, :20, :20] = PURPLE
    crops[0, :20, -20:] = PURPLE
    crops[0, -20:, :20] = PURPLE
    for rows in (slice(14), slice(-14, None)):
        for columns in (slice(14), slice(-14, None)):
            crops[1, rows, columns] = PURPLE
    found = non_cells(crops)
    assert len(found) == 1
    assert (found == CREAM).all()
    assert non_cells(crops[1:]).shape == (0, 50, 50, 3)


def cells_of(crops: np.ndarray) -> CellSet:
    files = tuple(CellFile(f"lab/{i}", "") for i in range(len(crops)))
    return CellSet(files, np.zeros(len(crops), int), crops.shape[1], pixels=crops)


def test_made_crops_are_of_the_crops_colours_and_repeat() -> None:
    crops = paper()
    cells = cells_of(crops)
    made = made_ood_crops(cells)
    assert set(made) == {"surroundings", "blank", "out of focus", "shuffled pixels"}
    assert all(v.shape == crops.shape and v.dtype == np.uint8 for v in made.values())
    assert np.abs(made["blank"].astype(int) - CREAM).max() < 15
    before, after = (v[0].reshape(-1, 3) for v in (crops, made["shuffled pixels"]))
    assert Counter(map(tuple, before)) == Counter(map(tuple, after))
    assert not np.array_equal(before, after)
    assert made["out of focus"].std() < 0.7 * crops.std()
    again = made_ood_crops(cells)
    assert all(np.array_equal(made[name], again[name]) for name in made)
    other = made_ood_crops(cells, seed=1)["blank"]
    assert not np.array_equal(other, made["blank"])
    assert set(made) <= set(WHAT)


def test_no_crops_make_no_ood_crops() -> None:
    with pytest.raises(InputError, match="0 crops"):
        made_ood_crops(cells_of(paper(0)))


def write_bccd(root: Path, text: str) -> None:
    for folder in ("images", "annotations"):
        (root / "bccd-fields" / folder).mkdir(parents=True, exist_ok=True)
    field = np.full((300, 400, 3), CREAM, np.uint8)
    field[100:120, 200:220] = PURPLE
    Image.fromarray(field).save(root / "bccd-fields" / "images" / "a.jpg")
    path = root / "bccd-fields" / "annotations" / "a.xml"
    path.write_text(f"<annotation>{text}</annotation>")


def test_boxes_are_cells_at_their_middle(tmp_path: Path) -> None:
    boxes = [("WBC", 200, 100, 220, 120), ("RBC", 0, 0, 20, 10), ("Dust", 1, 1, 2, 2)]
    write_bccd(tmp_path, "".join(BOX.format(*box) for box in boxes))
    one, two = bccd_fields(tmp_path)
    assert (one.code, one.place, one.path) == (
        "WBC", (110, 210), "bccd-fields/images/a.jpg",
    )  # fmt: skip
    assert (two.code, two.place) == ("RBC", (5, 10))
    found = ood_fields(tmp_path, 40)
    assert set(found) == {"white cells, BCCD", "red cells, BCCD"}
    (crop,) = found["white cells, BCCD"]
    assert crop.shape == (44, 44, 3)
    # the nucleus is in the middle, whatever JPEG makes of its edge
    dark = np.argwhere(crop[..., 1] < 120)
    assert dark.mean(axis=0) == pytest.approx([21.5, 21.5], abs=1)


def test_boxes_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    write_bccd(tmp_path, BOX.format("WBC", 1, 2, 3, 4) + "<object></object>")
    with pytest.raises(InputError, match=r"1 boxes of 2 objects .*a\.xml"):
        bccd_fields(tmp_path)


def test_single_cells_are_the_middle_of_their_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "wbc-masks"
    (folder / "images").mkdir(parents=True)
    Image.fromarray(paper(1, 50)[0]).save(folder / "images" / "1.png")
    (folder / "labels.csv").write_text("file,class_name\n1.png,monocyte\n")
    (cell,) = wbc_masks(tmp_path)
    assert (cell.code, cell.place) == ("monocyte", (24.5, 24.5))
    ((name, crops),) = ood_fields(tmp_path, 120).items()
    # 60 pixels are asked of a picture of 50: the rest is mirrored
    assert (name, crops.shape) == ("white cells, wbc-masks", (1, 60, 60, 3))
    assert np.array_equal(crops[0, 5:55, 5:55], paper(1, 50)[0])
    (folder / "labels.csv").write_text("name\n1.png\n")
    with pytest.raises(InputError, match="lacks the columns file and class_name"):
        wbc_masks(tmp_path)


def test_without_other_laboratories_there_are_none(tmp_path: Path) -> None:
    assert ood_fields(tmp_path, 80) == {}


def test_surroundings_of_real_cells_have_no_nucleus() -> None:
    data = real("cells.csv").parent
    files = read_index(data)[::450]
    crops = np.stack([decode(data / f.path, 192, 192) for f in files])
    found = non_cells(crops)
    assert len(found) >= len(crops) / 2
    assert stained(found).max() < 0.05
    assert np.median(stained(crops)) > 0.1


@pytest.mark.slow
def test_cells_of_other_laboratories_are_in_view() -> None:
    data = real("bccd-fields").parent
    real("wbc-masks")
    kinds = Counter(cell.code for cell in bccd_fields(data))
    assert (kinds["WBC"], kinds["RBC"]) == (372, 4155)
    assert len(wbc_masks(data)) == 299
    found = ood_fields(data, 192)
    assert set(found) <= set(WHAT)
    assert {n: c.shape[1] for n, c in found.items()} == {
        "white cells, wbc-masks": 96,
        "white cells, BCCD": 211,
        "red cells, BCCD": 211,
        "platelets, BCCD": 211,
    }
    share = {name: np.median(stained(crops[::10])) for name, crops in found.items()}
    assert share["white cells, BCCD"] > 4 * share["red cells, BCCD"]
    assert share["white cells, wbc-masks"] > 0.1
