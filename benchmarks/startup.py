"""Measure start-up: ``python benchmarks/startup.py``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PROTOCOL = """\
Protocol
  Wall clock of fresh processes, alternating, {rounds} rounds after one that is not
  counted (files are in the system's cache then); median (least to most).
  demo          `napari-cytodino demo --headless`, from command to finished table,
                differential and picture
  model ready   the demo checkpoint verified, loaded, one batch of 8 answered: by this
                package's engine; and by transformers' classes
  dock imported the dock's module
  napari and Qt napari's model of a viewer and a QApplication, nothing of this package
  dock opened   the same, then the dock made for that viewer, shown and painted; beside
                it, as a ratio within each round, which other machines can be compared
                by. Qt draws offscreen; there is no window of napari.
"""

DEMO = "napari_cytodino.cli import app; app(['demo', '--headless', '--out', {out!r}])"
READY = """\
napari_cytodino.checkpoints.checkpoint import load_checkpoint
import numpy as np
from napari_cytodino.inference.classifier import Classifier
one = Classifier(load_checkpoint('demo'), 'cpu')
one._run_batches(np.zeros((8, 64, 64, 3), np.uint8))
"""
PLAIN = """\
napari_cytodino.checkpoints.checkpoint import load_checkpoint
import numpy as np, torch
from napari_cytodino.inference.classifier import preprocess
checkpoint = load_checkpoint('demo')
model = checkpoint.model()
with torch.inference_mode():
    model.predict(preprocess(np.zeros((8, 64, 64, 3), np.uint8), checkpoint))
"""
DOCK = "napari_cytodino.widgets import dock"
NAPARI = """\
napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
app = QApplication([])
viewer = ViewerModel()
"""
OPENED = f"""{NAPARI}
from napari_cytodino.widgets.dock import CytoDinoDock
dock = CytoDinoDock(viewer)
dock.show()
app.processEvents()
dock.close()
"""
OFFSCREEN = {"QT_QPA_PLATFORM": "offscreen"}


def seconds(code: str) -> float:
    """Return the wall clock of a fresh interpreter."""
    start = time.perf_counter()
    line = [sys.executable, "-W", "ignore", "-c", f"from {code}"]
    environment = os.environ | OFFSCREEN
    subprocess.run(line, check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


def ratio(these: list[float], those: list[float]) -> float:
    """Return the median of the ratios within each round."""
    return float(np.median(np.array(these) / np.array(those)))


def main() -> None:
    """Print protocol and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(PROTOCOL.format(rounds=given.rounds))
    with tempfile.TemporaryDirectory() as folder:
        codes = {
            "demo": DEMO.format(out=folder),
            "model ready": READY,
            "model ready, transformers": PLAIN,
            "dock imported": DOCK,
            "napari and Qt": NAPARI,
            "dock opened": OPENED,
        }
        taken: dict[str, list[float]] = {name: [] for name in codes}
        for number in range(given.rounds + 1):
            for name, code in codes.items():
                found = seconds(code)
                if number:
                    taken[name].append(found)
    for name, each in taken.items():
        print(
            f"{name:26} {np.median(each):6.2f} s ({min(each):.2f} to {max(each):.2f})"
        )
    sooner = ratio(taken["model ready, transformers"], taken["model ready"])
    opened = ratio(taken["dock opened"], taken["napari and Qt"])
    print(f"model ready: {sooner:.2f} times sooner; n = {given.rounds} rounds")
    print(f"dock opened: {opened:.2f} times napari and Qt alone")
    if given.json:
        figures = {f"{k}, s": float(np.median(v)) for k, v in taken.items()}
        figures["model ready, x"] = sooner
        figures["dock opened, x"] = opened
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
