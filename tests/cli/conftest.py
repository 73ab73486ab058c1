"""What runs a command as a terminal would, and a picture for it."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_cytodino.cli import app
from napari_cytodino.synthetic.smear import synthetic_smear

RUNNER = CliRunner()


@pytest.fixture(scope="session")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "smear.png"
    smear = synthetic_smear((700, 900), 5, seed=1)
    Image.fromarray(smear.image).save(path)
    np.save(path.with_suffix(".npy"), smear.labels)
    return path


@pytest.fixture(scope="session")
def invoke():
    """Return what runs a command; an error that nobody put into words is raised."""

    def run(*arguments):
        result = RUNNER.invoke(app, [str(a) for a in arguments])
        if not isinstance(result.exception, SystemExit | None):
            raise result.exception
        return result

    return run
