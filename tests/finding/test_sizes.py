"""Sizes that are given, or of the file."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.finding.sizes import CELL, PixelSize, as_pixel_size, in_file


def test_what_is_given_is_taken():
    assert as_pixel_size(0.2) == PixelSize(0.2, 0.2, 0.2, "given")
    assert as_pixel_size(None) is None
    known = PixelSize(0.1, 0.09, 0.11, "file")
    assert as_pixel_size(known, 300) is known
    assert as_pixel_size(None, 50).microns == pytest.approx(CELL / 50)


@pytest.mark.parametrize("microns", [0.0, -1.0, 25.0, float("nan")])
def test_what_no_microscope_gives_is_named(microns):
    with pytest.raises(InputError, match=r"0\.02 to 2 µm"):
        as_pixel_size(microns)


def test_a_file_s_own_is_taken():
    assert in_file(SimpleNamespace(microns_per_pixel=0.25)).origin == "file"
    assert in_file(SimpleNamespace(microns_per_pixel=None)) is None
    assert in_file(SimpleNamespace()) is None


def test_a_dock_imports_them_without_scipy():
    code = (
        "import sys; from napari_cytodino.finding import PixelSize, SENSITIVITY, CELL"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit('scipy' in sys.modules)"], check=False
    )
    assert done.returncode == 0
