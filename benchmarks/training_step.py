"""Measure the training engine: ``python benchmarks/training_step.py``."""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_
from transformers import EarlyStoppingCallback

from napari_cytodino.synthetic.smear import synthetic_crops
from napari_cytodino.training.data.crops import CellFile, cell_set
from napari_cytodino.training.finetuning.augmentation import augment
from napari_cytodino.training.finetuning.model import (
    new_model,
    parameter_counts,
    trained_share,
)
from napari_cytodino.training.finetuning.pipeline import loss_of
from napari_cytodino.training.finetuning.trainer import (
    FinetuneTrainer,
    arguments,
    to_views,
)
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe

if TYPE_CHECKING:
    from napari_cytodino.training.data.crops import CellSet

PROTOCOL = """\
Protocol
  Images a second of forward, backward and optimiser, on the same model, crops (drawn in
  code, in memory), augmentation, loss and order, in one run, alternating. The model has
  random weights: speed does not depend on them.
  plain   as domain.md 1.2 and 1.3 describe the published loop: float32, one image at a
          time, every fourth followed by a step of AdamW, norm clipped at 1.
  engine  the Trainer of this package: {engine}.
"""


SHAPES = {
    "mll21-vits16": {"width": 384, "layers": 12, "heads": 6, "feed_forward": 1536},
    "mll21-vitl16": {"width": 1024, "layers": 24, "heads": 16, "feed_forward": 4096},
}
"""Of the backbones that the recipes name; their weights are gated."""

TINY = {"width": 192, "layers": 12, "heads": 3, "feed_forward": 768}
"""ViT-Ti/16: small enough for a CPU."""


def read(name: str, changes: list[str], tiny: bool) -> FinetuneRecipe:
    """Read a recipe, its backbone with random weights."""
    content, file = read_recipe(name, changes)
    backbone = {k: v for k, v in content["backbone"].items() if k != "source"}
    content["backbone"] = backbone | {
        "random": {**(TINY if tiny else SHAPES[name]), "registers": 4}
    }
    return build(FinetuneRecipe, content, file)


def make_cells(recipe: FinetuneRecipe, count: int) -> CellSet:
    """Draw crops of every class in turn."""
    taxonomy = recipe.classes_in_order
    each = -(-count // len(taxonomy))
    pixels, codes = synthetic_crops(
        taxonomy.codes, each, size=recipe.field_of_view, seed=0
    )
    files = [CellFile(f"drawn/{i}", code) for i, code in enumerate(codes)]
    return cell_set(files, taxonomy, recipe.field_of_view, pixels=pixels)


def plain_loop(recipe: FinetuneRecipe, cells: CellSet, device: torch.device) -> float:
    """Return images a second of the loop as it was published."""
    model = new_model(recipe).to(device).train()
    loss = loss_of(recipe, cells.targets).to(device)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, recipe.optim.lr, weight_decay=0.01)
    shape = (1, 3, 1, 1)
    mean = torch.tensor(recipe.mean, device=device).view(shape)
    std = torch.tensor(recipe.std, device=device).view(shape)
    start = 0.0
    for i in range(len(cells)):
        if i == WARM:
            finish(device)
            start = time.perf_counter()
        crop = torch.from_numpy(np.ascontiguousarray(cells.crop(i)))[None].to(device)
        view = augment(
            to_views(crop, recipe.size), [[0, i]], recipe.augmentation, recipe.seed
        )
        target = torch.tensor([int(cells.targets[i])], device=device)
        logits = model(pixel_values=(view - mean) / std).logits
        torch.autograd.backward(loss(logits, target) / 4)
        if i % 4 == 3:
            clip_grad_norm_(learning, 1.0)
            optimiser.step()
            optimiser.zero_grad()
    finish(device)
    return (len(cells) - WARM) / (time.perf_counter() - start)


def engine(recipe: FinetuneRecipe, cells: CellSet) -> float:
    """Return images a second of this package's Trainer."""
    with tempfile.TemporaryDirectory() as folder:
        args = arguments(recipe, Path(folder))
        args = replace(
            args,
            num_train_epochs=1,
            eval_strategy="no",
            save_strategy="no",
            load_best_model_at_end=False,
            restore_callback_states_from_checkpoint=False,
        )
        trainer = Timed(
            recipe,
            new_model(recipe),
            loss_of(recipe, cells.targets),
            lambda _epoch: np.arange(len(cells)),
            cells,
            cells,
            args,
        )
        trainer.remove_callback(EarlyStoppingCallback)  # it needs an evaluation
        trainer.train()
        finish(trainer.args.device)
        return trainer.done / (time.perf_counter() - trainer.start)


class Timed(FinetuneTrainer):
    """Counts images from the first step after the warm-up on."""

    done, start = 0, 0.0

    def training_step(self, model, inputs, *args, **kwargs):  # type: ignore[no-untyped-def]
        """Learn from one batch."""
        seen = self.state.global_step * self.recipe.run.effective_batch
        if not self.start and seen >= WARM:
            finish(self.args.device)
            self.start = time.perf_counter()
        if self.start:
            self.done += len(inputs["targets"])
        return super().training_step(model, inputs, *args, **kwargs)


WARM = 32
"""Images before the clock starts."""


def finish(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak(device: torch.device) -> str:
    """Say how much memory was needed at most."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB on the GPU"
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{kilobytes / 2**20:.2f} GiB of the whole process"


def main() -> None:
    """Print protocol, rates and ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", choices=SHAPES, default="mll21-vits16")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--tiny", action="store_true", help="with ViT-Ti/16 instead")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    recipe = read(given.recipe, given.changes, given.tiny)
    cells = make_cells(recipe, given.images)
    with tempfile.TemporaryDirectory() as folder:
        args = arguments(recipe, Path(folder))
    kind = "bfloat16" if args.bf16 else "float32"
    batch = f"{recipe.run.batch} at once, {recipe.run.effective_batch} a step, {kind}"
    print(PROTOCOL.format(engine=batch))
    device = args.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    what = f"{recipe.name}{' with ViT-Ti/16' if given.tiny else ''}"
    print(f"{what} at {recipe.size} px, {len(cells)} crops, {name}, ", end="")
    print(f"{torch.get_num_threads()} threads")
    print(trained_share(parameter_counts(new_model(recipe))))
    ratios = []
    for number in range(given.rounds):
        slow, fast = plain_loop(recipe, cells, device), engine(recipe, cells)
        ratios.append(fast / slow)
        print(
            f"round {number + 1}: plain {slow:.2f}, engine {fast:.2f} images a second"
        )
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"ratio: median {np.median(ratios):.2f} ({spread}), n = {len(ratios)} rounds")
    print(f"peak memory: {peak(device)}")
    if given.json:
        figures = {"training step, x": float(np.median(ratios))}
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
