"""The public names are there, and importing them costs nothing until they are used."""

import subprocess
import sys

import pytest

import napari_cytodino


@pytest.mark.parametrize("name", napari_cytodino.__all__)
def test_every_public_name_is_found(name):
    assert getattr(napari_cytodino, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = napari_cytodino.nonsense


def test_importing_the_package_imports_no_torch():
    code = (
        "import sys, napari_cytodino as n; n.Taxonomy.load('mll21'); n.load_checkpoint;"
        "assert 'torch' not in sys.modules and 'napari' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
