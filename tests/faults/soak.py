"""Use one napari process as a reader does, and say what stays behind.

python -m tests.faults.soak --cycles 200

A cycle opens the next field with its labels, classifies it with the demo checkpoint,
reads it (verdicts by action, a bulk one, undo, redo, one taken back), saves a table,
ends the review and deletes all layers; viewer, docks and gallery stay open, as they
do when somebody works through a folder. With ``--docks`` they are closed and opened
again in each cycle as well. Memory is the resident set after a collection and
``malloc_trim``, so that it is what is held, not what the allocator keeps for later.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

SHAPE, CELLS = (560, 800), 6
WAIT = 600.0
FIRST = 10
"""Cycles after which nothing may grow any more."""


def figures() -> dict[str, int]:
    """Return memory in kB, threads, open files, and objects of ours that are alive."""
    for _ in range(3):
        gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text("ascii").splitlines()
    fields = dict(line.split(":", 1) for line in status)
    return {
        "memory": int(fields["VmRSS"].split()[0]),
        "threads": int(fields["Threads"]),
        "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - no Path is quicker
        "objects": sum(own_objects().values()),
    }


def own_objects() -> Counter[str]:
    """Count what is alive of the plugin's own classes, of Qt widgets and of layers."""
    from napari.layers import Layer
    from qtpy.QtWidgets import QApplication

    kinds = (type(found) for found in gc.get_objects())
    found = Counter(
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in kinds
        if str(kind.__module__).startswith("napari_cytodino")
    )
    layers = [held for held in gc.get_objects() if isinstance(held, Layer)]
    found["napari layers"] = len(layers)
    found["Qt widgets"] = len(QApplication.allWidgets())
    return found


class Reader:
    """Somebody who works through one field after another in one viewer."""

    def __init__(self, folder: Path, *, docks: bool = False) -> None:
        import napari
        from qtpy.QtCore import QThreadPool
        from qtpy.QtWidgets import QApplication

        self.folder, self.again = folder, docks
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(640, 480)
        self.app = QApplication.instance()
        # idle threads of Qt's pool would come and go between two figures
        QThreadPool.globalInstance().setExpiryTimeout(100)
        self.open()

    def open(self) -> None:
        """Open the three docks."""
        add = self.viewer.window.add_plugin_dock_widget
        self.docks = {
            name: add("napari-cytodino", name)
            for name in ("CytoDINO", "CytoDINO review", "CytoDINO gallery")
        }
        self.dock = self.docks["CytoDINO"][1]
        self.review = self.docks["CytoDINO review"][1]
        self.dock.checkpoint.choose("demo")

    def close(self) -> None:
        """Close the docks for good, as their crosses do."""
        for outer, _ in reversed(self.docks.values()):
            outer.destroyOnClose()
        self.docks.clear()
        del self.dock, self.review
        self.rest()

    def rest(self) -> None:
        """Let Qt do what is due."""
        from qtpy.QtCore import QEvent

        for _ in range(5):
            self.app.processEvents()
            self.app.sendPostedEvents(None, QEvent.Type.DeferredDelete)
            time.sleep(0.01)

    def until(self, done: Any) -> None:
        """Let Qt work until something is done."""
        end = time.monotonic() + WAIT
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"nothing came of it in {WAIT} s")
            self.app.processEvents()
            time.sleep(0.005)

    def cycle(self, number: int) -> None:
        """Read one field from opening to deleting it."""
        image = self.classify(number)
        self.read()
        target = self.folder / f"{number}{('.csv', '.geojson', '.xlsx')[number % 3]}"
        self.dock.export.save_table(target)
        self.until(lambda: not self.dock.session.busy)
        if not target.is_file():
            raise RuntimeError(f"{target} was not written")
        self.dock.controller.review.stop()
        self.viewer.layers.clear()
        self.rest()
        if self.again:
            self.close()
            self.open()
        for made in (image, target, *self.folder.glob(f"{image.stem}.*")):
            made.unlink(missing_ok=True)

    def classify(self, number: int) -> Path:
        """Open a field that was never seen before and classify its cells."""
        from PIL import Image

        from napari_cytodino.synthetic.smear import synthetic_smear

        smear = synthetic_smear(SHAPE, CELLS, seed=number)
        path = self.folder / f"field-{number}.png"
        Image.fromarray(smear.image).save(path)
        self.viewer.open(str(path), plugin="napari")
        labels = self.viewer.add_labels(smear.labels, name="cells")
        session = self.dock.session
        session.choose(cells_layer=labels)
        self.until(self.dock.run.classify.isEnabled)
        self.dock.run.classify.click()
        self.until(lambda: not session.busy and not self.dock.controller.case.busy)
        if len(session.table) != len(session.cells):
            raise RuntimeError(f"{len(session.table)} of {len(session.cells)} cells")
        return path

    def read(self) -> None:
        """Give verdicts, undo and redo, take one back."""
        controller, session = self.dock.controller, self.dock.session
        self.review.review.reader.setText("AM")
        self.review.review.start.click()
        codes = session.taxonomy.codes
        for row in range(4):
            session.select(row)
            controller.actions.set_class(codes[row])
            self.rest()
        session.select_many([4, 5])
        controller.actions.not_a_cell()
        for act in ("undo", "redo", "undo", "withdraw"):
            getattr(controller.actions, act)()
            self.rest()
        said = (session.table["reviewed_class"] != "").sum()
        if said != 4:
            raise RuntimeError(f"{said} verdicts of 4")


def soak(cycles: int, first: int, *, docks: bool) -> dict[str, Any]:
    """Return the figures after the first cycles and after all, and what grew."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        reader = Reader(Path(folder), docks=docks)
        said: dict[str, Any] = {}
        began = time.perf_counter()
        for number in range(1, cycles + 1):
            reader.cycle(number)
            if number == first:
                said["first"], before = figures(), own_objects()
            if number % 10 == 0:
                sys.stderr.write(f"{number} {json.dumps(figures())}\n")
        said |= {"last": figures(), "cycles": cycles, "after": first}
        said["seconds"] = round(time.perf_counter() - began, 1)
        said["grown"] = dict(own_objects() - before)
        said["names"] = sorted(thread.name for thread in threading.enumerate())
        reader.viewer.close()
    return said


def surroundings(stack: ExitStack) -> None:
    """Give the process settings of its own and a display where there is none."""
    home = stack.enter_context(tempfile.TemporaryDirectory())
    os.environ["NAPARI_CONFIG"] = f"{home}/settings.yaml"
    os.environ["XDG_DATA_HOME"] = home
    if "DISPLAY" not in os.environ:
        from pyvirtualdisplay import Display

        stack.enter_context(Display(visible=False, size=(1600, 1200)))


def main() -> int:
    """Print the figures; the exit code says whether one grew by more than 5 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--first", type=int, default=FIRST)
    parser.add_argument("--docks", action="store_true", help="close and open them too")
    asked = parser.parse_args()
    with ExitStack() as stack:
        surroundings(stack)
        said = soak(asked.cycles, asked.first, docks=asked.docks)
    sys.stdout.write(json.dumps(said) + "\n")
    names = ("memory", "threads", "files")
    return sum(said["last"][name] > 1.05 * said["first"][name] for name in names)


if __name__ == "__main__":
    sys.exit(main())
