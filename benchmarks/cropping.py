"""Measure cutting and resizing of cells: ``python benchmarks/cropping.py``."""

from __future__ import annotations

import argparse
import json
import time
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import torch
from skimage.measure import regionprops
from skimage.transform import resize

from napari_cytodino.cells.cells import Cells, cells_from_labels
from napari_cytodino.cells.crops import iter_crops
from napari_cytodino.checkpoints.folder import Preprocessing
from napari_cytodino.images.source import ImageSource
from napari_cytodino.inference.classifier import preprocess

if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOL = """\
Protocol
  {cells} cells in {side} x {side} px of 8-bit RGB, a crop of {field} px for each,
  resized to {size} px and normalised; float32, batches of 8; one run, alternating,
  {rounds} rounds, cells a second of processor time, torch on one thread.
  plugin        `iter_crops` and `preprocess`, as in a run, from an array in memory.
  skimage       a loop over regionprops: the padded image sliced at the centroid, and
                skimage.transform.resize with anti-aliasing; the rate of {few} cells.
  Then the crops alone, from a dask array whose chunks of 512 px are decompressed when
  they are needed (zlib), as of a slide:
  lazy plugin   `iter_crops`.
  lazy compute  a loop over cells: slice.compute(); the rate of {few} cells.
"""

SIZE = 256
FIELD = 250
WANT = SimpleNamespace(
    preprocessing=Preprocessing(
        SIZE, FIELD, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    )
)


def draw(side: int, count: int) -> tuple[np.ndarray, np.ndarray, Cells]:
    """Return pixels that do compress, labels of discs on a grid, and their cells."""
    rng = np.random.default_rng(0)
    image = np.kron(
        rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8),
        np.ones((8, 8, 1), np.uint8),
    )
    labels, across = np.zeros(image.shape[:2], np.int32), int(np.ceil(count**0.5))
    step = len(labels) // across
    y, x = np.mgrid[:step, :step] - (step - 1) / 2
    disc = y**2 + x**2 < (0.4 * step) ** 2
    for number in range(count):
        top, left = (number // across) * step, (number % across) * step
        labels[top : top + step, left : left + step][disc] = number + 1
    return image, labels, cells_from_labels(labels)


def compressed(image: np.ndarray, chunk: int = 512) -> da.Array:
    """Return the image as a dask array of compressed chunks."""
    parts = {}
    for i, top in enumerate(range(0, len(image), chunk)):
        for j, left in enumerate(range(0, image.shape[1], chunk)):
            part = image[top : top + chunk, left : left + chunk]
            parts[i, j] = (part.shape, zlib.compress(part.tobytes(), 1))

    def block(block_info: Any) -> np.ndarray:
        shape, data = parts[tuple(block_info[None]["chunk-location"][:2])]
        return np.frombuffer(zlib.decompress(data), np.uint8).reshape(shape)

    rows, columns = (
        tuple(min(chunk, length - at) for at in range(0, length, chunk))
        for length in image.shape[:2]
    )
    return da.map_blocks(
        block, chunks=(rows, columns, (3,)), dtype=np.uint8, meta=np.zeros(0, np.uint8)
    )


def plugin(image: np.ndarray, cells: Cells) -> int:
    """Cut, resize and normalise in batches."""
    for batch in iter_crops(ImageSource(image), cells, FIELD, 8):
        preprocess(batch.pixels, WANT)
    return len(cells)


def by_skimage(image: np.ndarray, labels: np.ndarray, few: int) -> int:
    """Cut and resize cell by cell."""
    half = FIELD // 2
    padded = np.pad(image, ((half, half), (half, half), (0, 0)), "symmetric")
    mean, std = (np.array(v) for v in (WANT.preprocessing.mean, WANT.preprocessing.std))
    for region in regionprops(labels)[:few]:
        y, x = (round(v) for v in region.centroid)
        crop = padded[y : y + FIELD, x : x + FIELD]
        small = resize(crop, (SIZE, SIZE), anti_aliasing=True)
        torch.from_numpy(((small - mean) / std).astype(np.float32)).permute(2, 0, 1)
    return few


def lazy_plugin(lazy: da.Array, cells: Cells) -> int:
    """Cut in batches."""
    for _ in iter_crops(ImageSource(lazy), cells, FIELD, 8):
        pass
    return len(cells)


def by_compute(lazy: da.Array, cells: Cells, few: int) -> int:
    """Cut cell by cell."""
    half = FIELD // 2
    for y, x in np.round(cells.centre[:: max(1, len(cells) // few)]).astype(int):
        lazy[max(y - half, 0) : y + half, max(x - half, 0) : x + half].compute()
    return len(range(0, len(cells), max(1, len(cells) // few)))


def rate(work: Callable[[], int]) -> float:
    """Return cells a second of processor time."""
    start = time.process_time()
    done = work()
    return done / (time.process_time() - start)


def main() -> None:
    """Print protocol, rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(PROTOCOL.format(size=SIZE, field=FIELD, **vars(given)))
    image, labels, cells = draw(given.side, given.cells)
    lazy = compressed(image)
    ways: dict[str, Callable[[], int]] = {
        "plugin": lambda: plugin(image, cells),
        "skimage": lambda: by_skimage(image, labels, given.few),
        "lazy plugin": lambda: lazy_plugin(lazy, cells),
        "lazy compute": lambda: by_compute(lazy, cells, given.few),
    }
    plugin(image, cells.take(np.arange(16)))  # the first use of torch takes longer
    rates = np.array(
        [[rate(way) for way in ways.values()] for _ in range(given.rounds)]
    )
    figures = {}
    for column, name in enumerate(ways):
        low, middle, high = np.quantile(rates[:, column], [0, 0.5, 1])
        print(f"{name:13s} {middle:8.0f} cells/s ({low:.0f} to {high:.0f})")
        figures[f"cropping {name} cells/s"] = float(middle)
    for ours, theirs in ((0, 1), (2, 3)):
        name = f"{list(ways)[ours]} to {list(ways)[theirs]}"
        ratio = np.median(rates[:, ours] / rates[:, theirs])
        print(f"{name}: {ratio:.1f} x, median of n = {given.rounds} rounds")
        figures[f"cropping {name}"] = float(ratio)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
