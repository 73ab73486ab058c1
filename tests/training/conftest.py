"""One tiny synthetic run that several tests look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from napari_cytodino.inference import classifier, devices
from napari_cytodino.inference.engine import FusedModel
from napari_cytodino.training.distillation.pipeline import train_recipe
from napari_cytodino.training.evaluation import answers
from napari_cytodino.training.recipes.distillation import load_recipe

if TYPE_CHECKING:
    from napari_cytodino.training.recipes.distillation import Recipe


@pytest.fixture(scope="session")
def smoke_recipe() -> Recipe:
    return load_recipe("smoke")


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory, smoke_recipe: Recipe) -> Path:
    """Return the folder of a finished run of the smoke recipe."""
    out = tmp_path_factory.mktemp("smoke")
    train_recipe(smoke_recipe, None, out)
    return Path(out)


@pytest.fixture
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Pretend that there is a GPU; return what went where, though all stays here."""
    went: list[tuple[str, str]] = []
    cast, prepare = FusedModel.to_device, classifier.preprocess

    def move(model: FusedModel, kind: str, dtype: str) -> FusedModel:
        went.append(("model", kind))
        return cast(model, "cpu", dtype)

    def pixels(crops: Any, checkpoint: Any, device: str = "cpu") -> Any:
        went.append(("pixels", device))
        return prepare(crops, checkpoint)

    monkeypatch.setattr(FusedModel, "to_device", move)
    monkeypatch.setattr(answers, "preprocess", pixels)
    there = devices.Device("cuda", "a GPU")
    here = devices.Device("cpu", "a CPU")
    monkeypatch.setattr(
        answers, "pick_device", lambda wish: here if wish == "cpu" else there
    )
    return went
