"""Time what a user does, without model: ``python benchmarks/interaction.py``.

Needs a display (``xvfb-run -a`` makes one). The figures are processor time of the GUI's
thread, which other programs on the machine hardly change; time on the clock is printed
beside it. Verdicts of a whole review are timed by ``benchmarks/review.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

# records and settings made here are nobody's
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")

import napari
import numpy as np
from deciding import calibration
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtWidgets import QApplication
from review import answers

from napari_cytodino import load_checkpoint
from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.images.source import ImageSource
from napari_cytodino.results.colours import class_colours
from napari_cytodino.review.image_fingerprint import fingerprint_pixels
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.uncertainty.calibration import ERROR_RATES
from napari_cytodino.widgets.canvas.result_layers import CLASSES
from napari_cytodino.widgets.commands import open_dock
from napari_cytodino.widgets.session.messages import CellsReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

SIDE, PITCH, RADIUS = 8192, 36, 15
"""Of the image, from cell to cell, and of a cell, in pixels."""

PROTOCOL = """\
Protocol
  {cells} drawn cells of {classes} classes in {side} x {side} px, answers drawn at
  random (seed 0), a real viewer with the dock open; OpenGL by
  {gl}.
  Medians of n, in milliseconds of the GUI thread's processor, (on the clock).
  dock opens: import and show in a fresh process that has napari, without torch.
  recoloured: all cells by another colour mode, until napari has the new picture;
  painted: the same until it is on the canvas. threshold: another accuracy, all numbers
  of the dock included; its picture follows 30 ms later and is "recoloured" again.
  verdict: one cell from the key to the repainted class layer, record on disk.
  card: a click on a classified cell until class, bars and reasons are shown; with the
  cell's picture, which a worker reads.
  napari's way: a second Labels layer with a DirectLabelColormap keyed by cell; all its
  colours changed, or one; alternating with ours in one run, x is the median ratio.
"""

AIMS = {
    "dock opens": 1000,
    "recoloured": 150,
    "threshold": 50,
    "verdict": 16,
    "card": 100,
}
"""Milliseconds that are wanted at most."""

OPEN = """
import sys, time
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
app = QApplication([])
viewer = ViewerModel()
clock, start = time.perf_counter(), time.process_time()
from napari_cytodino.widgets.dock import CytoDinoDock
dock = CytoDinoDock(viewer)
dock.show()
app.processEvents()
spent = time.process_time() - start, time.perf_counter() - clock
assert not {"torch", "transformers", "peft"} & set(sys.modules)
print(*spent)
dock.close()
"""

Took = tuple[float, float]
"""Milliseconds of the processor, and on the clock."""


def took(*acts: Callable[[], object]) -> Took:
    """Return how long some things take, one after the other."""
    processor, clock = time.thread_time(), time.perf_counter()
    for act in acts:
        act()
    passed = (time.thread_time() - processor, time.perf_counter() - clock)
    return 1e3 * passed[0], 1e3 * passed[1]


def dock_opens() -> Took:
    """Return the time of the first dock of a fresh process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OPEN],
        capture_output=True,
        text=True,
        check=True,
    )
    processor, clock = map(float, done.stdout.split())
    return 1e3 * processor, 1e3 * clock


def drawn_labels(cells: int) -> npt.NDArray[np.int32]:
    """Return discs in rows."""
    across = SIDE // PITCH
    if cells > across**2:
        raise SystemExit(f"At most {across**2} cells fit; lower --cells.")
    y, x = np.ogrid[:PITCH, :PITCH]
    disc = (y - PITCH / 2) ** 2 + (x - PITCH / 2) ** 2 <= RADIUS**2
    labels = np.zeros((SIDE, SIDE), np.int32)
    for number in range(cells):
        top, left = PITCH * (number // across), PITCH * (number % across)
        labels[top : top + PITCH, left : left + PITCH][disc] = number + 1
    return labels


class Scene:
    """A viewer with the dock, in which all cells are classified and read."""

    def __init__(self, cells: int, folder: Path) -> None:
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(1400, 900)
        self.dock = open_dock(self.viewer)
        self.controller = self.dock.controller
        self.session = session = self.dock.session
        checkpoint = load_checkpoint("demo")
        found = calibration(checkpoint.taxonomy)
        session.open_checkpoint(
            replace(checkpoint, calibration=found, policy=found.policy())
        )
        self.labels = drawn_labels(cells)
        image = self.viewer.add_image(np.full((SIDE, SIDE, 3), 200, np.uint8))
        layer = self.viewer.add_labels(self.labels, visible=False)
        session.choose(image=image, cells_layer=layer)
        read = cells_from_labels(self.labels)
        self.controller.canvas.place(self.controller.point())
        session.set_cells(
            CellsReading(read, ImageSource(image.data), self.labels, read.bbox)
        )
        session.predictions = answers(cells, len(checkpoint.taxonomy))
        session.rebuild()
        self.controller.run.redraw()
        log = ReviewLog.open(
            folder / "case.sqlite", image=fingerprint_pixels(session.reading.source)
        )
        self.controller.review.start(log, "AM")
        self.rest()

    def paint(self) -> None:
        """Put on the canvas what waits for it."""
        self.viewer.window._qt_viewer.canvas.native.repaint()
        QApplication.processEvents()

    def rest(self) -> None:
        """Let all that was put off happen."""
        end = time.monotonic() + 1
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def recolour(self) -> None:
        """Show the other colour mode."""
        self.session.show(mode="lineage" if self.session.mode == "class" else "class")


def interactions(scene: Scene, rounds: int) -> dict[str, list[Took]]:
    """Return the times of what one does, in the order of the protocol."""
    session, controller = scene.session, scene.controller
    spent: dict[str, list[Took]] = {}
    pick = np.random.default_rng(1).permutation(session.cells_count)
    codes = session.taxonomy.codes
    for turn in range(rounds):
        row = int(pick[turn])
        act = took(scene.recolour)
        spent.setdefault("recoloured", []).append(act)
        paint = took(scene.paint)
        spent.setdefault("painted", []).append((act[0] + paint[0], act[1] + paint[1]))
        risk = ERROR_RATES[turn % len(ERROR_RATES)]
        spent.setdefault("threshold", []).append(
            took(lambda r=risk: session.set_risk(r))
        )
        scene.rest()
        verdict = took(lambda r=row, c=codes[turn % 2]: set_class(controller, c, r))
        spent.setdefault("verdict", []).append(verdict)
        scene.rest()
        for name, times in zip(("card", "with picture"), card(scene, row), strict=True):
            spent.setdefault(name, []).append(times)
    return spent


def set_class(controller: Any, code: str, row: int) -> None:
    """Give one cell a verdict."""
    controller.review.set_class(code, [row])


def card(scene: Scene, row: int) -> tuple[Took, Took]:
    """Return the times from a click until the card is there, and its picture."""
    layer, session = scene.session.image, scene.session
    place = tuple(layer.data_to_world(session.cells.centre[row]))
    pictures: list[object] = []
    scene.controller.clicks.crop.connect(pictures.append)
    processor, clock = time.thread_time(), time.perf_counter()

    def passed() -> Took:
        return 1e3 * (time.thread_time() - processor), 1e3 * (
            time.perf_counter() - clock
        )

    scene.controller.clicks.click(place)
    scene.dock.card.repaint()
    shown = passed()
    assert session.selected_row == row
    while not pictures:
        QApplication.processEvents()
    scene.dock.card.repaint()
    whole = passed()
    scene.controller.clicks.crop.disconnect(pictures.append)
    scene.rest()
    return shown, whole


def obvious_layer(scene: Scene) -> tuple[Any, Iterator[dict[int | None, Any]]]:
    """Return a layer coloured cell by cell, and what to colour it by next."""
    session = scene.session
    by_class = class_colours(session.taxonomy)
    classes = session.table["cell_class"].to_numpy(object)
    numbers = session.cells.label.tolist()

    def colours() -> Iterator[dict[int | None, Any]]:
        turn = 0
        shades = [np.array(colour) for colour in by_class.values()]
        place = {code: i for i, code in enumerate(by_class)}
        while True:
            turn += 1
            chosen: dict[int | None, Any] = {None: np.zeros(4)}
            for number, code in zip(numbers, classes, strict=True):
                chosen[number] = shades[(place[code] + turn) % len(shades)]
            yield chosen

    made = colours()
    layer = scene.viewer.add_labels(
        scene.labels, colormap=DirectLabelColormap(color_dict=next(made)), visible=False
    )
    return layer, made


def beside(scene: Scene, rounds: int) -> dict[str, list[Took]]:
    """Return the times of both ways to change all colours, and one, alternating."""
    obvious, colours = obvious_layer(scene)
    ours = scene.viewer.layers[CLASSES]
    spent: dict[str, list[Took]] = {}
    rows = np.random.default_rng(2).permutation(scene.session.cells_count)

    def all_of_them() -> None:
        obvious.colormap = DirectLabelColormap(color_dict=next(colours))

    def one_of_them() -> None:
        kept = dict(obvious.colormap.color_dict)
        kept[1] = np.random.default_rng(3).random(4)
        obvious.colormap = DirectLabelColormap(color_dict=kept)

    for turn in range(rounds):
        row = rows[turn : turn + 1]
        ways: dict[str, Callable[[], object]] = {
            "all, ours": scene.recolour,
            "all, napari's way": all_of_them,
            "one, ours": lambda r=row: scene.controller.canvas.touch(r),
            "one, napari's way": one_of_them,
        }
        for name, act in ways.items():
            own = name.endswith("ours")
            ours.visible, obvious.visible = own, not own
            scene.paint()
            spent.setdefault(name, []).append(took(act, scene.paint))
    ours.visible, obvious.visible = True, False
    return spent


def report(spent: dict[str, list[Took]]) -> dict[str, float]:
    """Print the medians; return all figures, flat."""
    flat: dict[str, float] = {}
    for name, values in spent.items():
        processor, clock = np.median(np.array(values), axis=0)
        aim = AIMS.get(name)
        met = "met" if aim is None or processor <= aim else "MISSED"
        tail = "" if aim is None else f", aim {aim}: {met}"
        times = f"{processor:8.1f} ({clock:.1f} on the clock)"
        print(f"{name:18} {times}, n={len(values)}{tail}")
        key = name.replace(", ", "_").replace(" ", "_").replace("'", "")
        flat |= {
            f"{key}_cpu_ms": processor,
            f"{key}_ms": clock,
            f"{key}_n": len(values),
        }
    for name in ("all", "one"):
        ours, other = (
            np.array(spent[f"{name}, {way}"]) for way in ("ours", "napari's way")
        )
        ratio = other / ours
        print(
            f"x {name:16} {np.median(ratio[:, 0]):8.1f} of processor, "
            f"{np.median(ratio[:, 1]):.1f} on the clock"
        )
        flat |= {
            f"{name}_x_cpu": np.median(ratio[:, 0]),
            f"{name}_x": np.median(ratio[:, 1]),
        }
    return {name: round(float(value), 3) for name, value in flat.items()}


def main() -> None:
    """Time, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    spent = {"dock opens": [dock_opens() for _ in range(min(5, given.rounds))]}
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(given.cells, Path(folder))
        print(
            PROTOCOL.format(
                cells=f"{given.cells:,}",
                classes=len(scene.session.taxonomy),
                side=SIDE,
                gl=renderer(),
            )
        )
        spent |= interactions(scene, given.rounds)
        spent |= beside(scene, given.rounds)
        figures = report(spent)
        scene.viewer.close()
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def renderer() -> str:
    """Return what draws."""
    from vispy.gloo import gl

    return str(gl.glGetParameter(gl.GL_RENDERER))


if __name__ == "__main__":
    main()
