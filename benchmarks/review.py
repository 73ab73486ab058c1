"""Time verdicts with many cells, without model: ``python benchmarks/review.py``.

Needs a display (``xvfb-run`` does). The figures are processor time of the GUI's
thread, which other programs on the machine hardly change; time on the clock is printed
beside it. Those of the gallery are printed by ``benchmarks/gallery.py``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

from napari_cytodino import load_checkpoint
from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.images.source import ImageSource
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.uncertainty.predictions import Predictions, as_predictions
from napari_cytodino.widgets.controllers.controller import Controller
from napari_cytodino.widgets.panels.legend_panel import LegendPanel
from napari_cytodino.widgets.review.differential_panel import DifferentialPanel
from napari_cytodino.widgets.review.verdict_panel import ReviewPanel
from napari_cytodino.widgets.session.messages import CellsReading
from napari_cytodino.widgets.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

PITCH, SIDE = 40, 30
"""Distance and side of the square cells, in pixels."""

PROTOCOL = """\
Protocol
  {cells} cells of {classes} classes in a label image of {size} x {size} px, logits
  drawn at random (seed 0); the dock's panels are alive, the viewer has no window.
  Median of {rounds}, in milliseconds.
  verdict: one cell from the key to a repainted class layer, the record on disk, the
  table, the legend and the review panel. record: the part of it on disk.
  at rest: what follows once the reader pauses: all layers and the differential.
  next: the following cell of the queue. bulk and its undo: 5,000 cells.
"""


def bench(cells: int, folder: Path) -> tuple[Controller, list[Any]]:
    """Return a controller in whose session so many cells are classified and read."""
    viewer, session = ViewerModel(), Session()
    session.open_checkpoint(load_checkpoint("starter"))
    across = int(np.ceil(cells**0.5))
    labels = np.zeros((across * PITCH, across * PITCH), np.int32)
    for number in range(cells):
        top, left = PITCH * (number // across) + 5, PITCH * (number % across) + 5
        labels[top : top + SIDE, left : left + SIDE] = number + 1
    image = viewer.add_image(np.zeros((*labels.shape, 3), np.uint8), rgb=True)
    layer = viewer.add_labels(labels)
    session.choose(image=image, cells_layer=layer)
    controller = Controller(viewer, session)
    panels = [kind(controller) for kind in (LegendPanel, ReviewPanel)]
    panels.append(DifferentialPanel(controller))
    found = cells_from_labels(labels)
    controller.canvas.place(controller.point())
    session.set_cells(CellsReading(found, ImageSource(image.data), labels, found.bbox))
    session.predictions = answers(cells, len(session.taxonomy or ()))
    session.rebuild()
    controller.run.redraw()
    log = ReviewLog.open(folder / "case.sqlite", image="benchmark")
    controller.review.start(log, "AM")
    return controller, panels


def answers(cells: int, classes: int) -> Predictions:
    """Return random answers, about a third of them sure."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (cells, classes)).astype(np.float32)
    best = rng.integers(0, classes, cells)
    logits[np.arange(cells), best] += rng.choice([2.0, 5.0, 12.0], cells)
    return as_predictions(logits, np.full(cells, 0.5, np.float32))


def median(act: Callable[[int], object], rounds: int) -> tuple[float, float]:
    """Return processor and clock time of one call, median, in milliseconds."""
    spent = []
    for turn in range(rounds):
        cpu, clock = time.thread_time(), time.perf_counter()
        act(turn)
        spent.append((time.thread_time() - cpu, time.perf_counter() - clock))
    cpu_ms, clock_ms = 1000 * np.median(np.array(spent), axis=0)
    return float(cpu_ms), float(clock_ms)


def measure(controller: Controller, panels: list[Any], rounds: int) -> None:
    """Print all figures."""
    reviewing, actions = controller.review, controller.actions
    session, codes = controller.session, controller.session.taxonomy
    log = reviewing.log
    assert log is not None
    assert codes is not None
    pick = np.random.default_rng(1).permutation(session.cells_count)
    bulk = pick[: min(5000, len(pick))]
    many = max(3, rounds // 10)
    acts: dict[str, tuple[Callable[[int], object], int]] = {
        "record": (
            lambda n: log.record([int(pick[-n - 1])], codes.codes[n % 2], reviewer="X"),
            rounds,
        ),
        "verdict": (
            lambda n: reviewing.set_class(codes.codes[n % 2], [int(pick[n])]),
            rounds,
        ),
        "next": (lambda n: actions.skip(), rounds),
        "bulk": (
            lambda n: reviewing.set_class(codes.codes[n % 2 + 2], bulk.tolist()),
            many,
        ),
        "undo of bulk": (lambda n: reviewing.undo(), many),
        "at rest": (lambda n: (controller.run.redraw(), panels[2].refresh()), many),
    }
    for name, (act, turns) in acts.items():
        cpu, clock = median(act, turns)
        print(f"{name:<13} {cpu:8.1f} ms  ({clock:.1f} on the clock)")


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    app = QApplication.instance() or QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        controller, panels = bench(given.cells, Path(folder))
        labels = controller.session.cells_layer.data
        classes = len(controller.session.taxonomy or ())
        print(
            PROTOCOL.format(
                cells=f"{given.cells:,}",
                classes=classes,
                size=len(labels),
                rounds=given.rounds,
            )
        )
        measure(controller, panels, given.rounds)
        controller.close()
    del app


if __name__ == "__main__":
    main()
