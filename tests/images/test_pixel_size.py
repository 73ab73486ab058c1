"""The size of a pixel as files of several programs give it."""

import numpy as np
import pytest
import tifffile

from napari_cytodino.images.pixel_size import microns_in
from napari_cytodino.images.source import read_image

PICTURE = np.full((20, 30, 3), 200, np.uint8)


def written(path, **words):
    tifffile.imwrite(path, PICTURE, photometric="rgb", **words)
    return path


@pytest.mark.parametrize(
    ("size", "unit", "microns"),
    [(0.1, "µm", 0.1), (98, "nm", 0.098), (0.0002, "mm", 0.2)],
)
def test_ome(tmp_path, size, unit, microns):
    about = {"axes": "YXS", "PhysicalSizeX": size, "PhysicalSizeXUnit": unit}
    path = written(tmp_path / "a.ome.tif", metadata=about)
    assert microns_in(path) == pytest.approx(microns)
    assert read_image(path).microns_per_pixel == pytest.approx(microns)


def test_imagej(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, PICTURE, imagej=True, resolution=(8, 8), metadata={"unit": "um"}
    )
    assert microns_in(path) == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("unit", "per", "microns"), [(3, 1e5, 0.1), (2, 101_600, 0.25), (1, 10, None)]
)
def test_resolution(tmp_path, unit, per, microns):
    path = written(tmp_path / "a.tif", resolution=(per, per), resolutionunit=unit)
    assert microns_in(path) == (None if microns is None else pytest.approx(microns))


def test_what_printers_and_screens_need_is_no_pixel_size(tmp_path):
    path = written(tmp_path / "a.tif", resolution=(72, 72), resolutionunit=2)
    assert microns_in(path) is None
    assert microns_in(written(tmp_path / "b.tif")) is None


def test_ome_without_a_size_or_with_an_unknown_unit(tmp_path):
    path = written(tmp_path / "a.ome.tif", metadata={"axes": "YXS"})
    assert microns_in(path) is None
    about = {"axes": "YXS", "PhysicalSizeX": 3, "PhysicalSizeXUnit": "pixel"}
    assert microns_in(written(tmp_path / "b.ome.tif", metadata=about)) is None


def test_a_tag_that_makes_no_sense_costs_no_pixel(tmp_path, monkeypatch):
    path = written(tmp_path / "a.tif", resolution=(1e5, 1e5), resolutionunit=3)

    def nonsense(*_):
        raise ValueError("no number")

    monkeypatch.setattr("napari_cytodino.images.pixel_size._over", nonsense)
    source = read_image(path)
    assert source.microns_per_pixel is None
    assert source.shape == PICTURE.shape[:2]
