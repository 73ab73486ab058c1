"""Measure place and size of labelled cells: ``python benchmarks/geometry.py``."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.measure import regionprops

from napari_cytodino.cells.cells import cells_from_labels

if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOL = """\
Protocol
  {cells} ellipses in a label image of {side} x {side} px (int32), ids in random order.
  Area, centre and bounding box of each, in one run, alternating, {rounds} rounds, in
  seconds of processor time of one process; all give the same numbers.
  plugin        `cells_from_labels`, which also tells border contact.
  regionprops   a loop over skimage's regionprops: label, bbox, area, centroid.
  find_objects  scipy's find_objects, then the pixels of each id in its box.
"""


def draw_labels(side: int, cells: int) -> np.ndarray:
    """Return ellipses on a grid, ids in random order."""
    rng = np.random.default_rng(0)
    across = int(np.ceil(cells**0.5))
    step = side // across
    y, x = (np.mgrid[:step, :step] - (step - 1) / 2) / (0.36 * step)
    labels, ids = np.zeros((side, side), np.int32), rng.permutation(cells) + 1
    for number, stretch in enumerate(rng.uniform(0.8, 1.2, cells)):
        top, left = (number // across) * step, (number % across) * step
        inside = (y / stretch) ** 2 + (x * stretch) ** 2 < 1
        labels[top : top + step, left : left + step][inside] = ids[number]
    return labels


def plugin(labels: np.ndarray) -> np.ndarray:
    """Return label, area, centre and box as the plugin measures them."""
    cells = cells_from_labels(labels)
    return np.column_stack([cells.label, cells.area, cells.centre, cells.bbox])


def by_regionprops(labels: np.ndarray) -> np.ndarray:
    """Return the same from a loop over regionprops."""
    return np.array(
        [(r.label, r.area, *r.centroid, *r.bbox) for r in regionprops(labels)]
    )


def by_find_objects(labels: np.ndarray) -> np.ndarray:
    """Return the same from a loop over find_objects."""
    rows = []
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        y, x = np.nonzero(labels[box] == label)
        top, left = box[0].start, box[1].start
        centre = y.mean() + top, x.mean() + left
        rows.append((label, len(y), *centre, top, left, box[0].stop, box[1].stop))
    return np.array(rows)


def seconds(work: Callable[[np.ndarray], np.ndarray], labels: np.ndarray) -> float:
    """Return the processor time of one call."""
    start = time.process_time()
    work(labels)
    return time.process_time() - start


def main() -> None:
    """Print protocol, seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(PROTOCOL.format(**vars(given)))
    labels = draw_labels(given.side, given.cells)
    ways = {
        "plugin": plugin,
        "regionprops": by_regionprops,
        "find_objects": by_find_objects,
    }
    want = plugin(labels)
    for way in (by_regionprops, by_find_objects):
        np.testing.assert_allclose(way(labels), want, rtol=1e-9)
    taken = np.array(
        [[seconds(way, labels) for way in ways.values()] for _ in range(given.rounds)]
    )
    figures = {}
    for column, name in enumerate(ways):
        low, middle, high = np.quantile(taken[:, column], [0, 0.5, 1])
        ratio = float(np.median(taken[:, column] / taken[:, 0]))
        print(
            f"{name:13s} {middle:7.3f} s ({low:.3f} to {high:.3f}), {ratio:.1f} x the "
            f"plugin's, n = {given.rounds} rounds of {len(want)} cells"
        )
        figures[f"geometry {name} s"] = float(middle)
        figures[f"geometry {name} to plugin"] = ratio
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
