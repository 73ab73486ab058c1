"""The SYNTHETIC demo as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_cytodino.batch.images import process_image
from napari_cytodino.batch.inputs import ImageTask
from napari_cytodino.checkpoints import load_checkpoint
from napari_cytodino.common import atomic_write
from napari_cytodino.inference import Classifier, ClassifyOptions
from napari_cytodino.synthetic import synthetic_smear

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def demo_files(out: Path, progress: Callable[[int, int], None]) -> str:
    """Draw a smear, classify it, and write what `classify` does; return what was done.

    Parameters
    ----------
    out : Path
        Folder for the files.
    progress : callable
        Called with the number of cells done and of all.
    """
    smear = synthetic_smear(seed=0)
    classifier = Classifier(load_checkpoint("demo"), "cpu")
    picture, labels = out / "synthetic-smear.png", out / "synthetic-smear.labels.npy"
    with atomic_write(picture) as path:
        Image.fromarray(smear.image).save(path)
    with atomic_write(labels) as path:
        np.save(path, smear.labels)
    table = process_image(
        ImageTask(picture, labels=labels),
        classifier,
        out,
        stem=picture.stem,
        job=ClassifyOptions(device="cpu"),
        formats=("csv", "geojson"),
        progress=progress,
    )
    right = (table["cell_class"].to_numpy() == np.array(smear.codes)).mean()
    return (
        f"SYNTHETIC demo: {len(table)} drawn cells classified, {right:.0%} as drawn, "
        f"{(table['status'] != 'auto').sum()} flagged for an expert.\n"
        f"Table:        {out / 'synthetic-smear.cells.csv'}\n"
        f"Differential: {out / 'synthetic-smear.differential.csv'}\n"
        f"Picture:      {out / 'synthetic-smear.overlay.png'}"
    )
