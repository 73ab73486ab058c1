"""Pictures out of distribution: made from test crops, or of another laboratory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_cytodino.cells import MIN_STAIN, crop_side, stain_of
from napari_cytodino.common import InputError
from napari_cytodino.images import read_image
from napari_cytodino.training.data import CellFile, read_crop, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.training.data import CellSet


CORNER = 0.28
"""Side of a corner, as a share of the crop's: it ends before the cell in the middle."""

BARE = 0.02
"""Most of a corner that nuclear stain may cover; platelets reach that."""

MOST = 300
"""Crops that one kind of OOD picture is made from."""

BLUR = 0.12
"""Standard deviation of the blur, as a share of the crop's side: no shape is left."""

WHAT = {
    "surroundings": "corners of test crops without nuclear stain, mirrored to fill the "
    "field of view: background and red cells, no white cell",
    "blank": "the background colour of test crops, with noise of 2 grey levels",
    "out of focus": f"test crops blurred by {BLUR:.0%} of their side",
    "shuffled pixels": "pixels of test crops in random order: colours without shape",
    "white cells, wbc-masks": "single white cells of another hospital, stain and "
    "camera (Zheng et al. 2018); of known kinds, so that accepting one may be right",
    "white cells, BCCD": "white cells of another laboratory's fields; of known kinds, "
    "so that accepting one may be right",
    "red cells, BCCD": "red cells of another laboratory's fields",
    "platelets, BCCD": "platelets of another laboratory's fields",
}
"""What each kind of OOD cell is, for the report."""

RATIOS = {"wbc-masks": 0.5, "bccd-fields": 1.1}
"""Image pixels for one pixel of the blood cells that the starter was trained on: the
median nucleus of a lymphocyte is 45 px wide in wbc-masks, 93 px in pbc-blood; that of
any white cell 106 px in bccd-fields, 92 px in pbc-blood."""

BCCD_KINDS = {"WBC": "white cells", "RBC": "red cells", "Platelets": "platelets"}

_BOX = re.compile(
    r"<object>\s*<name>(\w+)</name>(?:(?!</object>).)*?<xmin>(\d+)</xmin>\s*"
    r"<ymin>(\d+)</ymin>\s*<xmax>(\d+)</xmax>\s*<ymax>(\d+)</ymax>",
    re.DOTALL,
)


def non_cells(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return fields without a white cell, one from each crop that has a bare corner.

    Parameters
    ----------
    pixels : (N, S, S, 3)
        Crops with a cell in the middle; of each the corner with the least nuclear stain
        is taken, at its own scale, and mirrored until it fills a field of view.

    Returns
    -------
    (M, S, S, 3) uint8
        M is at most N: crops with stain in every corner give none.
    """
    side = pixels.shape[1]
    corner = max(1, round(CORNER * side))
    margin = ((0, side - corner), (0, side - corner), (0, 0))
    found = []
    for crop in pixels:
        background = np.percentile(crop.reshape(-1, 3), 95, axis=0)
        stained = stain_of(crop, background) > MIN_STAIN
        corners = [
            (rows, columns)
            for rows in (slice(corner), slice(side - corner, None))
            for columns in (slice(corner), slice(side - corner, None))
        ]
        share, best = min(
            (float(stained[place].mean()), i) for i, place in enumerate(corners)
        )
        if share <= BARE:
            found.append(np.pad(crop[corners[best]], margin, mode="symmetric"))
    return np.stack(found) if found else np.zeros((0, side, side, 3), np.uint8)


def made_ood_crops(cells: CellSet, seed: int = 0) -> dict[str, NDArray[np.uint8]]:
    """Return fields that are no cell, made from test crops, by kind; see `WHAT`.

    Parameters
    ----------
    cells
        At the checkpoint's field of view; `MOST` of them are drawn.
    seed
        Which, and of the noise.

    Returns
    -------
    dict
        (M, S, S, 3) uint8 each; kinds of which there is none are left out.
    """
    if not len(cells):
        raise InputError(
            "There are 0 crops to make pictures out of distribution from; give some."
        )
    rng = np.random.default_rng(seed)
    drawn = cells.read(np.sort(rng.permutation(len(cells))[:MOST]))
    side = drawn.shape[1]
    flat = drawn.reshape(len(drawn), -1, 3)
    paper = np.percentile(flat, 95, axis=1)[:, None, None]
    noise = 2 * rng.standard_normal(drawn.shape)
    spread = (0, BLUR * side, BLUR * side, 0)
    made = {
        "surroundings": non_cells(drawn),
        "blank": np.clip(np.rint(paper + noise), 0, 255).astype(np.uint8),
        "out of focus": ndi.gaussian_filter(drawn, spread),
        "shuffled pixels": np.stack([rng.permutation(crop) for crop in flat]).reshape(
            drawn.shape
        ),
    }
    return {name: crops for name, crops in made.items() if len(crops)}


def ood_fields(data: Path, field_of_view: float) -> dict[str, NDArray[np.uint8]]:
    """Return cells of other laboratories by kind, where their folders are in ``data``.

    Parameters
    ----------
    data
        Folder that may hold ``wbc-masks`` and ``bccd-fields``.
    field_of_view
        Of the checkpoint, in pixels of its training crops; see `RATIOS`.

    Returns
    -------
    dict
        (M, S, S, 3) uint8 each, with S that of the laboratory; at most `MOST` of a
        kind, evenly spaced over the files.

    Raises
    ------
    InputError
        When a picture, its labels or its boxes cannot be read.
    """
    places: dict[str, tuple[list[CellFile], str]] = {}
    if (data / "wbc-masks").is_dir():
        places["white cells, wbc-masks"] = (wbc_masks(data), "wbc-masks")
    if (data / "bccd-fields").is_dir():
        by_kind: dict[str, list[CellFile]] = {name: [] for name in BCCD_KINDS}
        for cell in bccd_fields(data):
            by_kind[cell.code].append(cell)
        for kind, cells in by_kind.items():
            places[f"{BCCD_KINDS[kind]}, BCCD"] = (cells, "bccd-fields")
    found = {}
    for name, (cells, folder) in places.items():
        side = crop_side(field_of_view, RATIOS[folder])
        if cells:
            last, most = len(cells) - 1, min(len(cells), MOST)
            rows = np.linspace(0, last, most).round().astype(int)
            found[name] = np.stack([read_crop(cells[i], data, side) for i in rows])
    return found


def wbc_masks(data: Path) -> list[CellFile]:
    """Return the single cells of ``wbc-masks``, labelled by kind.

    Each is its picture's middle; pictures smaller than the field are mirrored.
    """
    folder = data / "wbc-masks"
    rows = read_rows(folder / "labels.csv")
    if not rows or not {"file", "class_name"} <= set(rows[0]):
        raise InputError(
            f"{folder / 'labels.csv'} lacks the columns file and class_name: fetch the "
            "data set again."
        )
    cells = []
    for row in rows:
        path = f"wbc-masks/images/{row['file']}"
        # a place, unlike none, lets the crop reach beyond the picture
        cells.append(CellFile(path, row["class_name"], place=_middle(data / path)))
    return cells


def _middle(path: Path) -> tuple[float, float]:
    height, width = read_image(path).shape
    return (height - 1) / 2, (width - 1) / 2


def bccd_fields(data: Path) -> list[CellFile]:
    """Return the boxed cells of ``bccd-fields`` by file, each at its box's middle.

    Crops of those at a border are mirrored beyond it.
    """
    return [
        cell
        for path in sorted((data / "bccd-fields" / "annotations").glob("*.xml"))
        for cell in _boxes(path)
    ]


def _boxes(path: Path) -> Iterator[CellFile]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): fetch the data set again."
        ) from error
    boxes = _BOX.findall(text)
    if len(boxes) != text.count("<object>"):
        raise InputError(
            f"{len(boxes)} boxes of {text.count('<object>')} objects can be read in "
            f"{path}: fetch the data set again."
        )
    for kind, *corners in boxes:
        left, top, right, bottom = map(float, corners)
        if kind in BCCD_KINDS:
            place = ((top + bottom) / 2, (left + right) / 2)
            image = f"bccd-fields/images/{path.stem}.jpg"
            yield CellFile(image, kind, place=place)
