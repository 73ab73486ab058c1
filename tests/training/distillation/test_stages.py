"""Teacher and student are fitted, and taken up where they were left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_cytodino.training.distillation import _distillation as distillation
from napari_cytodino.training.distillation import _loop as loop
from napari_cytodino.training.distillation import _stages as stages
from napari_cytodino.training.distillation._stages import fit_student, get_teacher
from napari_cytodino.training.distillation._teacher import Teacher
from napari_cytodino.training.distillation.parts import read_part
from napari_cytodino.training.recipes.distillation import load_recipe
from napari_cytodino.training.runs.tensor_files import read_tensors, write_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.training.data.crops import CellSet
    from napari_cytodino.training.recipes.distillation import Recipe


@pytest.fixture(scope="module")
def crops(smoke_recipe: Recipe) -> CellSet:
    return read_part(smoke_recipe, None, "test", packed=True)


def test_a_stored_teacher_is_taken_up(tmp_path: Path, crops: CellSet) -> None:
    recipe = load_recipe("starter")
    stored = Teacher(len(recipe.classes))
    write_tensors(tmp_path / "teacher.safetensors", stored.state_dict(), {})
    teacher = get_teacher(recipe, crops, crops, tmp_path)
    assert teacher is not None
    assert not teacher.training
    assert torch.equal(teacher.classify.weight, stored.classify.weight)
    assert get_teacher(load_recipe("smoke"), crops, crops, tmp_path) is None


@pytest.mark.parametrize("kept", [0, 1000, -1])
def test_a_torn_teacher_is_finished_anew(
    tmp_path: Path,
    crops: CellSet,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kept: int,
) -> None:
    recipe, path = load_recipe("starter"), tmp_path / "teacher.safetensors"
    monkeypatch.setattr(stages, "load_imagenet", lambda *_: None)
    monkeypatch.setattr(stages, "_views", lambda *_: None)
    fitted: list[Path] = []

    def fit_teacher(teacher: Teacher, *given: object) -> None:
        fitted.append(tmp_path)
        torch.nn.init.constant_(teacher.classify.bias, 7.0)

    monkeypatch.setattr(stages, "fit_teacher", fit_teacher)
    get_teacher(recipe, crops, crops, tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    for _ in range(2):
        teacher = get_teacher(recipe, crops, crops, tmp_path)
        assert teacher is not None
        assert teacher.classify.bias.unique().tolist() == [7.0]
    assert len(fitted) == 2, "once at first, once for the torn file"
    assert "teacher.safetensors is damaged" in caplog.text
    assert set(read_tensors(path)[0]) == set(teacher.state_dict())


def test_a_student_that_fails_leaves_no_thread(
    tmp_path: Path,
    smoke_recipe: Recipe,
    crops: CellSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[bool] = []

    class Watched(distillation.BatchPrefetcher):
        def close(self) -> None:
            closed.append(True)
            super().close()

    def fails(*_: object, **__: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(stages, "BatchPrefetcher", Watched)
    monkeypatch.setattr(stages, "fit", fails)
    with pytest.raises(ArithmeticError):
        fit_student(smoke_recipe, crops, crops, None, tmp_path)
    assert closed == [True]


def test_a_student_with_dropout_is_resumed_to_the_bit(
    tmp_path: Path, crops: CellSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ("head_dropout=0.3", "drop_path=0.3", "layers=2", "rescale=2.0")
    recipe = load_recipe("smoke", ["fit.steps=8", *(f"model.{c}" for c in changes)])
    monkeypatch.setattr(loop, "STATE_EVERY", 3)
    whole = fit_student(recipe, crops, crops, None, tmp_path / "whole")
    steps: list[int] = []

    def dies(*given: Any) -> torch.Tensor:
        steps.append(len(steps))
        if len(steps) == 6:
            raise KeyboardInterrupt
        return distillation.distill_loss(*given)

    with monkeypatch.context() as patched:
        patched.setattr(stages, "distill_loss", dies)
        with pytest.raises(KeyboardInterrupt):
            fit_student(recipe, crops, crops, None, tmp_path / "broken")
    again = fit_student(recipe, crops, crops, None, tmp_path / "broken")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
