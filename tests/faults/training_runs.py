"""Runs that are stopped by signals, in processes of their own; prints how each ended.

One process imports everything and forks, which is what makes this fast. The ranks are
started by what torchrun itself calls, agent, rendezvous and signals included.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from napari_cytodino.training.commands.app import app
from napari_cytodino.training.finetuning import results
from napari_cytodino.training.finetuning._callbacks import StateThenEnd
from napari_cytodino.training.finetuning.trainer import FinetuneTrainer

if TYPE_CHECKING:
    from collections.abc import Callable


def before(owner: Any, name: str, when: Callable[..., bool], act: Any) -> None:
    """Act once on what a function is called with, where that fits, before it runs."""
    stock, left = getattr(owner, name), [act]

    def armed(*args: Any, **kwargs: Any) -> Any:
        if left and when(*args):
            left.pop()(*args)
        return stock(*args, **kwargs)

    setattr(owner, name, armed)


def at(step: int) -> Callable[..., bool]:
    return lambda trainer, *_: trainer.state.global_step == step


def train(out: Path, *changes: str) -> None:
    """Run the command as a user does; the process ends with its exit code."""
    settings = [f"--set={change}" for change in changes]
    arguments = ["train", "finetune-smoke", "--out", str(out), *settings]
    # else even a good end is an exception, which the launcher takes for a fault
    if code := app(arguments, standalone_mode=False):
        raise SystemExit(code)


def ended(work: Callable[[], Any]) -> int:
    """Return the exit code of a process that does this; below 0 a signal."""
    pid = os.fork()
    if not pid:
        # a group of its own, as a cluster ends it
        os.setpgrp()
        code = 1
        try:
            work()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def terminated(name: str, when: Callable[..., bool], group: bool) -> None:
    send = os.killpg if group else os.kill
    owner = results if name == "merge_lora" else FinetuneTrainer
    before(owner, name, when, lambda *_: send(os.getpid(), signal.SIGTERM))


def alone(out: Path) -> dict[str, int]:
    """Stop one run three times, and a fourth time let it end."""
    two, more = "run.epochs=2", "run.workers=2"

    def first() -> None:
        terminated("training_step", at(6), group=False)
        train(out / "stopped", two)

    def at_the_end_of_an_epoch() -> None:
        terminated("training_step", at(11), group=True)
        train(out / "stopped", two, more)

    def merging() -> None:
        terminated("merge_lora", lambda *_: True, group=False)
        train(out / "stopped", two)

    codes = {"whole": ended(lambda: train(out / "whole", two))}
    for leg in (first, at_the_end_of_an_epoch, merging):
        codes[leg.__name__] = ended(leg)
        codes[f"{leg.__name__}: newest"] = newest(out / "stopped")
    return codes | {"resumed": ended(lambda: train(out / "stopped", two))}


def newest(run: Path) -> int:
    seals = (run / "states").glob("*/COMPLETE.json")
    return max(int(p.parent.name.removeprefix("checkpoint-")) for p in seals)


def two_ranks(out: Path, fault: str = "") -> None:
    """Do as torchrun does with `--nproc_per_node 2`."""
    launch = LaunchConfig(
        **{"min_nodes": 1, "max_nodes": 1, "nproc_per_node": 2},
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="fork",
        max_restarts=0,
        monitor_interval=0.1,
    )
    elastic_launch(launch, one_rank)(out, fault)


def one_rank(out: Path, fault: str) -> None:
    if fault == "one killed" and os.environ["RANK"] == "1":
        kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        before(FinetuneTrainer, "training_step", at(8), kill)
    if fault == "terminated" and os.environ["RANK"] == "0":
        before(FinetuneTrainer, "training_step", at(3), terminate_the_launcher)
    train(out, "run.epochs=1")


def terminate_the_launcher(trainer: FinetuneTrainer, *_: Any) -> None:
    """Ask the launcher to end, and wait until it has told this rank."""
    os.kill(os.getppid(), signal.SIGTERM)
    kinds = trainer.callback_handler.callbacks
    told = next(c.asked for c in kinds if isinstance(c, StateThenEnd))
    while not told():
        time.sleep(0.01)


def ranks(out: Path) -> dict[str, int]:
    """Stop a run of two ranks by each of two faults, then let it end."""
    codes = {"whole": ended(lambda: two_ranks(out / "whole"))}
    for fault in ("terminated", "one killed"):
        start = time.monotonic()
        codes[fault] = ended(lambda fault=fault: two_ranks(out / "stopped", fault))
        codes[f"{fault}: seconds"] = round(time.monotonic() - start)
        codes[f"{fault}: newest"] = newest(out / "stopped")
    return codes | {"resumed": ended(lambda: two_ranks(out / "stopped"))}


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[2])
    found = {"alone": alone, "ranks": ranks}[sys.argv[1]](folder)
    sys.stdout.write(f"\n{json.dumps(found)}\n")
