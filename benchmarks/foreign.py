"""Judge a checkpoint on a third laboratory: ``python benchmarks/foreign.py``."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from napari_cytodino import classify, load_checkpoint
from napari_cytodino.images.source import ImageSource
from napari_cytodino.inference.classification import ClassifyOptions
from napari_cytodino.stats.binomial import wilson

if TYPE_CHECKING:
    from napari_cytodino.checkpoints.checkpoint import Checkpoint

PROTOCOL = """\
Protocol
  wbc-masks: 299 single white cells of a third hospital, another stain and camera, about
  120 x 120 px (Zheng et al. 2018, dataset 1; its five classes are not expert labels).
  Nothing of it was trained on. A guess counts as right when it names the same of
  five kinds; band and segmented are both neutrophil. 95 % intervals are Wilson's.
  Field of view: the side of the square, in pixels of these images, that is enlarged
  to the model's input. No setting was chosen by these figures but the field of view,
  of which all are printed.
"""

KINDS = {
    "neutrophil": ("NGS", "NGB"),
    "lymphocyte": ("LYT",),
    "monocyte": ("MON",),
    "eosinophil": ("EOS",),
    "basophil": ("BAS",),
}


class Folder:
    """The pictures of ``labels.csv``, one cell each."""

    def __init__(self, data: Path) -> None:
        with (data / "labels.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.kinds = np.array([row["class_name"] for row in rows])
        self.paths = [data / "images" / row["file"] for row in rows]
        self.count = len(rows)
        self.shape = self.source(0).shape

    def source(self, row: int) -> ImageSource:
        """Return one picture."""
        with Image.open(self.paths[row]) as file:
            return ImageSource(np.asarray(file.convert("RGB")))


def share(hits: int, of: int) -> str:
    """Write a share with its interval."""
    if not of:
        return "none"
    low, high = wilson(hits, of)
    return f"{hits}/{of} = {hits / of:.3f} [{low:.3f}, {high:.3f}]"


def judge(checkpoint: Checkpoint, cells: Folder, field: float) -> None:
    """Print the figures at one field of view."""
    table = classify(cells, None, checkpoint, job=ClassifyOptions(field_of_view=field))
    kind_of = {code: kind for kind, codes in KINDS.items() for code in codes}
    called = table["cell_class"].map(kind_of).fillna("other").to_numpy()
    right = called == cells.kinds
    sure = (table["status"] == "auto").to_numpy()
    print(f"\nField of view {field:g} px")
    print(f"  right             {share(int(right.sum()), len(right))}")
    print(f"  without review    {share(int(sure.sum()), len(sure))}")
    print(f"  wrong among them  {share(int((sure & ~right).sum()), int(sure.sum()))}")
    print(pd.crosstab(cells.kinds, called, rownames=["true"], colnames=["called"]))


def main() -> None:
    """Print protocol and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--field", type=float, nargs="*", default=[80, 100, 120])
    given = parser.parse_args()
    checkpoint = load_checkpoint(given.checkpoint)
    print(PROTOCOL)
    print(f"Checkpoint {checkpoint.name}, sha256 {checkpoint.sha256[:12]}")
    cells = Folder(given.data / "wbc-masks")
    for field in given.field:
        judge(checkpoint, cells, field)


if __name__ == "__main__":
    main()
