"""transformers' Trainer with our loss, order, augmentation and sealed states."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from napari_cytodino.common import CytoDinoError
from napari_cytodino.inference import bfloat16_is_faster
from napari_cytodino.models import resize
from napari_cytodino.training.data import CellDataset, EpochSampler
from napari_cytodino.training.finetuning._callbacks import StateThenEnd, callbacks_for
from napari_cytodino.training.finetuning._fused_lora import fuse_lora
from napari_cytodino.training.finetuning.augmentation import augment
from napari_cytodino.training.finetuning.states import (
    STATES,
    WEIGHTS,
    best_state,
    is_over,
    load_adapter,
    save_adapter,
)
from napari_cytodino.training.metrics import confusion, f1_scores
from napari_cytodino.training.runs import (
    PREFIX,
    TrainingError,
    drop_incomplete,
    mark_complete,
    newest_complete,
    sigterm_waits,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from peft import PeftModel
    from torch import Tensor, nn

    from napari_cytodino.training.data import CellSet
    from napari_cytodino.training.recipes import FinetuneRecipe, OptimPlan


__all__ = [
    "STATES",
    "WEIGHTS",
    "FinetuneTrainer",
    "arguments",
    "best_state",
    "macro_f1_of_all",
    "rate_factor",
    "to_views",
]

KEPT = 3
"""States on the disk at once: the best, the newest, and one to fall back to."""


def rate_factor(step: int, steps_per_epoch: int, steps: int, plan: OptimPlan) -> float:
    """Return the learning rate of a step as a share of the highest.

    ``epoch-cosine`` is the published schedule: constant within an epoch, half a cosine
    over ``period`` epochs, no warm-up.
    """
    if plan.schedule == "epoch-cosine":
        progress = (step // steps_per_epoch) / plan.period
    else:
        first = plan.warmup * steps
        if step < first:
            return (step + 1) / (first + 1)
        progress = (step - first) / max(steps - first, 1)
    low = plan.lr_end / plan.lr
    return low + (1 - low) * (1 + math.cos(math.pi * min(progress, 1))) / 2


def to_views(pixels: Tensor, size: int) -> Tensor:
    """Resize uint8 crops (B, S, S, 3) as inference does: (B, 3, size, size) in 0..1."""
    return resize(pixels.permute(0, 3, 1, 2).float(), size) / 255


def macro_f1_of_all(answers: tuple[Any, Any]) -> dict[str, float]:
    """Return macro F1 over all classes, 0 for one neither present nor guessed.

    The published score leaves such a class out of the mean (domain.md 1.2, 18).

    Raises
    ------
    TrainingError
        When logits are not finite: their argmax would be class 0 for every cell.
    """
    logits, targets = answers
    if not np.isfinite(logits).all():
        raise TrainingError(
            "The model answers validation cells with values that are not finite: start "
            "again with a lower optim.lr."
        )
    table = confusion(targets, logits.argmax(axis=1), logits.shape[1])
    return {
        "macro_f1": float(f1_scores(table).mean()),
        "accuracy": float(np.diag(table).sum() / max(table.sum(), 1)),
    }


def arguments(recipe: FinetuneRecipe, out: Path) -> TrainingArguments:
    """Return what transformers needs to know of a recipe, on this machine."""
    plan = recipe.run
    cuda = torch.cuda.is_available()
    cpu = not cuda and not torch.backends.mps.is_available()
    kind = "cuda" if cuda else "cpu"
    # not measured on an Apple GPU
    gains = (cuda or cpu) and bfloat16_is_faster(kind)
    # torchrun says how many processes there are
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    return TrainingArguments(
        output_dir=str(out / STATES),
        num_train_epochs=plan.epochs,
        per_device_train_batch_size=plan.batch,
        per_device_eval_batch_size=plan.eval_batch,
        gradient_accumulation_steps=plan.accumulation(processes),
        max_grad_norm=recipe.optim.clip,
        learning_rate=recipe.optim.lr,
        seed=recipe.seed,
        bf16=plan.precision == "auto" and gains,
        use_cpu=cpu,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=KEPT,
        logging_steps=plan.log_steps,
        logging_nan_inf_filter=False,
        load_best_model_at_end=True,
        metric_for_best_model="macro_f1",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        dataloader_num_workers=plan.decoders,
        remove_unused_columns=False,
        label_names=["targets"],
        ddp_find_unused_parameters=False,
        report_to="none",
    )


class FinetuneTrainer(Trainer):
    """Trains adapters and head; killed at any moment it resumes to the same weights.

    Parameters
    ----------
    recipe : FinetuneRecipe
        What to do.
    model : PeftModel
        From `core.adapter.add_lora`.
    loss : nn.Module
        (logits, targets) -> mean loss.
    order : callable
        Epoch -> indices of the training cells.
    train, watched : CellSet
        Training part, and the part that chooses the best epoch.
    args : TrainingArguments
        From `arguments`.
    """

    loss_is_scaled_for_ga = False

    def __init__(
        self,
        recipe: FinetuneRecipe,
        model: PeftModel,
        loss: nn.Module,
        order: Callable[[int], NDArray[np.int64]],
        train: CellSet,
        watched: CellSet,
        args: TrainingArguments,
    ) -> None:
        self.recipe = recipe
        self.sampler = EpochSampler(order)
        self.states = Path(args.output_dir)
        super().__init__(
            model=model,
            args=args,
            train_dataset=CellDataset(train),
            eval_dataset=CellDataset(watched),
            compute_metrics=macro_f1_of_all,
            callbacks=callbacks_for(recipe.run, self.sampler, self.states.parent),
        )
        if args.bf16:
            fuse_lora(model)
        for stock in (PrinterCallback, ProgressCallback):
            self.remove_callback(stock)
        self.loss = loss.to(args.device)
        shape = (1, 3, 1, 1)
        self.mean = torch.tensor(recipe.mean, device=args.device).view(shape)
        self.std = torch.tensor(recipe.std, device=args.device).view(shape)

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        return self.sampler

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Decay every weight that learns, biases and norms too, as published."""
        plan = self.recipe.optim
        learning = [p for p in self.model.parameters() if p.requires_grad]
        chosen = torch.optim.AdamW(learning, lr=plan.lr, weight_decay=plan.weight_decay)
        self.optimizer = chosen
        return chosen

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Build the recipe's schedule."""
        per_epoch = math.ceil(num_training_steps / self.recipe.run.epochs)
        plan = self.recipe.optim
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer,
            lambda step: rate_factor(step, per_epoch, num_training_steps, plan),
        )
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def inputs_of(self, batch: dict[str, Tensor]) -> Tensor:
        """Resize, augment if the cells have keys, and normalise, all on the device."""
        pixels = to_views(batch["pixels"], self.recipe.size)
        if "keys" in batch:
            keys = batch["keys"].tolist()
            recipe = self.recipe
            pixels = augment(pixels, keys, recipe.augmentation, recipe.seed)
        return (pixels - self.mean) / self.std

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the mean loss of a batch, and its logits if asked."""
        logits = model(pixel_values=self.inputs_of(inputs)).logits.float()
        loss = self.loss(logits, inputs["targets"])
        return (loss, {"logits": logits}) if return_outputs else loss

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """Learn from one batch, and stop before a loss that is no number does harm."""
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise self._stopped(f"the loss became {float(loss)}", "lower optim.lr")
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)
        if norm is not None and not math.isfinite(float(norm)):
            raise self._stopped(
                f"the gradient's norm became {float(norm)}", "lower optim.lr"
            )
        return norm

    def _stopped(self, what: str, remedy: str) -> TrainingError:
        """Word an end before time, with what is left."""
        newest = newest_complete(self.states)
        kept = f"{newest} is kept" if newest else "nothing was sealed before"
        step = self.state.global_step + 1
        return TrainingError(f"At step {step} {what}; {kept}: {remedy}.")

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, but keep the long tale of steps out of every state."""
        super().log(logs, start_time)
        if "eval_macro_f1" not in logs:
            self.state.log_history.pop()

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save and output_dir is not None:
            save_adapter(self.model, Path(output_dir))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                mark_complete(self.states / f"{PREFIX}{self.state.global_step}")
        except (OSError, CytoDinoError, RuntimeError, SafetensorError) as error:
            drop_incomplete(self.states)
            raise self._stopped(
                f"the state could not be written ({str(error).splitlines()[0]})",
                "free space on the disk and run the same again",
            ) from error
        self.accelerator.wait_for_everyone()

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        load_adapter(self.model, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        load_adapter(self.model, best_state(self.states))

    def run(self) -> PeftModel:
        """Train from the newest sealed state, or from the start; return the best model.

        Raises
        ------
        TrainingError
            When the loss is no number or the disk is full; the last state is kept.
        SystemExit
            With code 143 once SIGTERM came and a state was sealed.
        """
        newest = newest_complete(self.states)
        with self.args.main_process_first(local=False):
            if self.args.should_save:
                drop_incomplete(self.states)
        if newest is not None and is_over(newest):
            self._load_best_model()
        else:
            self._train(newest)
        return self.model

    def _train(self, newest: Path | None) -> None:
        with sigterm_waits() as asked:
            self.add_callback(StateThenEnd(asked))
            try:
                self.train(resume_from_checkpoint=str(newest) if newest else None)
            except SystemExit:
                # closes the log of the board and the bar
                self.callback_handler.on_train_end(self.args, self.state, self.control)
                raise
