"""Measure how well cells are found, at home and abroad: ``finding.py --data DIR``."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from scipy import ndimage as ndi
from scipy.optimize import linear_sum_assignment

from napari_cytodino.finding.find import find_cells, nucleus_mask, search
from napari_cytodino.stats.binomial import wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""Top, left, bottom, right in pixels."""

PROTOCOL = """\
Protocol
  found   a boxed white cell with a label of its own: the centre of the label's box is
          in the cell's, the label is at most 1.5 times as large as that box, and it is
          on the middle of no other boxed cell; one label serves one cell (maximum
          matching). fields-segpc has masks of plasma cells in place of boxes; touching
          ones are one region there, and count once.
  false   labels without a cell, where all white cells of a field are boxed.
  double  labels on the middle of two boxed cells or more, of those on any.
  s/MP    seconds of processor time a megapixel, the diameter estimated.
  kept    bccd and aslan: each fifth field, which the finder was not trained on; the
          rows of both sets without that word hold fields it was trained on.
  scale   estimated size of a pixel over that of the boxed red cells (median diameter
          7.5 um, where 8 or more are whole), fields as they are and resampled.
  Dice    nucleus_mask against the nuclei of wbc-masks and of the BCCD fields, mean.
  raabin, segpc, hemeyolo and both sets of nuclei are for measuring only: nothing is
  fitted to them. Intervals: 95 %, Wilson.
"""

REACH = 0.15
"""Half the side of the middle of a box, in its sides."""


@dataclass
class Score:
    """What was counted over the fields of one set."""

    boxed: bool = True
    fields: int = 0
    cells: int = 0
    found: int = 0
    false: int = 0
    hit: int = 0
    double: int = 0
    worst: int = 0
    seconds: float = 0.0
    pixels: int = 0

    def add(self, boxes: list[Box], labels: NDArray[np.int32], seconds: float) -> None:
        """Count one field."""
        self.fields += 1
        self.seconds += seconds
        self.pixels += labels.size
        self.cells += len(boxes)
        objects = ndi.find_objects(labels)
        areas = np.bincount(labels.ravel(), minlength=len(objects) + 1)[1:]
        middles = [middle(labels, box) for box in boxes]
        on = np.zeros((len(boxes), len(objects)), bool)
        for row, labels_there in enumerate(middles):
            on[row, [label - 1 for label in labels_there]] = True
        many = on.sum(0)
        self.hit += int((many > 0).sum())
        self.double += int((many > 1).sum())
        fits = np.zeros(on.shape, bool)
        for column, (rows, columns) in enumerate(objects):
            y, x = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
            for row, (top, left, bottom, right) in enumerate(boxes):
                inside = top <= y <= bottom and left <= x <= right
                small = areas[column] <= 1.5 * (bottom - top) * (right - left)
                alone = many[column] - on[row, column] == 0
                fits[row, column] = inside and small and alone
        hits = int(fits[linear_sum_assignment(fits, maximize=True)].sum())
        self.found += hits
        false = len(objects) - hits
        self.false += false
        self.worst = max(self.worst, false)

    def row(self, name: str) -> str:
        """Return the line of the table."""
        low, high = wilson(self.found, self.cells)
        cells = [
            f"{name:10s} {self.fields:4d} {self.found:5d}/{self.cells:<5d}",
            f"{100 * self.found / self.cells:5.1f} %",
            f"[{100 * low:.1f}, {100 * high:.1f}]".ljust(13),
            f"{self.false / self.fields:6.2f} ({self.worst:3d})".rjust(12)
            if self.boxed
            else "-".rjust(12),
            f"{100 * self.double / max(1, self.hit):5.1f} %",
            f"{self.seconds / self.pixels * 1e6:6.2f}",
        ]
        return " ".join(cells)


def middle(labels: NDArray[np.int32], box: Box) -> set[int]:
    """Return the labels on the middle of a box."""
    top, left, bottom, right = box
    y, x = (top + bottom) / 2, (left + right) / 2
    dy, dx = REACH * (bottom - top), REACH * (right - left)
    rows = slice(max(0, int(y - dy)), int(y + dy) + 1)
    columns = slice(max(0, int(x - dx)), int(x + dx) + 1)
    return set(np.unique(labels[rows, columns]).tolist()) - {0}


def load(path: Path) -> NDArray[np.uint8]:
    """Return a picture as (H, W, 3) uint8."""
    return np.asarray(Image.open(path).convert("RGB"))


def bccd(data: Path, kind: str = "WBC") -> Iterator[tuple[Path, list[Box]]]:
    """Give the BCCD fields; boxes are Pascal VOC."""
    names = ("ymin", "xmin", "ymax", "xmax")
    for path in sorted((data / "bccd-fields" / "annotations").glob("*.xml")):
        boxes = [
            tuple(float(entry.findtext(f"bndbox/{name}", "0")) for name in names)
            for entry in ElementTree.parse(path).iter("object")
            if entry.findtext("name") == kind
        ]
        yield data / "bccd-fields" / "images" / f"{path.stem}.jpg", boxes


def yolo(data: Path, name: str, wanted: int = 0) -> Iterator[tuple[Path, list[Box]]]:
    """Give fields with YOLO boxes; class 0 are white cells, 1 red ones."""
    for path in sorted((data / name / "images").glob("*.jpg")):
        width, height = Image.open(path).size
        boxes = []
        text = (data / name / "labels" / f"{path.stem}.txt").read_text("utf-8")
        for line in filter(None, text.splitlines()):
            kind, x, y, w, h = (float(value) for value in line.split())
            if kind == wanted:
                boxes.append(
                    (
                        (y - h / 2) * height,
                        (x - w / 2) * width,
                        (y + h / 2) * height,
                        (x + w / 2) * width,
                    )
                )
        yield path, boxes


def aslan(data: Path, kind: str = "wbc") -> Iterator[tuple[Path, list[Box]]]:
    """Give the fields of `fields-aslan`; boxes are fractions in one CSV."""
    found: dict[str, list[Box]] = {}
    folder = data / "fields-aslan"
    with (folder / "annotations.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = folder / "images" / row["image"]
            width, height = Image.open(path).size
            boxes = found.setdefault(row["image"], [])
            if row["label"] == kind:
                box = (float(row[key]) for key in ("ymin", "xmin", "ymax", "xmax"))
                scale = (height, width, height, width)
                boxes.append(tuple(a * b for a, b in zip(box, scale, strict=True)))
    for name, boxes in sorted(found.items()):
        yield folder / "images" / name, boxes


def segpc(data: Path) -> Iterator[tuple[Path, list[Box]]]:
    """Give marrow fields with the boxes of their plasma cells' masks."""
    folder = data / "fields-segpc"
    for path in sorted((folder / "images").glob("*.jpg")):
        mask = np.asarray(Image.open(folder / "masks" / path.name).convert("L")) > 10
        regions, _ = ndi.label(ndi.binary_opening(mask, iterations=2))
        boxes = [
            (float(r.start), float(c.start), float(r.stop), float(c.stop))
            for r, c in ndi.find_objects(regions)
            if min(r.stop - r.start, c.stop - c.start) > 20
        ]
        yield path, boxes


KEPT_APART = 5
"""Each fifth field of `bccd` and `aslan` is not trained on, as `training` has it."""


def kept(read: Callable[[Path], Iterator[tuple[Path, list[Box]]]]) -> Any:
    """Give the fields of a set that are not trained on."""
    return lambda data: list(read(data))[::KEPT_APART]


SETS: dict[str, tuple[bool, Callable[[Path], Iterator[tuple[Path, list[Box]]]]]] = {
    "bccd": (True, bccd),
    "bccd kept": (True, kept(bccd)),
    "raabin": (True, lambda data: yolo(data, "fields-raabin")),
    "aslan": (True, aslan),
    "aslan kept": (True, kept(aslan)),
    "segpc": (False, segpc),
    "hemeyolo": (False, lambda data: yolo(data, "fields-hemeyolo")),
}


def fields(data: Path, names: list[str], most: int) -> None:
    """Print the table, a line a set."""
    print("set      fields found                        false (worst) double   s/MP")
    for name in names:
        boxed, read = SETS[name]
        score = Score(boxed)
        every = list(read(data))
        step = max(1, len(every) // most) if most else 1
        for path, boxes in every[::step]:
            image = load(path)
            start = time.process_time()
            labels = find_cells(image)
            score.add(boxes, labels, time.process_time() - start)
        print(score.row(name), flush=True)


REDS: dict[str, Callable[[Path], Iterator[tuple[Path, list[Box]]]]] = {
    "bccd kept": kept(lambda data: bccd(data, "RBC")),
    "raabin": lambda data: yolo(data, "fields-raabin", 1),
    "aslan kept": kept(lambda data: aslan(data, "rbc")),
}

FACTORS = (0.5, 1.0, 2.0)
"""By which fields are resampled."""


def truth(boxes: list[Box], shape: tuple[int, ...]) -> float | None:
    """Return micrometres a pixel by whole boxed red cells, None with few of them."""
    sides = [
        np.sqrt((bottom - top) * (right - left))
        for top, left, bottom, right in boxes
        if min(top, left) > 2 and bottom < shape[0] - 2 and right < shape[1] - 2
    ]
    return 7.5 / float(np.median(sides)) if len(sides) >= 8 else None


def scales(data: Path, most: int) -> None:
    """Print how near estimated sizes of pixels are."""
    print("scale       resampled  fields   ratio, 10th 50th 90th   within 10 %")
    for name, read in REDS.items():
        every = list(read(data))
        for factor in FACTORS:
            ratios = []
            for path, boxes in every[:: max(1, len(every) // most) if most else 1]:
                image = Image.open(path).convert("RGB")
                known = truth(boxes, (image.size[1], image.size[0]))
                if known is None:
                    continue
                sides = [round(factor * side) for side in image.size]
                rgb = np.asarray(image.resize((sides[0], sides[1])))
                found = next(search(rgb)).pixel_size
                ratios.append(found.microns * factor / known)
            low, middle, high = np.percentile(ratios, [10, 50, 90])
            near = np.mean(np.abs(np.array(ratios) - 1) <= 0.1)
            row = f"{low:.2f} {middle:.2f} {high:.2f}    {100 * near:.0f} %"
            print(f"{name:12s} x {factor:<6g} {len(ratios):6d}   {row}", flush=True)


def large(data: Path) -> None:
    """Print the pace on a picture of 36 megapixels: fields side by side."""
    tile = load(next(bccd(data))[0])[:480, :600]
    picture = np.tile(tile, (12, 10, 1))
    start, wall = time.process_time(), time.perf_counter()
    *_, step = search(picture)
    taken, passed = time.process_time() - start, time.perf_counter() - wall
    millions = picture.size / 3e6
    print(
        f"large       {millions:.0f} megapixels: {taken / millions:.2f} s of processor "
        f"time a megapixel, {passed / millions:.2f} s on the clock; {step.cells} cells"
    )


def nuclei(data: Path, most: int) -> None:
    """Print the Dice of nuclei."""
    bccd = data / "bccd-fields"
    pairs = {
        "wbc-masks": [
            (data / "wbc-masks" / "images" / p.name, p)
            for p in sorted((data / "wbc-masks" / "masks").glob("*.png"))
        ],
        "bccd": [
            (bccd / "images" / f"{p.stem}.jpg", p)
            for p in sorted((bccd / "nucleus-masks").glob("*.png"))
        ],
    }
    for name, both in pairs.items():
        scores = []
        for image, truth in both[:: max(1, len(both) // most) if most else 1]:
            mask = np.asarray(Image.open(truth).convert("L")) == 255
            made = nucleus_mask(load(image))
            scores.append(2 * (made & mask).sum() / max(1, made.sum() + mask.sum()))
        print(f"Dice       {name}: {np.mean(scores):.3f} (n {len(scores)})", flush=True)


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--most", type=int, default=0, help="fields a set; 0: all")
    parser.add_argument("--nuclei", action="store_true", help="the Dice too")
    parser.add_argument("--large", action="store_true", help="the pace as well")
    parser.add_argument("--scale", action="store_true", help="sizes of pixels too")
    given = parser.parse_args()
    sys.stdout.write(PROTOCOL)
    fields(given.data, given.sets.split(","), given.most)
    if given.large:
        large(given.data)
    if given.scale:
        scales(given.data, given.most)
    if given.nuclei:
        nuclei(given.data, given.most)


if __name__ == "__main__":
    main()
