"""What happens beside training: the epoch's order, states in between, log and bar."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.integrations import TensorBoardCallback

from napari_cytodino.training.runs import CODE, on_any_rank

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transformers import TrainerControl, TrainerState, TrainingArguments

    from napari_cytodino.training.data import EpochSampler
    from napari_cytodino.training.recipes import RunPlan


logger = logging.getLogger(__name__)


class EpochOrder(TrainerCallback):
    """Tells the sampler the epoch, also when a run is taken up within one."""

    def __init__(self, sampler: EpochSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Take the epoch from the state: the loop's own count is not passed on."""
        self.sampler.set_epoch(int(state.epoch or 0))


class StatesBetween(TrainerCallback):
    """Asks for a state every so many steps, but not where the epoch ends anyway."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Compare the step; a state of the epoch's end is written after its figures."""
        ends = float(state.epoch or 0).is_integer()
        if self.every and state.global_step % self.every == 0 and not ends:
            control.should_save = True


class StateThenEnd(TrainerCallback):
    """Asks for a state at the end of the step in which SIGTERM came, and ends there.

    Where the step ends an epoch, the state follows the epoch's figures, as always: a
    state without them would lose them.

    Parameters
    ----------
    asked : callable
        Whether it came to this process; the processes of a run agree by themselves.
    """

    def __init__(self, asked: Callable[[], bool]) -> None:
        self.asked = asked
        self.stops = False

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Ask all processes."""
        self.stops = on_any_rank(self.asked(), args.device)
        if self.stops and not float(state.epoch or 0).is_integer():
            control.should_save = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """End the process, now that the state is sealed."""
        if self.stops:
            if state.is_world_process_zero:
                logger.warning(
                    "Stopped by SIGTERM after step %d, which is sealed: run the same "
                    "again to go on.",
                    state.global_step,
                )
            raise SystemExit(CODE)


class RunLog(TrainerCallback):
    """Appends a line of JSON for each step that is logged; the summary is no use.

    After a resume the trainer's own mean loss covers only the rest of the run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **_: Any,
    ) -> None:
        """Write step and figures."""
        if state.is_world_process_zero and "train_runtime" not in logs:
            line = json.dumps({"step": state.global_step} | logs)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


class Bar(TrainerCallback):
    """A progress bar with loss, macro F1 and the time left."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None
        self.shown: dict[str, str] = {}

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Open the bar on the first process, where the run is."""
        if state.is_world_process_zero:
            self.bar = tqdm(
                total=state.max_steps, initial=state.global_step, unit="step"
            )

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Move on."""
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **_: Any,
    ) -> None:
        """Show the newest loss and macro F1."""
        if self.bar is None:
            return
        for key, name in (("loss", "loss"), ("eval_macro_f1", "F1")):
            if key in logs:
                self.shown[name] = f"{logs[key]:.4f}"
        self.bar.set_postfix(self.shown)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()


def callbacks_for(
    plan: RunPlan, sampler: EpochSampler, out: Path
) -> list[TrainerCallback]:
    """Return the callbacks of a run whose folder is ``out``."""
    board = TensorBoardCallback()
    board.logging_dir = str(out / "tensorboard")
    return [
        EpochOrder(sampler),
        EarlyStoppingCallback(plan.patience),
        StatesBetween(plan.save_steps),
        RunLog(out / "log.jsonl"),
        board,
        Bar(),
    ]
