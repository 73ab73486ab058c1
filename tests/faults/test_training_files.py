"""Killed at every file operation of a save: what is at the final name is whole."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.saving import save_checkpoint
from napari_cytodino.training.finetuning.parts import load_parts
from napari_cytodino.training.finetuning.pipeline import make_trainer
from napari_cytodino.training.finetuning.trainer import arguments
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe
from napari_cytodino.training.runs.states import newest_complete, why_incomplete

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

WRITES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree")


def killed_at(operation: int, work: Callable[[], Any]) -> bool:
    """Do it in a fork that gets SIGKILL at its n-th operation; False if none came.

    An operation is each file opened for writing, moved, removed or closed to others;
    and, since torch and safetensors write past Python, each call of theirs, before and
    after.
    """
    pid = os.fork()
    if pid:
        return bool(os.WIFSIGNALED(os.waitpid(pid, 0)[1]))
    left = [operation]

    def count() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(event: str, given: tuple[Any, ...]) -> None:
        if event in WRITES or (
            event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            count()

    def around(module: Any, name: str) -> None:
        stock = getattr(module, name)

        def heard(*args: Any, **kwargs: Any) -> Any:
            count()
            done = stock(*args, **kwargs)
            count()
            return done

        setattr(module, name, heard)

    import safetensors.numpy
    import safetensors.torch

    from napari_cytodino.checkpoints import saving
    from napari_cytodino.training.finetuning import states as trainer_states

    code = 1
    try:
        around(torch, "save")
        around(trainer_states, "save_file")
        around(safetensors.torch, "save_file")
        around(saving, "_exchange")
        sys.addaudithook(hear)
        work()
        code = 0
    finally:
        os._exit(code)


def test_a_checkpoint_is_the_old_or_the_new_one(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    stored = load_checkpoint(tiny_checkpoint)
    parts = (stored.model(), stored.taxonomy, stored.preprocessing, stored.policy)
    target = tmp_path / "mine"
    save = partial(save_checkpoint, target, *parts)
    operations = 1
    while killed_at(operations, partial(save, "# New\n")):
        if target.exists():
            assert load_checkpoint(target).card == "# New\n"
            shutil.rmtree(target)
        operations += 1
    assert operations > 15
    found = []
    operations = 1
    save("# Old\n")
    while killed_at(operations, partial(save, "# New\n")):
        found.append(load_checkpoint(target).card)
        if found[-1] == "# New\n":
            save("# Old\n")
        operations += 1
    # the folders are exchanged in one step, after which only the old one is removed
    assert found.count("# Old\n") > 15
    assert found.count("# New\n") > 5
    assert sorted(found, reverse=True) == found


def test_a_state_is_sealed_or_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = build(FinetuneRecipe, *read_recipe("finetune-smoke"))
    trainer = make_trainer(
        recipe, load_parts(recipe, None, tmp_path), arguments(recipe, tmp_path)
    )
    trainer.create_optimizer()
    trainer.create_scheduler(36)
    states = tmp_path / "states"
    trainer.state.global_step = 1
    trainer._save_checkpoint(trainer.model, None)
    trainer.state.global_step = 2
    operation, sealed = 1, 0
    while killed_at(operation, partial(trainer._save_checkpoint, trainer.model, None)):
        newest, second = newest_complete(states), states / "checkpoint-2"
        assert newest is not None
        assert why_incomplete(states / "checkpoint-1") == ""
        if newest == second:
            sealed += 1
        elif second.exists():
            assert f"{second} is left out: it was never sealed" in caplog.text
        caplog.clear()
        operation += 1
    assert operation > 8
    assert sealed < operation - 5, "most kills come before the seal"
    assert newest_complete(states) == states / "checkpoint-2"
