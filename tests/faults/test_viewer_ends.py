"""A viewer in a process of its own: closed during a run, or killed after a verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.review._store import image_of
from napari_cytodino.review.location import SUFFIX
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.synthetic.smear import synthetic_smear
from napari_cytodino.taxonomy.taxonomy import Taxonomy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.render

KILLS = int(os.environ.get("CYTODINO_KILLS", "1"))
"""More of them by hand: CYTODINO_KILLS=50."""

SHAPE, CELLS, TILES = (420, 560), 6, 4

OPEN = """
import json, sys
import napari, numpy as np
from qtpy.QtCore import QTimer
from napari_cytodino.widgets.session.messages import RunState

viewer = napari.Viewer(show=True)
viewer.window.resize(640, 480)
viewer.open(sys.argv[1], plugin="napari")
labels = viewer.add_labels(np.load(sys.argv[2]), name="cells")
add = viewer.window.add_plugin_dock_widget
dock = add("napari-cytodino", "CytoDINO")[1]
review = add("napari-cytodino", "CytoDINO review")[1]
session, controller = dock.session, dock.controller
dock.checkpoint.choose("demo")
session.choose(cells_layer=labels)

def tell(**words):
    print(json.dumps(words), flush=True)
"""

CLOSE = """
def follow():
    done, total = session.progress.done, session.progress.total
    if session.state is RunState[sys.argv[3]] and done >= int(sys.argv[4]):
        session.run.disconnect(follow)
        tell(done=done, total=total, busy=controller.worker.busy)
        viewer.close()

session.run.connect(follow)
QTimer.singleShot(0, dock.run.classify.click)
napari.run()
tell(ended=True)
"""

READ = """
def go_on():
    if session.busy or controller.case.busy or session.predictions is None:
        return
    timer.stop()
    review.review.reader.setText("AM")
    review.review.start.click()
    there = dict(zip(session.table["label"].tolist(), session.table["reviewed_class"]))
    tell(there=there)
    given = int(sys.argv[3])
    session.select(given % len(there))
    controller.actions.set_class(session.taxonomy.codes[given % 21])
    tell(said=given)

timer = QTimer()
timer.timeout.connect(go_on)
timer.start(10)
QTimer.singleShot(0, dock.run.classify.click)
napari.run()
"""


@contextmanager
def viewer(
    script: str, folder: Path, *words: object
) -> Iterator[subprocess.Popen[str]]:
    """Start a viewer with its own settings, in a group of processes of its own."""
    environment = os.environ | {
        "NAPARI_CONFIG": str(folder / "settings.yaml"),
        "XDG_DATA_HOME": str(folder),
    }
    given = [folder / "field.png", folder / "labels.npy", *words]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", OPEN + script, *map(str, given)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what the viewer says next."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.fixture
def field(tmp_path: Path) -> Path:
    """Write a field whose cells are few."""
    smear = synthetic_smear(SHAPE, CELLS, seed=3)
    Image.fromarray(smear.image).save(tmp_path / "field.png")
    np.save(tmp_path / "labels.npy", smear.labels)
    return tmp_path


@pytest.fixture
def large(field: Path) -> Path:
    """Write a field of many cells, no two alike, so that a run takes a while."""
    pixels = np.asarray(Image.open(field / "field.png"))
    labels, side = np.load(field / "labels.npy"), range(TILES)
    rows, parts = [], []
    for y in side:
        number = [y * TILES + x for x in side]
        rows.append(
            np.hstack([np.where(labels, labels + CELLS * n, 0) for n in number])
        )
        parts.append(np.hstack([np.minimum(pixels, 250 - n) for n in number]))
    np.save(field / "labels.npy", np.vstack(rows))
    Image.fromarray(np.vstack(parts)).save(field / "field.png")
    return field


@pytest.mark.parametrize(("state", "done"), [("OPENING", 0), ("CLASSIFYING", 1)])
def test_a_viewer_closed_during_a_run_ends_well(
    large: Path, state: str, done: int
) -> None:
    with viewer(CLOSE, large, state, done) as process:
        at = heard(process)
        said, errors = process.communicate(timeout=120)
        assert json.loads(said) == {"ended": True}
        assert process.returncode == 0, errors
        assert "QThread" not in errors
        assert "Traceback" not in errors
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
    assert at["done"] >= done
    if done:
        assert 0 < at["done"] < at["total"] == CELLS * TILES**2
        assert at["busy"]


def test_killed_after_each_verdict_the_next_viewer_has_all_of_them(field: Path) -> None:
    codes, wanted = Taxonomy.load("mll21").codes, dict.fromkeys(range(1, 7), "")
    for given in range(KILLS + 1):
        with viewer(READ, field, given) as process:
            there = {int(k): v for k, v in heard(process)["there"].items()}
            assert there == wanted, f"after {given} verdicts"
            assert heard(process) == {"said": given}
            process.kill()
        wanted[given % CELLS + 1] = codes[given % 21]
    path = field / f"field{SUFFIX}"
    with ReviewLog.open(path, image=image_of(path), read_only=True) as log:
        said = [event.now for event in log.events() if event.cell]
    assert said == [codes[number % 21] for number in range(KILLS + 1)]
