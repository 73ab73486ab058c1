"""A drawn smear, and real fields of laboratories that the finder was not trained on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.synthetic.smear import synthetic_smear

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Beside the checkout; its README says what each set may be used for."""


@dataclass
class Field:
    """A field with the middles of its boxes, y and x in pixels."""

    rgb: np.ndarray
    centres: np.ndarray
    sides: np.ndarray

    def alone(self, labels):
        """Say of each box whether a label of its own is in its middle."""
        rows, columns = np.rint(self.centres).astype(int).T
        there = labels[rows, columns]
        return (there > 0) & (
            np.bincount(there, minlength=labels.max() + 1)[there] == 1
        )


def boxed(folder, stem, of=None):
    path = DATA / folder / "images" / f"{stem}.jpg"
    if not path.is_file():
        pytest.skip(f"needs the real field {path}")
    rgb = np.asarray(Image.open(path).convert("RGB"))
    lines = (DATA / folder / "labels" / f"{stem}.txt").read_text("utf-8").splitlines()
    boxes = np.array([[float(v) for v in line.split()] for line in lines])
    boxes = boxes if of is None else boxes[boxes[:, 0] == of]
    size = np.array(rgb.shape[:2])
    return Field(rgb, boxes[:, [2, 1]] * size, boxes[:, [4, 3]] * size)


@pytest.fixture(scope="session")
def smear():
    """SYNTHETIC: twelve white cells among red ones, 0.1 um a pixel."""
    return synthetic_smear((768, 1024), 12, seed=1)


@pytest.fixture(scope="session")
def marrow():
    """Marrow of fields-hemeyolo, 0.2 um a pixel, red cells in clumps."""
    return boxed("fields-hemeyolo", "6048_BL")


@pytest.fixture(scope="session")
def blood():
    """Blood of fields-raabin, red cells as dark as nuclei."""
    paths = sorted((DATA / "fields-raabin" / "images").glob("*.jpg"))
    if not paths:
        pytest.skip(f"needs the real fields in {DATA}")
    return boxed("fields-raabin", paths[0].stem, of=0)
