"""Beside training: the epoch's order, states in between, log and bar."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from transformers import EarlyStoppingCallback, TrainerControl, TrainerState
from transformers.integrations import TensorBoardCallback

from napari_cytodino.training.data.datasets import EpochSampler
from napari_cytodino.training.finetuning import _callbacks as callbacks
from napari_cytodino.training.finetuning._callbacks import (
    Bar,
    EpochOrder,
    RunLog,
    StatesBetween,
    StateThenEnd,
    callbacks_for,
)
from napari_cytodino.training.recipes.finetuning import RunPlan

if TYPE_CHECKING:
    from pathlib import Path

ARGS: Any = SimpleNamespace()


def at(step: int, epoch: float, *, first: bool = True) -> TrainerState:
    return TrainerState(
        epoch=epoch, global_step=step, max_steps=30, is_world_process_zero=first
    )


@pytest.mark.parametrize(("epoch", "expected"), [(0, 0), (1.0, 1), (1.83, 1)])
def test_the_order_follows_the_state(epoch: float, expected: int) -> None:
    sampler = EpochSampler(lambda _: np.arange(3))
    EpochOrder(sampler).on_epoch_begin(ARGS, at(9, epoch), TrainerControl())
    assert sampler.epoch == expected


@pytest.mark.parametrize(
    ("every", "step", "epoch", "expected"),
    [
        (5, 5, 0.5, True),
        (5, 6, 0.6, False),
        (5, 10, 1.0, False),
        (0, 5, 0.5, False),
    ],
)
def test_states_are_asked_for_within_an_epoch_only(
    every: int, step: int, epoch: float, expected: bool
) -> None:
    control = TrainerControl()
    StatesBetween(every).on_step_end(ARGS, at(step, epoch), control)
    assert control.should_save == expected


def test_a_state_that_was_asked_for_by_others_stays(tmp_path: Path) -> None:
    control = TrainerControl(should_save=True)
    StatesBetween(5).on_step_end(ARGS, at(10, 1.0), control)
    assert control.should_save


@pytest.mark.parametrize(("epoch", "state_now"), [(0.5, True), (1.0, False)])
def test_asked_to_end_it_does_so_once_a_state_is_sealed(
    epoch: float, state_now: bool
) -> None:
    args, control = SimpleNamespace(device=torch.device("cpu")), TrainerControl()
    asked = False
    callback: Any = StateThenEnd(lambda: asked)
    callback.on_step_end(args, at(6, epoch), control)
    callback.on_save(args, at(6, epoch), control)
    assert not control.should_save
    asked = True
    # a signal after the step waits for the next: the other processes know nothing of it
    callback.on_save(args, at(6, epoch), control)
    callback.on_step_end(args, at(7, epoch), control)
    assert control.should_save == state_now
    with pytest.raises(SystemExit) as caught:
        callback.on_save(args, at(7, epoch), control)
    assert caught.value.code == 143
    # else the resumed run would take itself for finished
    assert not control.should_training_stop


def test_the_log_has_a_line_a_step_of_the_first_process_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = RunLog(path)
    control = TrainerControl()
    log.on_log(ARGS, at(3, 0.1), control, logs={"loss": 0.5, "learning_rate": 1e-4})
    log.on_log(ARGS, at(4, 0.2, first=False), control, logs={"loss": 0.4})
    log.on_log(ARGS, at(5, 1.0), control, logs={"eval_macro_f1": 0.25})
    # the summary's mean loss covers only what ran after a resume
    log.on_log(ARGS, at(5, 1.0), control, logs={"train_runtime": 1, "train_loss": 9})
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines == [
        {"step": 3, "loss": 0.5, "learning_rate": 1e-4},
        {"step": 5, "eval_macro_f1": 0.25},
    ]


def test_the_bar_starts_where_the_run_is_and_shows_loss_and_f1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[dict[str, Any]] = []
    shown: list[dict[str, str]] = []

    class Fake:
        def __init__(self, **settings: Any) -> None:
            made.append(settings)
            self.n = settings["initial"]

        def update(self, more: int) -> None:
            self.n += more

        def set_postfix(self, words: dict[str, str]) -> None:
            shown.append(dict(words))

        def close(self) -> None:
            shown.append({})

    monkeypatch.setattr(callbacks, "tqdm", Fake)
    bar, control = Bar(), TrainerControl()
    bar.on_train_begin(ARGS, at(20, 1.0), control)
    assert made == [{"total": 30, "initial": 20, "unit": "step"}]
    bar.on_step_end(ARGS, at(21, 1.1), control)
    assert bar.bar is not None
    assert bar.bar.n == 21
    bar.on_log(ARGS, at(21, 1.1), control, logs={"loss": 0.123449})
    bar.on_log(ARGS, at(30, 2.0), control, logs={"eval_macro_f1": 0.5})
    bar.on_train_end(ARGS, at(30, 2.0), control)
    assert shown == [{"loss": "0.1234"}, {"loss": "0.1234", "F1": "0.5000"}, {}]


def test_other_processes_show_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(**_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(callbacks, "tqdm", never)
    bar, control = Bar(), TrainerControl()
    bar.on_train_begin(ARGS, at(0, 0, first=False), control)
    bar.on_step_end(ARGS, at(1, 0.1, first=False), control)
    bar.on_log(ARGS, at(1, 0.1, first=False), control, logs={"loss": 1.0})
    bar.on_train_end(ARGS, at(1, 0.1, first=False), control)
    assert bar.bar is None


def test_a_run_has_them_all(tmp_path: Path) -> None:
    sampler = EpochSampler(lambda _: np.arange(3))
    found = callbacks_for(RunPlan(patience=3, save_steps=7), sampler, tmp_path)
    kinds = {type(callback): callback for callback in found}
    assert set(kinds) == {
        EpochOrder,
        EarlyStoppingCallback,
        StatesBetween,
        RunLog,
        TensorBoardCallback,
        Bar,
    }
    assert kinds[EarlyStoppingCallback].early_stopping_patience == 3
    assert kinds[StatesBetween].every == 7
    assert kinds[TensorBoardCallback].logging_dir == str(tmp_path / "tensorboard")
