"""The loop: schedule, average, budget, and a resumed run that equals a whole one."""

from __future__ import annotations

import json
import os
import resource
import signal
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from napari_cytodino.training.distillation import _loop as loop
from napari_cytodino.training.distillation._loop import (
    BEFORE,
    STATE,
    WeightEma,
    fit,
    learning_rate,
)
from napari_cytodino.training.recipes.distillation import FitPlan
from napari_cytodino.training.runs import tensor_files
from napari_cytodino.training.runs.states import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))


def loss_for(model: nn.Module) -> Callable[[int], torch.Tensor]:
    def loss_of(step: int) -> torch.Tensor:
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        return ((model(x)[:, 0] - x.sum(dim=1)) ** 2).mean()

    return loss_of


def test_learning_rate_rises_then_falls() -> None:
    plan = FitPlan(steps=10, learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(p, plan) for p in (0.0, 0.05, 0.1, 0.5, 0.99)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(1.0)
    assert rates[2] > rates[3] > rates[4] > 0


def test_training_lowers_the_loss_and_logs_its_end(tmp_path: Path) -> None:
    model = net()
    loss_of = loss_for(model)
    before = float(loss_of(0).detach())
    plan = FitPlan(steps=200, learning_rate=0.02, average=0.9)
    model.load_state_dict(fit(model, loss_of, plan, tmp_path))
    assert float(loss_of(0).detach()) < before / 4
    lines = (tmp_path / "log.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[-1])["finished"] == 200


def test_resumed_run_equals_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STATE_EVERY", 10)
    plan = FitPlan(steps=30, learning_rate=0.02)
    whole_model = net()
    whole = fit(whole_model, loss_for(whole_model), plan, tmp_path / "whole")
    broken_model = net()
    loss_of = loss_for(broken_model)

    def dies(step: int) -> torch.Tensor:
        if step == 17:
            raise KeyboardInterrupt
        return loss_of(step)

    with pytest.raises(KeyboardInterrupt):
        fit(broken_model, dies, plan, tmp_path / "broken")
    again = net()
    resumed = fit(again, loss_for(again), plan, tmp_path / "broken")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("watched", [False, True])
def test_a_resumed_run_draws_what_a_whole_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    monkeypatch.setattr(loop, "STATE_EVERY", 10)
    plan = FitPlan(steps=30, learning_rate=0.02)

    def start(stop_at: int, folder: str) -> dict[str, torch.Tensor]:
        model = nn.Sequential(*net(), nn.Dropout(0.5))
        loss_of = loss_for(model)

        def loss(step: int) -> torch.Tensor:
            if step == stop_at:
                raise KeyboardInterrupt
            return loss_of(step)

        def watch(*_: object) -> dict[str, float]:
            torch.manual_seed(7)
            return {}

        more = {"watch": watch, "watch_every": 10} if watched else {}
        return fit(model, loss, plan, tmp_path / folder, **more)

    whole = start(-1, "whole")
    with pytest.raises(KeyboardInterrupt):
        start(17, "broken")
    torch.manual_seed(99)
    resumed = start(-1, "broken")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_state_without_chance_is_taken_up_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STATE_EVERY", 10)
    with pytest.raises(KeyboardInterrupt):
        broken_run(tmp_path, stop)
    tensors, facts = tensor_files.read_tensors(tmp_path / STATE)
    del tensors[loop.CHANCE]
    tensor_files.write_tensors(tmp_path / STATE, tensors, facts)
    assert is_resumed_exactly(tmp_path)


PLAN = FitPlan(steps=30, learning_rate=0.02)


def whole_run(folder: Path) -> dict[str, torch.Tensor]:
    model = net()
    return fit(model, loss_for(model), PLAN, folder)


def broken_run(folder: Path, harm: Callable[[nn.Module, int], torch.Tensor]) -> None:
    """Begin a run whose loss at step 26 is another one; states are of 10 and 20."""
    model = net()
    loss_of = loss_for(model)
    fit(
        model,
        lambda step: harm(model, step) if step == 25 else loss_of(step),
        PLAN,
        folder,
    )


def is_resumed_exactly(folder: Path) -> bool:
    whole, rest = whole_run(folder / "whole"), whole_run(folder)
    return all(torch.equal(whole[name], rest[name]) for name in whole)


def stop(*_: object) -> torch.Tensor:
    raise KeyboardInterrupt


def inclined(model: nn.Module, _step: int) -> torch.Tensor:
    """Return a loss of 0 whose gradient is infinite."""
    return (model[0].weight - model[0].weight.detach()).clamp(min=0).sqrt().sum()


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (
            lambda model, _: model(torch.full((1, 3), torch.nan)).sum(),
            "loss became nan",
        ),
        (lambda model, _: model(torch.ones(1, 3)).sum() / 0, "loss became -?inf"),
        (inclined, "gradient's norm became (nan|inf)"),
    ],
)
def test_a_value_that_is_no_number_ruins_no_state(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[nn.Module, int], torch.Tensor],
    what: str,
) -> None:
    # so that the step that fails is one after which a state is written
    monkeypatch.setattr(loop, "STATE_EVERY", 13)
    said = rf"At step 26 the {what}: .* lower learning rate\..*{STATE} is kept\."
    with pytest.raises(TrainingError, match=said):
        broken_run(tmp_path, harm)
    tensors, facts = tensor_files.read_tensors(tmp_path / STATE)
    assert facts["step"] == 13
    assert all(value.isfinite().all() for value in tensors.values())
    assert is_resumed_exactly(tmp_path)


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "of another program"])
def test_a_damaged_state_gives_way_to_the_one_before(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    harm: str,
) -> None:
    monkeypatch.setattr(loop, "STATE_EVERY", 10)
    with pytest.raises(KeyboardInterrupt):
        broken_run(tmp_path, stop)
    path = tmp_path / STATE
    raw = path.read_bytes()
    harmed = {"cut": raw[:-3], "flip": raw[:-1] + bytes([raw[-1] ^ 1]), "empty": b""}
    path.write_bytes(harmed.get(harm, b"PK\3\4 a zip file"))
    # the damaged one must not push out the good one before there is another
    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_tensors", stop)
        with pytest.raises(KeyboardInterrupt):
            whole_run(tmp_path)
    assert f"{path} is left out" in caplog.text
    assert is_resumed_exactly(tmp_path)
    for name in (STATE, BEFORE):
        (tmp_path / name).write_bytes(raw[:100])
    with pytest.raises(TrainingError, match=r"safetensors is damaged .*: remove it"):
        whole_run(tmp_path)


def test_killed_while_a_state_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STATE_EVERY", 10)
    pid = os.fork()
    if not pid:
        stock, calls = tensor_files.save_file, []

        def dies(tensors: object, path: Path, **given: object) -> None:
            stock(tensors, path, **given)
            calls.append(path)
            if len(calls) == 2:
                os.truncate(path, path.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        tensor_files.save_file = dies
        try:
            whole_run(tmp_path)
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert tensor_files.read_tensors(tmp_path / BEFORE)[1]["step"] == 10
    assert is_resumed_exactly(tmp_path)


def test_a_full_disk_keeps_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STATE_EVERY", 10)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fills(step: int) -> torch.Tensor:
        if step == 15:
            resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
        return loss_of(step)

    model = net()
    loss_of = loss_for(model)
    said = rf"{STATE} cannot be written \(.*free space.*{BEFORE} is kept"
    try:
        with pytest.raises(TrainingError, match=said):
            fit(model, fills, PLAN, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert is_resumed_exactly(tmp_path)


def test_the_state_of_another_model_is_told(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "STATE_EVERY", 10)
        whole_run(tmp_path)
    model = nn.Linear(3, 1)
    with pytest.raises(TrainingError, match=f"{STATE} holds another model"):
        fit(model, loss_for(model), PLAN, tmp_path)


def test_sigterm_seals_the_step_under_way(tmp_path: Path) -> None:
    plan = FitPlan(steps=30, learning_rate=0.02)
    whole_model, stopped_model, again = net(), net(), net()
    whole = fit(whole_model, loss_for(whole_model), plan, tmp_path / "whole")
    loss_of = loss_for(stopped_model)

    def terminated(step: int) -> torch.Tensor:
        assert step <= 17
        if step == 17:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss_of(step)

    with pytest.raises(SystemExit) as caught:
        fit(stopped_model, terminated, plan, tmp_path / "stopped")
    assert caught.value.code == 143
    rest: list[int] = []
    loss_again = loss_for(again)

    def counted(step: int) -> torch.Tensor:
        rest.append(step)
        return loss_again(step)

    resumed = fit(again, counted, plan, tmp_path / "stopped")
    assert rest == list(range(18, 30))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_channels_last_weights_can_be_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STATE_EVERY", 1)
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    pixels = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    fit(model, lambda _: model(pixels).square().mean(), FitPlan(steps=2), tmp_path)
    assert (tmp_path / "state.safetensors").is_file()


def test_frozen_weights_stay_and_have_no_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STATE_EVERY", 1)
    model = net()
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    fit(model, loss_for(model), FitPlan(steps=3), tmp_path)
    assert torch.equal(model[0].weight, before)


def test_minutes_end_a_run(tmp_path: Path) -> None:
    model = net()
    plan = FitPlan(steps=10**9, minutes=0.005)
    fit(model, loss_for(model), plan, tmp_path)
    last = json.loads((tmp_path / "log.jsonl").read_text("utf-8").splitlines()[-1])
    assert 0 < last["finished"] < 10**6
    assert last["seconds"] >= 0.3


def test_watch_is_called_and_logged(tmp_path: Path) -> None:
    model, seen = net(), []

    def watch(values: dict[str, torch.Tensor], step: int) -> dict[str, float]:
        seen.append(step)
        return {"figure": float(len(values))}

    plan = FitPlan(steps=6)
    fit(model, loss_for(model), plan, tmp_path, watch=watch, watch_every=2)
    assert seen == [2, 4, 6]
    assert '"figure": 4.0' in (tmp_path / "log.jsonl").read_text("utf-8")


def test_average_follows_and_copies_counters() -> None:
    model = nn.BatchNorm1d(2)
    average = WeightEma(model, 0.5)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.num_batches_tracked.fill_(9)
    average.update(model, 100)
    assert average.values["weight"].tolist() == [2.0, 2.0]
    assert average.values["num_batches_tracked"] == 9
