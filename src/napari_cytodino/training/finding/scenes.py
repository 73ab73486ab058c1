"""Real fields and single cells at one scale, from which training pictures are made."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MICRONS = 0.2
"""Size of a pixel of what is read here, in micrometres: twice as fine as trained on."""

RED_CELL = 7.5
"""Diameter of a red cell in micrometres (7 to 8), which gives fields their scale."""

WHITE, RED = 0, 1
"""Kinds of boxed cells; platelets are none."""

SINGLE = {"mll-marrow": 0.086, "pbc-blood": 0.098}
"""Sets of single cells, and micrometres a pixel: lymphocytes have nuclei of 8 um."""

KEPT_APART = 5
"""Each fifth field of a set is not trained on."""


@dataclass(frozen=True)
class Boxed:
    """One boxed cell: its kind, its centre and its sides, in pixels."""

    kind: int
    y: float
    x: float
    height: float
    width: float

    @property
    def diameter(self) -> float:
        """Of the circle as large as the ellipse in the box."""
        return float(np.sqrt(self.height * self.width))


@dataclass(frozen=True)
class Field:
    """A field whose cells are boxed.

    Attributes
    ----------
    rgb : (h, w, 3) uint8 array
    cells : tuple of Boxed
    nuclei : (h, w) bool array
        Nuclei of the white cells.
    background : (3,) array
        Colour of the light where nothing lies.
    """

    rgb: NDArray[np.uint8]
    cells: tuple[Boxed, ...]
    nuclei: NDArray[np.bool_]
    background: NDArray[np.float64]


@dataclass(frozen=True)
class SingleCell:
    """A white cell cut from a picture of one.

    Attributes
    ----------
    rgb : (h, w, 3) uint8 array
        The cell in its middle.
    nucleus : (h, w) bool array
    radius : float
        Of the cell, in pixels.
    origin : str
        The set it is from.
    background : (3,) array
    """

    rgb: NDArray[np.uint8]
    nucleus: NDArray[np.bool_]
    radius: float
    origin: str
    background: NDArray[np.float64]


def read_fields(data: Path, *, kept_apart: bool = False) -> list[Field]:
    """Return the fields that may be trained on, or those kept apart of them.

    Parameters
    ----------
    data : Path
        Folder with `bccd-fields` and `fields-aslan`.
    kept_apart : bool
        Each fifth field, which training does not see.
    """
    found = []
    for boxes in (_bccd(data), _aslan(data)):
        for number, (path, cells) in enumerate(boxes):
            if (number % KEPT_APART == 0) == kept_apart:
                found.append(_field(path, cells))
    return found


def read_single_cells(data: Path, most: int, seed: int) -> list[SingleCell]:
    """Return at most so many cells of each class, with nucleus and radius.

    Cells whose nucleus is not in the middle are left out.
    """
    found = []
    chance = np.random.default_rng(seed)
    for origin, microns in SINGLE.items():
        for folder in sorted(p for p in (data / origin).iterdir() if p.is_dir()):
            paths = sorted(folder.iterdir())
            for index in chance.permutation(len(paths))[:most]:
                with Image.open(paths[index]) as image:
                    rgb = _at_scale(image, microns)
                cell = _single(rgb, origin, chance)
                if cell is not None:
                    found.append(cell)
    return found


def nucleus_in(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the nucleus in the middle of a picture of a white cell.

    Nuclei absorb red light as nothing else in a smear does; Otsu's threshold (1979)
    on that, and the pieces that reach the middle half.
    """
    red = -np.log((rgb[..., 0].astype(np.float32) + 8) / 263)
    red = ndi.gaussian_filter(red, 1.0)
    dark = ndi.binary_opening(red > threshold_otsu(red), iterations=1)
    pieces, _ = ndi.label(dark)
    height, width = dark.shape
    middle = pieces[height // 4 : -(height // 4), width // 4 : -(width // 4)]
    there, sizes = np.unique(middle[middle > 0], return_counts=True)
    if not len(there):
        return np.zeros_like(dark)
    kept = there[sizes > 0.2 * sizes.max()]
    return ndi.binary_fill_holes(np.isin(pieces, kept))


def _single(
    rgb: NDArray[np.uint8], origin: str, chance: np.random.Generator
) -> SingleCell | None:
    height, width = rgb.shape[:2]
    nucleus = nucleus_in(rgb)
    if not 250 < nucleus.sum() < 6000:
        return None
    rows, columns = np.nonzero(nucleus)
    y, x = rows.mean(), columns.mean()
    if max(abs(y - height / 2), abs(x - width / 2)) > 14:
        return None
    reach = np.hypot(rows - y, columns - x).max()
    # cytoplasm adds a third of the nucleus' radius or so, up to cells of 20 um
    radius = max(1.35 * np.sqrt(nucleus.sum() / np.pi), 1.12 * reach)
    radius = float(min(radius, chance.uniform(38, 48)))
    around = int(radius + 7)
    top, left = max(0, int(y) - around), max(0, int(x) - around)
    window = np.s_[top : int(y) + around, left : int(x) + around]
    return SingleCell(rgb[window], nucleus[window], radius, origin, _light(rgb))


def _field(path: Path, cells: list[Boxed]) -> Field:
    width, height = _size(path)
    whole = [
        cell.diameter
        for cell in cells
        if cell.kind == RED
        and min(cell.y, height - cell.y) > 0.55 * cell.height
        and min(cell.x, width - cell.x) > 0.55 * cell.width
    ]
    microns = RED_CELL / np.median(whole) if len(whole) > 3 else 0.073
    if len(whole) <= 3 and width == 256:
        microns = 0.14
    with Image.open(path) as image:
        rgb = _at_scale(image, microns)
    factor = microns / MICRONS
    scaled = tuple(
        Boxed(c.kind, c.y * factor, c.x * factor, c.height * factor, c.width * factor)
        for c in cells
    )
    nuclei = np.zeros(rgb.shape[:2], np.bool_)
    for cell in scaled:
        if cell.kind == WHITE:
            top, left = int(cell.y - cell.height / 2), int(cell.x - cell.width / 2)
            bottom, right = int(cell.y + cell.height / 2), int(cell.x + cell.width / 2)
            window = np.s_[max(0, top) : bottom + 1, max(0, left) : right + 1]
            if min(rgb[window].shape[:2]) > 8:
                nuclei[window] |= nucleus_in(rgb[window])
    return Field(rgb, scaled, nuclei, _light(rgb))


def _light(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    bright = rgb.reshape(-1, 3)
    sums = bright.sum(1)
    return np.asarray(np.median(bright[sums >= np.percentile(sums, 90)], axis=0))


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def _at_scale(image: Image.Image, microns: float) -> NDArray[np.uint8]:
    image = image.convert("RGB")
    sides = [max(1, round(side * microns / MICRONS)) for side in image.size]
    return np.asarray(image.resize((sides[0], sides[1]), Image.Resampling.BOX))


def _bccd(data: Path) -> Iterator[tuple[Path, list[Boxed]]]:
    kinds = {"WBC": WHITE, "RBC": RED}
    names = ("ymin", "xmin", "ymax", "xmax")
    for path in sorted((data / "bccd-fields" / "annotations").glob("*.xml")):
        cells = []
        for entry in re.findall(r"<object>(.*?)</object>", path.read_text(), re.DOTALL):
            words = dict(re.findall(r"<(\w+)>([^<>]+)</", entry))
            if words["name"] in kinds:
                box = [float(words[name]) for name in names]
                cells.append(_boxed(kinds[words["name"]], box))
        yield data / "bccd-fields" / "images" / f"{path.stem}.jpg", cells


def _aslan(data: Path) -> Iterator[tuple[Path, list[Boxed]]]:
    folder = data / "fields-aslan"
    found: dict[str, list[Boxed]] = {}
    with (folder / "annotations.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            width, height = _size(folder / "images" / row["image"])
            sides = zip(
                ("ymin", "xmin", "ymax", "xmax"), (height, width) * 2, strict=True
            )
            box = [float(row[name]) * side for name, side in sides]
            kind = WHITE if row["label"] == "wbc" else RED
            found.setdefault(row["image"], []).append(_boxed(kind, box))
    for name, cells in sorted(found.items()):
        yield folder / "images" / name, cells


def _boxed(kind: int, box: list[float]) -> Boxed:
    top, left, bottom, right = box
    return Boxed(
        kind, (top + bottom) / 2, (left + right) / 2, bottom - top, right - left
    )
