"""Train the network that finds cells, on two processor cores within an hour."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from napari_cytodino.common import InputError, atomic_write, write_json
from napari_cytodino.models import FinderNet
from napari_cytodino.training.finding.other_pictures import other_pictures
from napari_cytodino.training.finding.patches import Sources, draw_patch
from napari_cytodino.training.finding.scenes import read_fields, read_single_cells

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from napari_cytodino.training.recipes import FinderRecipe

logger = logging.getLogger(__name__)

WEIGHTS, STATE = "finder.safetensors", "state.pt"
"""What a run's folder keeps the weights and its newest state as."""

SHARES = {"centres": 1.0, "outlines": 4.0, "sizes": 1.0, "scale": 0.2}
"""Weights of the parts of the loss, that bring them to like size."""

OTHERS = 60
"""Pictures of something else that are drawn."""

SHOWN = 100
"""Steps between two lines of the log."""


class Batches(Dataset[tuple["Tensor", ...]]):
    """Batches of pictures, each a function of the seed and its number alone."""

    def __init__(self, recipe: FinderRecipe, data: Path, start: int) -> None:
        self._recipe, self._data, self._start = recipe, data, start

    def __len__(self) -> int:
        return self._recipe.finder.steps - self._start

    @cached_property
    def _sources(self) -> Sources:
        cells = read_single_cells(self._data, self._recipe.finder.cells, 0)
        return Sources(read_fields(self._data), cells, other_pictures(OTHERS, 0))

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        """Return absorbance, heat, outlines, sizes, octaves and weights."""
        chance = np.random.default_rng([self._recipe.seed, self._start + number])
        size = self._recipe.finder.batch
        patches = [draw_patch(self._sources, chance) for _ in range(size)]
        stacked = (
            np.stack([p.absorbance for p in patches]),
            np.stack([p.heat for p in patches]),
            np.stack([np.stack([p.nucleus, p.cell]) for p in patches]),
            np.stack([p.size for p in patches]),
            np.array([p.octaves for p in patches]),
            np.stack([p.weights for p in patches]),
        )
        return tuple(torch.from_numpy(np.asarray(a, np.float32)) for a in stacked)


def losses(net: FinderNet, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Return the parts of the loss: centres, outlines, sizes and scale.

    Notes
    -----
    Centres have the focal loss of CornerNet (Law & Deng 2018), which counts places
    beside a centre less; the scale a Gaussian likelihood with its own variance.
    """
    absorbance, heat, planes, size, octaves, weights = batch
    maps = net(absorbance)
    logits = torch.stack([maps.white, maps.red], 1)
    near = weights[:, :2, None, None]
    peaks = (heat > 0.98).float() * near
    guess = torch.sigmoid(logits)
    each = peaks * (1 - guess) ** 2 * F.logsigmoid(logits)
    beside = (1 - peaks) * near * (1 - heat) ** 4
    each = each + beside * guess**2 * F.logsigmoid(-logits)
    drawn = torch.stack([maps.nucleus, maps.cell], 1)
    outlines = F.binary_cross_entropy_with_logits(drawn, planes, reduction="none")
    known = (size > 0).float() * near
    mean, spread = maps.scale.mean((2, 3)).unbind(1)
    spread = spread.clamp(-4, 2)
    scale = ((mean - octaves) ** 2 * torch.exp(-spread) + spread) * weights[:, 4]
    return {
        "centres": -each.sum() / peaks.sum().clamp(min=1),
        "outlines": (outlines * weights[:, 2:4, None, None]).mean(),
        "sizes": (known * (maps.size - size).abs()).sum() / known.sum().clamp(min=1),
        "scale": scale.mean(),
    }


class _Fit:
    """Everything that a run changes, so that it can be stored and taken up."""

    def __init__(self, recipe: FinderRecipe) -> None:
        torch.manual_seed(recipe.seed)
        plan = recipe.finder
        self.net, self.step = FinderNet(plan.width), 0
        self.average = AveragedModel(
            self.net,
            multi_avg_fn=get_ema_multi_avg_fn(plan.average),  # type: ignore[no-untyped-call]
            use_buffers=True,
        )
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), plan.rate, weight_decay=1e-4
        )
        self.rates = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, plan.rate, total_steps=plan.steps, pct_start=0.1
        )

    def learn(self, batch: tuple[Tensor, ...]) -> dict[str, float]:
        """Take one step; return the parts of its loss."""
        parts = losses(self.net, batch)
        total = sum((SHARES[k] * v for k, v in parts.items()), torch.zeros(()))
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.rates.step()
        self.average.update_parameters(self.net)
        self.step += 1
        return {name: float(value.detach()) for name, value in parts.items()}

    def save(self, path: Path) -> None:
        """Write the state whole or not at all."""
        parts = ("net", "average", "optimizer", "rates")
        state = {name: getattr(self, name).state_dict() for name in parts}
        with atomic_write(path) as whole:
            torch.save({**state, "step": self.step}, whole)

    def load(self, path: Path) -> None:
        """Take up a state."""
        state = torch.load(path, weights_only=True)
        self.step = state.pop("step")
        for name, values in state.items():
            getattr(self, name).load_state_dict(values)


def train_finder(recipe: FinderRecipe, data: Path | None, out: Path) -> Path:
    """Train, taking up what ``out`` holds already; return the file of weights.

    Parameters
    ----------
    recipe : FinderRecipe
    data : Path
        Folder with `bccd-fields`, `fields-aslan`, `mll-marrow` and `pbc-blood`.
    out : Path
        Folder for states and weights.

    Raises
    ------
    InputError
        When there is no data, or ``out`` is of another recipe.
    """
    if data is None:
        raise InputError("The finder learns from real fields: give them with --data.")
    out.mkdir(parents=True, exist_ok=True)
    _same_recipe(recipe, out)
    fit = _Fit(recipe)
    if (out / STATE).is_file():
        fit.load(out / STATE)
    start = time.monotonic()
    seen: dict[str, float] = {}
    for batch in DataLoader(Batches(recipe, data, fit.step), None, num_workers=1):
        for name, value in fit.learn(batch).items():
            seen[name] = 0.98 * seen.get(name, value) + 0.02 * value
        if fit.step % SHOWN == 0:
            words = ", ".join(f"{name} {value:.3f}" for name, value in seen.items())
            passed = time.monotonic() - start
            logger.info(
                "step %d of %d: %s; %.0f s",
                fit.step,
                recipe.finder.steps,
                words,
                passed,
            )
        if fit.step % recipe.finder.keep == 0:
            fit.save(out / STATE)
    weights = {k: v.half() for k, v in fit.average.module.state_dict().items()}
    with atomic_write(out / WEIGHTS) as path:
        save_file(weights, path)
    return out / WEIGHTS


def _same_recipe(recipe: FinderRecipe, out: Path) -> None:
    """Refuse a folder of another recipe."""
    from napari_cytodino.checkpoints import read_json

    stored: dict[str, Any] = asdict(recipe)
    if (out / "recipe.json").is_file() and read_json(out / "recipe.json") != stored:
        raise InputError(
            f"{out} holds a run of another recipe: choose an empty folder, or give the "
            f"settings in {out / 'recipe.json'}."
        )
    write_json(out / "recipe.json", stored)
