"""Time the gallery with many cells, without model: ``python benchmarks/gallery.py``.

Needs a display (``xvfb-run`` does). The figures are processor time of the GUI's
thread, which other programs on the machine hardly change; time on the clock is printed
beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication

from napari_cytodino import load_checkpoint
from napari_cytodino.cells.cells import cells_from_points
from napari_cytodino.images.source import ImageSource
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.uncertainty.predictions import as_predictions
from napari_cytodino.widgets.gallery._order import SORTS
from napari_cytodino.widgets.gallery.panel import GalleryPanel
from napari_cytodino.widgets.session.messages import CellsReading
from napari_cytodino.widgets.session.review_session import ReviewSession
from napari_cytodino.widgets.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 9000
"""Of the image, in pixels."""

PROTOCOL = """\
Protocol
  {cells} cells of {classes} classes in a random image of {side} x {side} px, logits and
  192-wide embeddings drawn at random (seed 0). The view is {width} x {height} px and
  shows {seen} cells of {picture} px. Median of {rounds}, in milliseconds.
  first page: a new panel until it is painted; its pictures: until all are there.
  scroll: a jump to a random place, painted with the pictures that are there by then;
  scroll by a line: the same for a quarter of a line, pictures there.
  sort: choosing an order until it is painted. verdict: one cell given another class
  until the gallery is painted; without record: the gallery's own part of it. bulk and
  its undo: 5,000 cells.
"""


def session_of(cells: int) -> Session:
    """Return a session in which so many cells of a random image are classified."""
    rng = np.random.default_rng(0)
    session = Session()
    session.open_checkpoint(load_checkpoint("starter"))
    assert session.taxonomy is not None
    image = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    spots = rng.uniform(20, SIDE - 20, (cells, 2))
    found = cells_from_points(spots, (SIDE, SIDE), diameter=60)
    session.set_cells(CellsReading(found, ImageSource(image)))
    logits = rng.normal(0, 1, (cells, len(session.taxonomy))).astype(np.float32)
    best = rng.integers(0, len(session.taxonomy), cells)
    logits[np.arange(cells), best] += rng.normal(7, 3, cells)
    embeddings = rng.normal(0, 1, (cells, 192)).astype(np.float16)
    unlike = rng.uniform(0, 1.05, cells).astype(np.float32)
    session.predictions = as_predictions(logits, unlike, embeddings)
    session.rebuild()
    return session


def controller_of(session: Session, folder: Path) -> Any:
    """Return what the panel needs of a controller, with a case that is open."""
    reviewing = ReviewSession(session)
    reviewing.start(ReviewLog.open(folder / "case.sqlite", image="random"), "bench")
    return SimpleNamespace(session=session, review=reviewing)


def panel_of(controller: Any, size: tuple[int, int] = (1600, 900)) -> GalleryPanel:
    """Return a panel on the screen."""
    panel = GalleryPanel(controller)
    panel.resize(*size)
    panel.show()
    return panel


def settle(panel: GalleryPanel, *, pictures: bool = False) -> None:
    """Let everything be painted, with all the pictures in view if wanted."""
    app = QApplication.instance()
    panel.view.viewport().repaint()
    app.processEvents()
    while pictures:
        seen = panel.view.port.rows_in_view().tolist()
        if all(panel.thumbnails.get(row) is not None for row in seen):
            panel.view.viewport().repaint()
            return
        app.processEvents()


Took = tuple[float, float]
"""Milliseconds of the processor, and on the clock."""


def took(*acts: Callable[[], Any]) -> Took:
    """Return how long some things take, one after the other."""
    processor, clock = time.thread_time(), time.perf_counter()
    for act in acts:
        act()
    passed = (time.thread_time() - processor, time.perf_counter() - clock)
    return 1e3 * passed[0], 1e3 * passed[1]


def first_page(controller: Any) -> dict[str, Took]:
    """Return the times of a new panel, and of its pictures."""
    panels: list[GalleryPanel] = []

    def open_() -> None:
        panels.append(panel_of(controller))
        settle(panels[0])

    times = {"first page": took(open_)}
    times["its pictures"] = took(lambda: settle(panels[0], pictures=True))
    panels[0].close()
    return times


def scrolls(panel: GalleryPanel, rng: np.random.Generator) -> dict[str, Took]:
    """Return the times of scroll frames."""
    bar, view = panel.view.verticalScrollBar(), panel.view

    def jump() -> None:
        bar.setValue(int(rng.integers(0, bar.maximum())))
        view.viewport().repaint()

    def step() -> None:
        view.port.scroll_by(bar.singleStep())
        view.viewport().repaint()

    times = {"scroll": took(jump)}
    settle(panel, pictures=True)
    times["pictures of a page"] = took(jump, lambda: settle(panel, pictures=True))
    times["scroll by a line"] = took(step)
    return times


def sorts(panel: GalleryPanel) -> dict[str, Took]:
    """Return the times of choosing each order."""
    panel.selection.one(int(panel.model.order.rows[0]))
    times = {}
    for name in SORTS:
        panel.sort.setCurrentIndex(panel.sort.findData(name))
        times[f"sort by {name}"] = took(panel._sort, panel.view.viewport().repaint)
    return times


def verdicts(panel: GalleryPanel, controller: Any) -> dict[str, Took]:
    """Return the times of a verdict, of a bulk of 5,000, and of its undo."""
    reviewing, view = controller.review, panel.view
    rows = panel.model.order.rows
    row = int(panel.view.port.rows_in_view()[0])
    others = [kind.code for kind in panel.model.known if kind.is_class]
    code = others[(others.index(panel.model.kind_of(row).code) + 1) % len(others)]
    panel.selection.one(row)
    bulk = rows[:5000].tolist()
    paint = view.viewport().repaint
    times = {
        "verdict": took(lambda: reviewing.set_class(code, [row]), paint),
        "verdict, without record": took(
            lambda: panel.updater._verdicts(np.array([row])), paint
        ),
        "bulk of 5,000": took(lambda: reviewing.set_class(code, bulk), paint),
        "its undo": took(reviewing.undo, paint),
    }
    reviewing.undo()
    return times


def main() -> None:
    """Print the protocol and the median of each time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    app = QApplication.instance() or QApplication([])
    session, rng = session_of(args.cells), np.random.default_rng(1)
    assert session.taxonomy is not None
    spent: dict[str, list[Took]] = {}
    with tempfile.TemporaryDirectory() as folder:
        controller = controller_of(session, Path(folder))
        for _ in range(args.rounds):
            found = first_page(controller)
            panel = panel_of(controller)
            settle(panel, pictures=True)
            found |= scrolls(panel, rng) | sorts(panel) | verdicts(panel, controller)
            seen, viewport = len(panel.view.port.rows_in_view()), panel.view.viewport()
            size, picture = viewport.size(), panel.view.port.side
            panel.close()
            for name, value in found.items():
                spent.setdefault(name, []).append(value)
        controller.review.stop()
    print(
        PROTOCOL.format(
            cells=args.cells,
            classes=len(session.taxonomy),
            side=SIDE,
            width=size.width(),
            height=size.height(),
            seen=seen,
            picture=picture,
            rounds=args.rounds,
        )
    )
    for name, values in spent.items():
        processor, clock = np.median(np.array(values), axis=0)
        print(
            f"{name:26} {processor:7.1f} ms of processor, {clock:7.1f} ms on the clock"
        )
    # a worker that still reads must not outlive the application
    QThreadPool.globalInstance().waitForDone()
    app.processEvents()


if __name__ == "__main__":
    main()
