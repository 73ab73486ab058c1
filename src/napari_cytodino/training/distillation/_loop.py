"""The training loop: schedule, weight average, budget in minutes, sealed states."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch

from napari_cytodino.common import InputError
from napari_cytodino.training.runs import (
    CODE,
    DamagedError,
    TrainingError,
    fill,
    read_tensors,
    sigterm_waits,
    write_tensors,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from torch import Tensor, nn

    from napari_cytodino.training.recipes import FitPlan


logger = logging.getLogger(__name__)

STATE_EVERY = 100
"""Steps between two states on disk."""

STATE, BEFORE = "state.safetensors", "state-before.safetensors"
"""The newest state, and the one to fall back to."""

CHANCE = "chance.torch"
"""Torch's global random state, which dropout, drop path and position rescale draw from;
states of earlier versions have none."""


class WeightEma:
    """A moving average of a model's parameters; buffers are copied as they are."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the model's weights; early steps count for more."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            kept = self.values[name]
            if kept.is_floating_point():
                kept.lerp_(value, 1 - decay)
            else:
                kept.copy_(value)


def learning_rate(progress: float, plan: FitPlan) -> float:
    """Return the rate at a point of the run, 0 at its start and 1 at its end."""
    if progress < plan.warmup:
        return plan.learning_rate * max(progress / plan.warmup, 0.01)
    rest = (progress - plan.warmup) / (1 - plan.warmup)
    return plan.learning_rate * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * rest)))


def _optimiser(model: nn.Module, plan: FitPlan) -> torch.optim.AdamW:
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": plan.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.98))


def _parameters(optimiser: torch.optim.AdamW) -> list[Tensor]:
    return [p for group in optimiser.param_groups for p in group["params"]]


def _seal(
    folder: Path,
    model: nn.Module,
    average: WeightEma,
    optimiser: torch.optim.AdamW,
    facts: Mapping[str, object],
) -> None:
    """Write a state; the one it follows is kept."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.values.items()}
    for number, parameter in enumerate(_parameters(optimiser)):
        state = optimiser.state.get(parameter, {})
        tensors |= {f"optimiser.{number}.{name}": state[name] for name in state}
    tensors[CHANCE] = torch.get_rng_state()
    path = folder / STATE
    if path.is_file():
        path.replace(folder / BEFORE)
    try:
        write_tensors(path, tensors, facts)
    except InputError as error:
        raise TrainingError(f"{error} {_kept(folder)}.") from error


def _kept(folder: Path) -> str:
    kept = [folder / name for name in (STATE, BEFORE) if (folder / name).is_file()]
    return f"{kept[0]} is kept" if kept else "Nothing was sealed before"


def _newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any], Path] | None:
    """Return the newest state that is as it was written; a damaged one is removed.

    Raises
    ------
    DamagedError
        When there are states and none is whole.
    """
    fault: DamagedError | None = None
    for path in (folder / STATE, folder / BEFORE):
        if not path.is_file():
            continue
        try:
            tensors, facts = read_tensors(path)
        except DamagedError as error:
            fault = error
            logger.warning("%s is left out: %s", path, error)
            continue
        if fault is not None:
            # or it would take the place of the one to fall back to
            (folder / STATE).unlink()
        return tensors, facts, path
    if fault is not None:
        raise fault
    return None


def _resume(
    folder: Path, model: nn.Module, average: WeightEma, optimiser: torch.optim.AdamW
) -> tuple[int, float]:
    """Load the newest state, if there is one: steps done and seconds spent."""
    found = _newest(folder)
    if found is None:
        return 0, 0.0
    tensors, facts, path = found

    def part(start: str) -> dict[str, Tensor]:
        own = (k for k in tensors if k.startswith(start))
        return {k.removeprefix(start): tensors[k] for k in own}

    fill(model, part("model."), path)
    average.values = part("average.")
    for number, parameter in enumerate(_parameters(optimiser)):
        own = part(f"optimiser.{number}.")
        if own:
            optimiser.state[parameter] = own
    if CHANCE in tensors:
        torch.set_rng_state(tensors[CHANCE])
    return int(facts["step"]), float(facts["seconds"])


def fit(
    model: nn.Module,
    loss_of: Callable[[int], Tensor],
    plan: FitPlan,
    folder: Path,
    *,
    watch: Callable[[dict[str, Tensor], int], dict[str, float]] | None = None,
    watch_every: int = 1000,
) -> dict[str, Tensor]:
    """Train, resuming from ``folder`` if it holds a state; return averaged weights.

    Parameters
    ----------
    model : nn.Module
        Trained in place.
    loss_of : callable
        Step number -> the loss of that step's batch.
    plan : FitPlan
        Schedule and budget.
    folder : Path
        Gets ``state.safetensors``, the state before it, and ``log.jsonl``.
    watch : callable, optional
        Averaged weights and step -> figures for the log, at times.
    watch_every : int
        Steps between two calls of ``watch``.

    Raises
    ------
    TrainingError
        When a loss or gradient is not finite, or the disk refuses: the last state is
        kept. When no state is whole, or they are those of another model.
    SystemExit
        With code 143 once SIGTERM came; the step under way is finished and sealed.
    """
    with sigterm_waits() as asked:
        return _fit(model, loss_of, plan, folder, watch, watch_every, asked)


def _fit(
    model: nn.Module,
    loss_of: Callable[[int], Tensor],
    plan: FitPlan,
    folder: Path,
    watch: Callable[[dict[str, Tensor], int], dict[str, float]] | None,
    watch_every: int,
    asked: Callable[[], bool],
) -> dict[str, Tensor]:
    optimiser, average = _optimiser(model, plan), WeightEma(model, plan.average)
    step, spent = _resume(folder, model, average, optimiser)
    folder.mkdir(parents=True, exist_ok=True)
    start, recent, first = time.monotonic() - spent, 0.0, step
    while True:
        spent = time.monotonic() - start
        clock = spent / (60 * plan.minutes) if plan.minutes else 0.0
        progress = max(step / plan.steps, clock)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(progress, plan)
        model.train()
        step += 1
        try:
            loss = _learn(model, optimiser, loss_of(step - 1), plan.clip)
        except ArithmeticError as error:
            raise TrainingError(
                f"At step {step} {error}: start again in an empty folder with a lower "
                f"learning rate. {_kept(folder)}."
            ) from error
        average.update(model, step)
        recent += (loss - recent) / min(step - first, 50)
        facts = {"step": step, "seconds": round(spent, 1), "loss": round(recent, 4)}
        if step % 50 == 0:
            _log(folder, facts | {"progress": round(progress, 4)})
        stops = asked()
        if step % STATE_EVERY == 0 or stops:
            _seal(folder, model, average, optimiser, facts)
        if stops:
            logger.warning("Stopped by SIGTERM after step %d, which is sealed.", step)
            raise SystemExit(CODE)
        if watch is not None and step % watch_every == 0:
            # what is built to look at must not change what is drawn afterwards
            with torch.random.fork_rng(devices=[]):
                seen = watch(average.values, step)
            _log(folder, facts | seen)
    _log(folder, {"finished": step, "seconds": round(spent, 1), "plan": asdict(plan)})
    return average.values


def _learn(
    model: nn.Module, optimiser: torch.optim.AdamW, loss: Tensor, clip: float
) -> float:
    """Change the weights by one batch, unless it would ruin them; return its loss."""
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    for name, value in (("loss", loss.detach()), ("gradient's norm", norm)):
        if not math.isfinite(value):
            raise ArithmeticError(f"the {name} became {float(value)}")
    optimiser.step()
    return float(loss.detach())


def _log(folder: Path, facts: Mapping[str, object]) -> None:
    line = json.dumps(facts)
    logger.info("%s", line)
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
