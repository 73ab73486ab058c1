"""Make the pictures of the documentation from the real viewer.

Run from the repository's top, on a display or a virtual one::

    xvfb-run -a -s "-screen 0 1920x1200x24" python docs/pictures.py

Real fields are read from ``../shared/data/bccd-fields``, real cells from ``pbc-blood``
beside it; where they are missing, only the SYNTHETIC pictures are made.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

# records of reviews made here are nobody's
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_cytodino.synthetic.smear import synthetic_smear
from napari_cytodino.widgets.canvas.layers import CROPS
from napari_cytodino.widgets.canvas.result_layers import FOUND
from napari_cytodino.widgets.commands import DOCK, PLUGIN, open_dock

if TYPE_CHECKING:
    from collections.abc import Callable

OUT = Path(__file__).parent / "images"
FIELDS = Path(__file__).parents[2] / "shared" / "data" / "bccd-fields" / "images"
CELLS = FIELDS.parents[1] / "pbc-blood"
SIZE = (1440, 960)
"""Of the window, in pixels."""

LARGEST = 600_000
"""Bytes of a picture above which it is stored with 256 colours."""


def pump(seconds: float = 0.3) -> None:
    """Let the window draw."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def wait(dock: Any) -> None:
    """Wait for the worker."""
    while dock.session.busy:
        pump(0.1)
    pump()


def shoot(viewer: Any, name: str) -> None:
    """Save the window."""
    pump(0.6)
    OUT.mkdir(exist_ok=True)
    pixels = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    path = OUT / f"{name}.png"
    picture.save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        # Maximum coverage keeps the rare colours of the legend.
        few = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=1)
        few.save(path, optimize=True)
    print(f"{path} {path.stat().st_size // 1024} KB")


def show(theme: str, image: np.ndarray, name: str) -> tuple[Any, Any]:
    """Open a viewer with an image and the dock."""
    viewer = napari.Viewer(show=True, title="CytoDINO")
    viewer.theme = theme
    viewer.window.resize(*SIZE)
    pump()
    viewer.add_image(image, name=name)
    return viewer, open_dock(viewer)


def fit(viewer: Any) -> None:
    """Fill the canvas with the image."""
    pump(0.5)
    viewer.reset_view(margin=0.01)


def look_at(dock: Any, row: int) -> None:
    """Click the middle of a cell."""
    y, x = dock.session.cells.centre[row]
    layer = dock.session.image
    dock.controller.clicks.click(tuple(layer.data_to_world((y, x))))
    pump(1.0)


def real_field(theme: str, field: Path) -> None:
    """Find and classify the cells of a real field with the starter."""
    viewer, dock = show(theme, np.asarray(Image.open(field)), field.stem)
    dock.checkpoint.choose("starter")
    dock.controller.find()
    wait(dock)
    dock.controller.classify()
    wait(dock)
    viewer.layers[FOUND].visible = False
    look_at(dock, dock.session.cells_count - 1)
    fit(viewer)
    shoot(viewer, f"field-{theme}")
    viewer.close()


def synthetic(theme: str, mode: str) -> None:
    """Classify a drawn smear with the demo checkpoint."""
    smear = synthetic_smear((1000, 1240), 34, seed=11)
    viewer, dock = show(theme, smear.image, "SYNTHETIC smear")
    labels = viewer.add_labels(smear.labels, name="cells", visible=False)
    dock.checkpoint.choose("demo")
    dock.session.choose(cells_layer=labels)
    dock.controller.classify()
    wait(dock)
    dock.legend.mode.setCurrentText(mode)
    flagged = np.flatnonzero(dock.session.table["status"] != "auto")
    look_at(dock, int(flagged[0]) if len(flagged) else 0)
    fit(viewer)
    shoot(viewer, f"synthetic-{theme}-{mode}")
    viewer.close()


def reading(theme: str, *, gallery: bool) -> None:
    """Read a drawn smear: some verdicts, the review dock, and the gallery below."""
    smear = synthetic_smear((1400, 1700), 72, seed=5)
    viewer = napari.Viewer(show=True, title="CytoDINO")
    viewer.theme = theme
    viewer.window.resize(SIZE[0], SIZE[1] + 200 * gallery)
    # a review lies beside the file of its image
    path = Path(tempfile.mkdtemp()) / "SYNTHETIC smear.png"
    Image.fromarray(smear.image).save(path)
    viewer.open(str(path), plugin="napari")
    dock = open_dock(viewer)
    labels = viewer.add_labels(smear.labels, name="cells", visible=False)
    dock.checkpoint.choose("demo")
    dock.session.choose(cells_layer=labels)
    dock.controller.classify()
    wait(dock)
    _, review = viewer.window.add_plugin_dock_widget(PLUGIN, f"{DOCK} review")
    while dock.controller.case.busy:
        pump(0.1)
    review.review.reader.setText("A. Meyer")
    review.review.case.setText("M-2026-014")
    review.review.begin()
    actions = dock.controller.actions
    actions.skip()
    for _ in range(2):
        actions.accept()
        pump(0.3)
    if gallery:
        viewer.window.add_plugin_dock_widget(PLUGIN, f"{DOCK} gallery")
    pump(4.0)
    shoot(viewer, f"{'gallery' if gallery else 'review'}-{theme}")
    viewer.close()


def dim_cells(count: int) -> tuple[np.ndarray, list[str]]:
    """Return cells of PBC blood under a lamp that is dim and yellow, and their classes.

    Acevedo et al. 2020, CC BY 4.0; the light is changed here, in code.
    """
    chance = np.random.default_rng(7)
    found = [
        (path, code)
        for code in ("BAS", "EOS", "LYT", "MON", "NGS")
        for path in sorted((CELLS / code).iterdir())[: count // 5]
    ]
    crops = []
    for path, _ in found:
        pixels = np.asarray(Image.open(path).convert("RGB"), float)[29:221, 29:221]
        dim = 255 * (pixels / 255) ** 1.3 * (0.55, 0.42, 0.2)
        crops.append(np.clip(dim + chance.normal(0, 4, dim.shape), 0, 255))
    order = chance.permutation(len(found))
    stack = np.stack(crops)[order].astype(np.uint8)
    return stack, [found[i][1] for i in order]


def teaching(theme: str) -> None:
    """Teach the starter 25 cells of another light, and draw the map."""
    stack, codes = dim_cells(150)
    viewer, dock = show(theme, stack, "blood under a dim lamp")
    dock.checkpoint.choose("starter")
    dock.session.choose(cells_layer=CROPS)
    dock.controller.classify()
    wait(dock)
    session, controller = dock.session, dock.controller
    _, review = viewer.window.add_plugin_dock_widget(PLUGIN, f"{DOCK} review")
    while controller.case.busy:
        pump(0.1)
    review.review.reader.setText("A. Meyer")
    review.review.begin()

    def right() -> str:
        said = [session.taxonomy.codes[best] for best in session.probabilities.best]
        return f"{np.mean([s == c for s, c in zip(said, codes, strict=True)]):.3f}"

    before = right()
    review.teaching.teach.click()
    while controller.teaching.asking:
        controller.actions.set_class(codes[session.selected_row])
        pump(0.05)
    print(f"right of {len(codes)}: {before} before, {right()} after 25 verdicts")
    _, gallery = viewer.window.add_plugin_dock_widget(PLUGIN, f"{DOCK} gallery")
    gallery.tabs.setCurrentWidget(gallery.map)
    gallery.map.draw_map.click()
    pump(4.0)
    session.select(int(np.flatnonzero(session.table["reviewed_class"] != "")[0]))
    controller.canvas.fly_to_selected()
    review.column.verticalScrollBar().setValue(review.teaching.y() - 40)
    shoot(viewer, f"teach-{theme}")
    viewer.close()


def main(wanted: list[str]) -> None:
    """Make all pictures, or those whose name begins with a word given."""
    jobs: dict[str, Callable[[], None]] = {
        "synthetic-dark-class": lambda: synthetic("dark", "class"),
        "synthetic-light-lineage": lambda: synthetic("light", "lineage"),
        "synthetic-dark-status": lambda: synthetic("dark", "status"),
    }
    for theme in ("dark", "light"):
        for part in ("review", "gallery"):
            jobs[f"{part}-{theme}"] = partial(reading, theme, gallery=part == "gallery")
    fields = sorted(FIELDS.glob("*")) if FIELDS.is_dir() else []
    if fields:
        field = FIELDS / "BloodImage_00195.jpg"
        chosen = field if field.is_file() else fields[0]
        jobs["field-dark"] = lambda: real_field("dark", chosen)
        jobs["field-light"] = lambda: real_field("light", chosen)
    if CELLS.is_dir():
        jobs["teach-dark"] = lambda: teaching("dark")
    for name, make in jobs.items():
        if not wanted or any(name.startswith(word) for word in wanted):
            make()


if __name__ == "__main__":
    main(sys.argv[1:])
