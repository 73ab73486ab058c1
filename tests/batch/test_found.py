"""Labels of found cells as a file."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cytodino.batch.found import write_found
from napari_cytodino.common.errors import InputError
from napari_cytodino.synthetic.smear import synthetic_smear


@pytest.fixture(scope="module")
def smear():
    return synthetic_smear((384, 512), 4, seed=2).image


def written(path, image, microns):
    about = {"axes": "YXS", "PhysicalSizeX": microns, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(path, image, photometric="rgb", metadata=about)
    return path


def test_labels_are_those_that_were_found_and_progress_ends(tmp_path, smear):
    Image.fromarray(smear).save(tmp_path / "smear.png")
    seen = []
    step = write_found(
        tmp_path / "smear.png",
        tmp_path / "labels.tif",
        sensitivity=0.6,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert np.array_equal(tifffile.imread(tmp_path / "labels.tif"), step.labels)
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] == step.total


@pytest.mark.parametrize(
    ("words", "origin"),
    [({}, "file"), ({"pixel_size": 0.12}, "given"), ({"cell_size": 130}, None)],
)
def test_what_is_given_goes_before_the_file(tmp_path, smear, words, origin):
    path = written(tmp_path / "smear.ome.tif", smear, 0.1)
    step = write_found(path, tmp_path / "labels.tif", sensitivity=0.6, **words)
    assert step.pixel_size.origin == (origin or step.pixel_size.origin)
    assert (step.pixel_size.origin == "file") == (not words)


def test_a_grey_image_leaves_no_file(tmp_path):
    Image.fromarray(np.full((60, 70), 200, np.uint8)).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match="grey"):
        write_found(tmp_path / "grey.png", tmp_path / "labels.tif", sensitivity=0.6)
    assert not (tmp_path / "labels.tif").exists()
