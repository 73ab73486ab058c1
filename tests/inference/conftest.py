"""A picture, places in it, and the tiny checkpoint as it is and calibrated."""

import numpy as np
import pytest

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.saving import save_calibrated


@pytest.fixture(scope="session")
def image():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def points():
    return np.random.default_rng(1).uniform([0, 0], [299, 399], (13, 2))


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint):
    return load_checkpoint(str(tiny_checkpoint))


@pytest.fixture(scope="module")
def calibrated(checkpoint, make_calibration, make_familiarity, tmp_path_factory):
    """Return a function: the tiny checkpoint with training cells near by or far off."""

    def build(*, far):
        made = make_calibration(checkpoint.taxonomy)
        known = make_familiarity(32, far=far)
        target = tmp_path_factory.mktemp("calibrated") / "tiny"
        return load_checkpoint(save_calibrated(target, checkpoint, made, known, ""))

    return build
