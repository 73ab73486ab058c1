"""Measure the dock over a large lazy slide: ``python benchmarks/pyramid.py``.

Needs a display (``xvfb-run -a`` makes one).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

import dask.array as da
import napari
import numpy as np
import psutil
from memory import CHUNK, EMPTY, draw
from qtpy.QtWidgets import QApplication

from napari_cytodino.widgets.canvas.layers import cells_reader
from napari_cytodino.widgets.canvas.result_layers import CLASSES, ResultLayers
from napari_cytodino.widgets.canvas.transforms import PlanePlacement
from napari_cytodino.widgets.session.appearance import Appearance

PROTOCOL = """\
Protocol
  A real viewer, image and labels (int32) of {side} x {side} px as pyramids of {levels}
  levels, drawn chunk by chunk of {chunk} px when they are needed, {spacing} px from
  cell to cell. "read": the cells found in the labels, as a run begins. "drawn": their
  classes first shown. "recoloured": other classes (random, seed 0) until napari has
  shown them, median of {rounds}, the whole slide in view, then at its own scale.
  Memory is the resident set above that of the viewer with both layers open; its peak
  is asked for every 5 ms. No model runs.
"""

PALETTE = ((0.0, 0.0, 0.0, 0.0), (0.9, 0.6, 0.0, 1.0), (0.3, 0.7, 0.9, 1.0))


def level(side: int, spacing: int, *, colour: bool) -> Any:
    """Return one level of the labels, or of the image, drawn on demand."""
    sides = tuple(min(CHUNK, side - at) for at in range(0, side, CHUNK))

    def part(block_info: Any) -> np.ndarray:
        here = block_info[None]
        ids = draw(here["chunk-location"][:2], here["chunk-shape"][:2], spacing)
        if not colour:
            return ids
        inks = np.where(ids[..., None] > 0, (110, 60, 150), (230, 215, 215))
        return inks.astype(np.uint8)

    chunks: tuple[Any, ...] = (sides, sides, (3,)) if colour else (sides, sides)
    kind = np.uint8 if colour else np.int32
    return da.map_blocks(part, chunks=chunks, dtype=kind, meta=EMPTY.astype(kind))


class Peak:
    """The largest resident set while it watches, in MB above the start."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._start = self._now()
        self.above = 0.0
        self._ended = Event()
        Thread(target=self._watch, daemon=True).start()

    def _now(self) -> float:
        return self._own.memory_info().rss / 2**20

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self.above = max(self.above, self._now() - self._start)


def main() -> None:
    """Print protocol and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--levels", type=int, default=5)
    parser.add_argument("--spacing", type=int, default=144)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(PROTOCOL.format(**vars(given), chunk=CHUNK))
    sizes = [(given.side // 2**k, given.spacing // 2**k) for k in range(given.levels)]
    viewer = napari.Viewer()
    viewer.window.resize(1200, 900)
    image = viewer.add_image([level(*size, colour=True) for size in sizes], rgb=True)
    labels = viewer.add_labels([level(*size, colour=False) for size in sizes])
    QApplication.processEvents()
    figures, peak = {}, Peak()

    begun = time.perf_counter()
    reading = cells_reader(image, labels, viewer.dims.point)(256)
    figures["pyramid read s"] = time.perf_counter() - begun
    drawing, frame = ResultLayers(viewer), PlanePlacement(labels, viewer.dims.point)
    count, rng = len(reading.cells), np.random.default_rng(0)

    def shown() -> float:
        values = rng.integers(1, 3, count).astype(np.uint8)
        look = Appearance(np.arange(count), values, PALETTE, np.full(count, "", object))
        begun = time.perf_counter()
        drawing.draw_labels(labels, reading, look, frame)
        QApplication.processEvents()
        return time.perf_counter() - begun

    figures["pyramid drawn s"] = shown()
    for what, zoom in (("whole", None), ("own scale", 1.0)):
        if zoom is not None:
            viewer.scene.camera.zoom = zoom
            QApplication.processEvents()
            shown()
        times = [shown() for _ in range(given.rounds)]
        figures[f"pyramid recoloured {what} s"] = statistics.median(times)
    figures["pyramid peak MB"] = peak.above
    figures["pyramid cells"] = count
    print(
        f"{count} cells: read {figures['pyramid read s']:.1f} s, drawn "
        f"{figures['pyramid drawn s']:.2f} s, recoloured "
        f"{1000 * figures['pyramid recoloured whole s']:.0f} ms (the whole in view), "
        f"{1000 * figures['pyramid recoloured own scale s']:.0f} ms (own scale); "
        f"{peak.above:.0f} MB above the viewer's; the labels themselves are "
        f"{4 * given.side**2 / 2**20:.0f} MB; '{CLASSES}' holds no pixels"
    )
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    viewer.close()


if __name__ == "__main__":
    main()
