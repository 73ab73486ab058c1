"""The trainer: schedule, gradients whatever the cut, ranks, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from napari_cytodino.checkpoints.checkpoint import Checkpoint
from napari_cytodino.checkpoints.folder import Preprocessing
from napari_cytodino.inference.classifier import preprocess
from napari_cytodino.training.finetuning import trainer as module
from napari_cytodino.training.finetuning.model import new_model
from napari_cytodino.training.finetuning.parts import load_parts
from napari_cytodino.training.finetuning.pipeline import make_trainer
from napari_cytodino.training.finetuning.states import load_adapter
from napari_cytodino.training.finetuning.trainer import (
    FinetuneTrainer,
    arguments,
    macro_f1_of_all,
    rate_factor,
    to_views,
)
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe, OptimPlan
from napari_cytodino.training.recipes.reading import build, read_recipe
from napari_cytodino.training.runs.states import TrainingError, newest_complete
from napari_cytodino.uncertainty.decisions import DecisionPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STILL = (
    "lora.dropout=0.0",
    "head.dropout=0.0",
    "backbone.pos_embed_rescale=1.0",
    "run.epochs=1",
)
"""No chance in the model, so that runs cut in other ways can be compared."""


def recipe_with(*changes: str) -> FinetuneRecipe:
    return build(FinetuneRecipe, *read_recipe("finetune-smoke", (*STILL, *changes)))


def trainer_for(recipe: FinetuneRecipe, out: Path) -> FinetuneTrainer:
    return make_trainer(recipe, load_parts(recipe, None, out), arguments(recipe, out))


def losses(run: Path) -> list[float]:
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


def test_the_published_rates() -> None:
    plan = OptimPlan()
    rates = [plan.lr * rate_factor(1000 * e, 1000, 8000, plan) for e in range(8)]
    # domain.md 1.2, 19: the learning rates that were used, epoch by epoch
    used = [3.00e-4, 2.89e-4, 2.56e-4, 2.07e-4, 1.50e-4, 9.27e-5, 4.40e-5, 1.15e-5]
    assert rates == pytest.approx(used, rel=4e-3)
    stock = torch.optim.lr_scheduler.CosineAnnealingLR(
        torch.optim.SGD([torch.zeros(1)], lr=plan.lr), T_max=8, eta_min=1e-7
    )
    for rate in rates:
        assert stock.get_last_lr()[0] == pytest.approx(rate, rel=1e-9)
        stock.optimizer.step()
        stock.step()
    within = {rate_factor(step, 1000, 8000, plan) for step in range(1000, 2000)}
    assert len(within) == 1


def test_the_rate_by_step_rises_then_falls() -> None:
    plan = OptimPlan(schedule="cosine", warmup=0.1, lr_end=1e-7)
    rates = [rate_factor(step, 10, 100, plan) for step in range(101)]
    assert rates[0] > 0
    assert max(rates) == rates[10] == 1
    assert all(a < b for a, b in pairwise(rates[:11]))
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[100] == pytest.approx(1e-7 / 3e-4)


def test_macro_f1_counts_every_class() -> None:
    targets = np.array([0, 0, 1, 1, 1])
    logits = np.eye(4)[[0, 1, 1, 1, 1]]
    found = macro_f1_of_all((logits, targets))
    expected = f1_score(
        targets, logits.argmax(1), labels=range(4), average="macro", zero_division=0
    )
    assert found["macro_f1"] == pytest.approx(expected)
    assert found["accuracy"] == 0.8
    # what the published code gives, which leaves absent classes out of the mean
    assert found["macro_f1"] < f1_score(targets, logits.argmax(1), average="macro")
    with pytest.raises(TrainingError, match="not finite"):
        macro_f1_of_all((logits * np.nan, targets))


def test_cells_are_resized_as_for_inference() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 50, 50, 3), np.uint8)
    want = Preprocessing(32, 50.0, (0.5, 0.4, 0.6), (0.2, 0.3, 0.1))
    checkpoint = Checkpoint("x", None, want, DecisionPolicy(), "", "", None)  # type: ignore[arg-type]
    expected = preprocess(pixels, checkpoint)
    own = to_views(torch.from_numpy(pixels), 32)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (want.mean, want.std))
    assert torch.allclose((own - mean) / std, expected, atol=1e-5)
    assert own.shape == (2, 3, 32, 32)


def test_an_apple_gpu_gets_the_views_of_the_cpu(
    on_apple_gpu: Callable[[Any], Any],
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 50, 50, 3), np.uint8)
    there = to_views(on_apple_gpu(torch.from_numpy(pixels)), 32)
    assert there.device.type == "mps"
    assert torch.equal(there.cpu(), to_views(torch.from_numpy(pixels), 32))


def gradients(trainer: FinetuneTrainer) -> list[torch.Tensor]:
    """Run one optimiser step and return the gradients that it was given."""
    found: list[torch.Tensor] = []

    class Taken(Exception):
        pass

    def take(model: torch.nn.Module) -> None:
        found.extend(p.grad.clone() for p in model.parameters() if p.grad is not None)
        raise Taken

    trainer._clip_grad_norm = take  # type: ignore[method-assign]
    with pytest.raises(Taken):
        trainer.train()
    return found


def test_accumulated_gradients_equal_those_of_one_batch(tmp_path: Path) -> None:
    found = [
        gradients(
            trainer_for(
                recipe_with("run.effective_batch=8", f"run.batch={batch}"), tmp_path
            )
        )
        for batch in (2, 8)
    ]
    assert len(found[0]) == len(found[1]) > 20
    largest = max(float(g.abs().max()) for g in found[1])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6 * largest)


def test_everything_that_learns_is_decayed(tmp_path: Path) -> None:
    trainer = trainer_for(recipe_with("optim.weight_decay=0.02"), tmp_path)
    optimiser = trainer.create_optimizer()
    (group,) = optimiser.param_groups
    learning = [p for p in trainer.model.parameters() if p.requires_grad]
    assert len(group["params"]) == len(learning)
    assert any(p.ndim == 1 for p in group["params"])
    assert (group["weight_decay"], group["lr"]) == (0.02, 3e-3)


def test_the_order_is_that_of_the_epoch(tmp_path: Path) -> None:
    recipe = recipe_with()
    trainer = trainer_for(recipe, tmp_path)
    sampler = trainer._get_train_sampler()
    keys = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        keys.append(list(sampler))
    assert keys[0] == keys[2] != keys[1]
    assert [key[1:] for key in keys[1]] == [(1, place) for place in range(48)]
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["pixels"].shape == (2, 64, 64, 3)
    assert batch["keys"].tolist() == [[0, 0], [0, 1]]
    watched = next(iter(trainer.get_eval_dataloader()))
    assert set(watched) == {"pixels", "targets"}


def test_views_are_augmented_by_key_and_only_with_one(tmp_path: Path) -> None:
    trainer = trainer_for(recipe_with(), tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    augmented = trainer.inputs_of(batch)
    assert torch.equal(augmented, trainer.inputs_of(batch))
    plain = trainer.inputs_of({"pixels": batch["pixels"]})
    assert not torch.equal(augmented, plain)
    assert torch.allclose(
        plain * trainer.std + trainer.mean, to_views(batch["pixels"], 32), atol=1e-6
    )


def test_a_gradient_that_is_no_number_stops(tmp_path: Path) -> None:
    trainer = trainer_for(recipe_with(), tmp_path)
    stock = trainer.compute_loss

    def breaks(*args: Any, **kwargs: Any) -> Any:
        loss = stock(*args, **kwargs)
        # the square root of 0 is 0, its slope is not finite
        return loss + (loss - loss).sqrt()

    trainer.compute_loss = breaks  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="step 1 the gradient's norm became nan"):
        trainer.train()


@pytest.mark.slow
def test_two_ranks_equal_one_at_the_same_global_batch(tmp_path: Path) -> None:
    recipe = recipe_with("run.batch=2")
    one = tmp_path / "one"
    one.mkdir()
    trainer_for(recipe, one).run()
    two = tmp_path / "two"
    changes = [f"--set={change}" for change in (*STILL, "run.batch=2")]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["--master_port", str(20000 + os.getpid() % 20000)]
    command += ["-m", "napari_cytodino.training", "train", "finetune-smoke"]
    done = subprocess.run(
        [*command, "--out", str(two), *changes],
        env=os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # `accelerate launch` may silently start one process: ask what there was
    facts = json.loads((two / "fingerprint.json").read_text("utf-8"))
    assert facts["processes"] == 2
    assert len(list((two / "states").glob("*/rng_state_1.pth"))) == 3
    assert losses(two) == pytest.approx(losses(one), rel=2e-3)
    assert len(losses(one)) == 12
    last = [newest_complete(run / "states") for run in (one, two)]
    models = [new_model(recipe).eval() for _ in last]
    pixels = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers = []
    for model, newest in zip(models, last, strict=True):
        assert newest is not None
        load_adapter(model, newest)
        answers.append(model(pixel_values=pixels).logits.detach())
    assert answers[0].isfinite().all()
    assert torch.allclose(*answers, atol=5e-3)
    assert "Checkpoint:" in done.stdout
    assert done.stdout.count("Checkpoint:") == 1


@pytest.mark.parametrize(
    ("cuda", "mps", "precision", "wanted"),
    [
        (True, False, "auto", ["cuda"]),
        (False, False, "auto", ["cpu"]),
        (False, True, "auto", []),
        (False, False, "float32", ["cpu"]),
    ],
)
def test_bfloat16_is_for_devices_that_multiply_in_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cuda: bool,
    mps: bool,
    precision: str,
    wanted: list[str],
) -> None:
    asked: list[str] = []
    given: dict[str, Any] = {}
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)
    monkeypatch.setattr(
        module, "bfloat16_is_faster", lambda kind: not asked.append(kind)
    )
    monkeypatch.setattr(module, "TrainingArguments", lambda **kept: given.update(kept))
    arguments(recipe_with(f"run.precision={precision}"), tmp_path)
    assert asked == wanted
    assert given["bf16"] == (precision == "auto" and bool(wanted))
    assert given["use_cpu"] == (not cuda and not mps)
