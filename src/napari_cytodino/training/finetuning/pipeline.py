"""Fine-tuning from a recipe and cells to a checkpoint, taken up wherever it stopped."""

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import set_seed
from torch import nn

from napari_cytodino.checkpoints import describe_backbone
from napari_cytodino.common import CytoDinoError, write_json
from napari_cytodino.training.data import class_weights, epoch_order
from napari_cytodino.training.finetuning._losses import (
    HierarchicalFocalLoss,
    WeightedCrossEntropy,
)
from napari_cytodino.training.finetuning.model import (
    new_model,
    parameter_counts,
    trained_share,
)
from napari_cytodino.training.finetuning.parts import load_parts
from napari_cytodino.training.finetuning.results import finish
from napari_cytodino.training.finetuning.trainer import FinetuneTrainer, arguments
from napari_cytodino.training.runs import (
    TrainingError,
    bind_run,
    sigterm_ends,
    versions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from peft import PeftModel
    from transformers import TrainingArguments

    from napari_cytodino.training.finetuning.parts import Parts
    from napari_cytodino.training.recipes import FinetuneRecipe


logger = logging.getLogger(__name__)

RECIPE = "recipe.json"
"""The resolved recipe of a run, every default written out."""

UNBOUND = (
    *(("backbone", "source"), ("backbone", "revision")),
    *(("run", "workers"), ("run", "log_steps"), ("run", "save_steps")),
)
"""Settings that may differ when a run is taken up: they leave the weights as they are.

Where the backbone lies is one of them, since the hash of its weights is compared.
"""


def loss_of(recipe: FinetuneRecipe, targets: NDArray[Any]) -> nn.Module:
    """Build the recipe's loss; class factors come from the training part alone.

    Parameters
    ----------
    recipe : FinetuneRecipe
        Names variant and factors.
    targets : NDArray[np.int64]
        (N,) of the training part.
    """
    plan, taxonomy = recipe.loss, recipe.classes_in_order
    roots = class_weights(targets, len(taxonomy))
    factors = {
        "none": roots**0,
        "sqrt-balanced": roots,
        "balanced": roots**2,
    }[plan.class_weights]
    weights = torch.from_numpy(factors).float()
    if plan.variant == "cross-entropy":
        return WeightedCrossEntropy(weights)
    return HierarchicalFocalLoss(
        taxonomy,
        variant=plan.variant,
        smoothing=plan.smoothing,
        within_lineage_weight=plan.within_lineage_weight,
        sequential_bonus=plan.sequential_bonus,
        critical_penalty=plan.critical_penalty,
        gamma=plan.gamma,
        class_weights=weights,
    )


def run_facts(
    recipe: FinetuneRecipe, parts: Parts, args: TrainingArguments
) -> dict[str, Any]:
    """Return what a run is bound to: recipe, cells, base, and what computes it."""
    plan = recipe.backbone
    base = describe_backbone(plan.source, plan.revision) if plan.source else None
    bound = asdict(recipe)
    for table, name in UNBOUND:
        del bound[table][name]
    return {
        "recipe": bound,
        "split_sha256": parts.split_sha256,
        "base_sha256": base.sha256 if base else "random",
        "processes": args.world_size,
        "device": args.device.type,
        "precision": "bfloat16" if args.bf16 else "float32",
        # on a CPU sums are cut among threads, which decides their last bits
        "threads": torch.get_num_threads() if args.device.type == "cpu" else 0,
        "versions": versions(),
    }


def make_trainer(
    recipe: FinetuneRecipe, parts: Parts, args: TrainingArguments
) -> FinetuneTrainer:
    """Build model, loss and order; all that is by chance comes from the seed."""
    plan = recipe.sampling
    targets = parts.train.targets
    order = partial(
        _order, targets, power=plan.power, multiplier=plan.multiplier, seed=recipe.seed
    )
    model = new_model(recipe)
    trainer = FinetuneTrainer(
        recipe,
        model,
        loss_of(recipe, targets),
        order,
        parts.train,
        parts.selection,
        args,
    )
    set_seed(recipe.seed, device_specific=True)
    return trainer


def _order(targets: NDArray[Any], epoch: int, **settings: Any) -> NDArray[Any]:
    return epoch_order(targets, epoch=epoch, **settings)


def finetune(
    recipe: FinetuneRecipe,
    data: Path | None,
    out: Path,
    *,
    allow_inexact: bool = False,
) -> dict[str, Any]:
    """Run a recipe from cells to checkpoint, or take up what ``out`` holds already.

    Parameters
    ----------
    recipe : FinetuneRecipe
        What to do.
    data : Path, optional
        Folder of the cells; a synthetic recipe needs none.
    out : Path
        Folder for states, log, TensorBoard, split, recipe, checkpoint and figures.
    allow_inexact : bool
        Go on with another number of processes, another device or other versions, which
        changes the last bits.

    Returns
    -------
    dict
        The figures in ``metrics.json``; empty on all processes but the first.

    Raises
    ------
    CytoDinoError
        One sentence: what does not fit, or why the run had to stop. The newest sealed
        state is kept, and the same call takes it up.
    SystemExit
        With code 143 after SIGTERM; a step under way is finished and sealed before.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with sigterm_ends(), exact_kernels(torch.cuda.is_available()):
            return _finetune(recipe, data, out, allow_inexact=allow_inexact)
    except OSError as error:
        raise TrainingError(
            f"{error.filename or out} cannot be read or written ({error.strerror}): "
            "mend that, or free space on the disk, and run the same again; sealed "
            "states are kept."
        ) from error
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"The device has too little memory for run.batch = {recipe.run.batch} "
            "cells at once: lower it, which leaves the effective batch as it is, or "
            "set backbone.activation_checkpointing=true, in an empty folder."
        ) from error
    except CytoDinoError as error:
        # a worker's error comes with its traceback, the sentence last
        *before, sentence = str(error).strip().splitlines()
        if not before:
            raise
        raise TrainingError(sentence.partition("Error: ")[2] or sentence) from error


@contextmanager
def exact_kernels(wanted: bool) -> Iterator[None]:
    """Have a GPU give the same bits again, which some of its sums do not by default.

    Attention's backward pass adds in the order in which threads come; without this a
    resumed run would differ from one that was never killed. Costs some speed.
    """
    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        # cuBLAS reads this when it starts
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _finetune(
    recipe: FinetuneRecipe, data: Path | None, out: Path, *, allow_inexact: bool
) -> dict[str, Any]:
    args = arguments(recipe, out)
    with args.main_process_first(local=False):
        parts = load_parts(recipe, data, out)
        facts = run_facts(recipe, parts, args)
        if args.should_save:
            bind_run(out, facts, allow_inexact=allow_inexact)
            write_json(out / RECIPE, json.loads(json.dumps(asdict(recipe))))
    stored = _figures(out / "metrics.json")
    if stored is not None:
        return stored
    trainer = make_trainer(recipe, parts, args)
    logger.info("%s", trained_share(parameter_counts(trainer.model)))
    model: PeftModel = trainer.run()
    if not args.should_save:
        return {}
    return finish(recipe, model, parts, out, args.device.type)


def _figures(path: Path) -> dict[str, Any] | None:
    """Return the figures of a run that is over; None where there are none to read."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.warning("%s cannot be read (%s): it is made anew.", path, error)
        return None
    return stored if isinstance(stored, dict) else None
