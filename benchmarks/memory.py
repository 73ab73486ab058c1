"""Measure memory of a run over a large slide: ``python benchmarks/memory.py``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

PROTOCOL = """\
Protocol
  For each size a fresh process loads the checkpoint '{checkpoint}', classifies one
  batch of {batch} cells of a small image (the model's own memory: peak A), then the
  cells of an image whose pixels and labels (int32) are drawn chunk by chunk of 512 px
  when they are needed, {spacing} px from cell to cell (peak B). Both are the peak
  resident set of the process (VmHWM). The limit is on B - A. How often each chunk of
  pixels and of labels was drawn stands beside it. After {real} cells the model's last
  answer is repeated, so that the run ends in time; all else is the real one.
"""

CHUNK = 512
LIMIT_MB = 500


def draw(place: tuple[int, ...], shape: tuple[int, ...], spacing: int) -> np.ndarray:
    """Return the ids of the discs in one chunk: one disc a square of `spacing` px."""
    y, x = (CHUNK * at + np.arange(n) for at, n in zip(place, shape, strict=True))
    from_y, from_x = (v % spacing - spacing // 2 for v in (y, x))
    inside = from_y[:, None] ** 2 + from_x[None] ** 2 < (0.36 * spacing) ** 2
    ids = (y // spacing)[:, None] * 100_000 + (x // spacing)[None] + 1
    return np.where(inside, ids, 0).astype(np.int32)


def lazy_slide(side: int, spacing: int, drawn: dict[str, int]) -> tuple[Any, Any]:
    """Return image (Y, X, 3) and labels (Y, X), drawn on demand and counted."""
    noise = np.random.default_rng(0).integers(0, 40, (CHUNK, CHUNK, 3), dtype=np.uint8)

    def labels(block_info: Any) -> np.ndarray:
        here = block_info[None]
        drawn["labels"] += 1
        return draw(here["chunk-location"], here["chunk-shape"], spacing)

    def pixels(block_info: Any) -> np.ndarray:
        here = block_info[None]
        drawn["pixels"] += 1
        height, width = here["chunk-shape"][:2]
        ids = draw(here["chunk-location"][:2], (height, width), spacing)
        colour = np.where(ids[..., None] > 0, (110, 60, 150), (210, 190, 190))
        return colour.astype(np.uint8) + noise[:height, :width]

    sides = tuple(min(CHUNK, side - at) for at in range(0, side, CHUNK))
    made = [
        da.map_blocks(pixels, chunks=(sides, sides, (3,)), dtype=np.uint8, meta=EMPTY),
        da.map_blocks(labels, chunks=(sides, sides), dtype=np.int32, meta=EMPTY),
    ]
    return made[0], made[1]


EMPTY = np.zeros(0, np.uint8)


def peak_mb() -> float:
    """Return the peak resident set of this process; that of its parent is not in it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def child(given: argparse.Namespace, side: int) -> dict[str, float]:
    """Run once in this process and return its figures."""
    from napari_cytodino.cells.cells import cells_from_labels
    from napari_cytodino.checkpoints.checkpoint import load_checkpoint
    from napari_cytodino.inference.classification import ClassifyOptions, classify
    from napari_cytodino.inference.classifier import Classifier

    class Repeating(Classifier):
        """Asks the model for the first cells only."""

        asked, said = 0, None

        def _in_parts(self, pixels: Any) -> Any:
            if self.said is None or self.asked < given.real:
                self.asked += len(pixels)
                self.said = super()._run_batches(pixels)
            return tuple(np.resize(part, (len(pixels), part.shape[1]))
                         for part in self.said)  # fmt: skip

    checkpoint = load_checkpoint(given.checkpoint)
    model = Repeating(checkpoint, "cpu")
    field = float(given.field)
    job = ClassifyOptions(field_of_view=field, batch_size=given.batch)
    drawn = {"pixels": 0, "labels": 0}

    def run(size: int) -> int:
        image, labels = lazy_slide(size, given.spacing, drawn)
        cells = cells_from_labels(labels)
        return len(classify(image, cells, checkpoint, job=job, classifier=model))

    run(int(given.spacing * given.batch**0.5) + 1)
    own = peak_mb()
    drawn.update(pixels=0, labels=0)
    cells = run(side)
    chunks = (-(-side // CHUNK)) ** 2
    return {
        "cells": cells,
        "own": own,
        "above": peak_mb() - own,
        "chunks": chunks,
        **{f"{name} drawn": count / chunks for name, count in drawn.items()},
    }


def main() -> None:
    """Print protocol and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[10_000, 20_000])
    parser.add_argument("--spacing", type=int, default=141)
    parser.add_argument("--field", type=int, default=250)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--checkpoint", default="demo")
    parser.add_argument("--real", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(given, given.child)))
        return
    print(PROTOCOL.format(**vars(given)))
    figures = {}
    for side in given.sides:
        command = [sys.executable, __file__, *sys.argv[1:], "--child", str(side)]
        told = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(told.stdout.splitlines()[-1])
        print(
            f"{side} x {side} px, {found['cells']} cells: {found['above']:.0f} MB "
            f"above the model's own {found['own']:.0f} (limit {LIMIT_MB}); chunks "
            f"drawn {found['pixels drawn']:.3f} (pixels) and "
            f"{found['labels drawn']:.3f} (labels) times each; the image "
            f"itself is {3 * side**2 / 2**20:.0f} MB"
        )
        figures[f"memory {side} px above MB"] = found["above"]
        figures[f"memory {side} px own MB"] = found["own"]
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
