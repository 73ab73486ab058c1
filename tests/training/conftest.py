"""One tiny synthetic run that several tests look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_cytodino.training.config import load_recipe
from napari_cytodino.training.experiment import train_recipe

if TYPE_CHECKING:
    from napari_cytodino.training.config import Recipe


@pytest.fixture(scope="session")
def smoke_recipe() -> Recipe:
    return load_recipe("smoke")


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory, smoke_recipe: Recipe) -> Path:
    """Return the folder of a finished run of the smoke recipe."""
    out = tmp_path_factory.mktemp("smoke")
    train_recipe(smoke_recipe, None, out)
    return Path(out)
