"""Fitting the teacher, and the student that learns labels and teacher together."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_cytodino.training.data import draw, sampling_weights
from napari_cytodino.training.distillation._loop import fit
from napari_cytodino.training.distillation._teacher import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    STAGES,
    Teacher,
)
from napari_cytodino.training.distillation.augmentation import (
    augment,
    centre,
    shift_domain,
)
from napari_cytodino.training.recipes import Augmentation, DistillPlan, DomainShift

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.models import CytoDinoForImageClassification
    from napari_cytodino.training.data import CellSet
    from napari_cytodino.training.recipes import FitPlan


BLOCK = 16
"""Lessons after which they come again in another pose, where they are reused."""


class AugmentedBatches:
    """Batches of augmented views, each a function of the seed and the step."""

    def __init__(
        self,
        crops: CellSet,
        side: int,
        plan: FitPlan,
        settings: Augmentation,
        seed: int,
    ) -> None:
        self.crops, self.side, self.plan = crops, side, plan
        self.settings, self.seed = settings, seed
        self.weights = sampling_weights(crops.targets, crops.sources, plan.balance)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Return pixels (B, 3, S, S) in 0..1 and class indices of one step."""
        rows = draw(self.weights, self.plan.batch, self.seed, step)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        pixels = torch.from_numpy(self.crops.read(rows))
        view = augment(pixels, self.side, self.settings, generator)
        return view, torch.from_numpy(self.crops.targets[rows])


def normalise(
    pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]
) -> Tensor:
    """Subtract the mean and divide by the standard deviation of each channel."""
    centre_ = torch.tensor(mean).view(1, 3, 1, 1)
    return (pixels - centre_) / torch.tensor(std).view(1, 3, 1, 1)


@torch.no_grad()
def predict(
    logits_of: Callable[[Tensor], Tensor], crops: CellSet, side: int, batch: int = 128
) -> NDArray[np.float32]:
    """Return the logits of the unaugmented crops."""
    out = []
    for start in range(0, len(crops), batch):
        rows = np.arange(start, min(start + batch, len(crops)))
        pixels = torch.from_numpy(crops.read(rows))
        out.append(logits_of(centre(pixels, side)).float())
    return torch.cat(out).numpy()


def teacher_logits(teacher: Teacher, pixels: Tensor) -> Tensor:
    """Return the teacher's logits for pixels in 0..1."""
    x = normalise(pixels, IMAGENET_MEAN, IMAGENET_STD)
    with torch.autocast("cpu", torch.bfloat16):
        logits, _, _ = teacher(x.contiguous(memory_format=torch.channels_last))
    return logits.float()


def fit_teacher(
    teacher: Teacher,
    views: AugmentedBatches,
    plan: FitPlan,
    folder: Path,
    watch: Callable[[dict[str, Tensor], int], dict[str, float]] | None = None,
) -> None:
    """Fine-tune the teacher on hard labels; it ends with its averaged weights."""
    teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss_of(step: int) -> Tensor:
        pixels, targets = views(step)
        return F.cross_entropy(
            teacher_logits(teacher, pixels), targets, label_smoothing=plan.smoothing
        )

    teacher.load_state_dict(
        fit(teacher, loss_of, plan, folder, watch=watch, watch_every=400)
    )
    teacher.eval()


def dense_target(dense: Tensor, deep: Tensor) -> Tensor:
    """Join both feature maps on the finer grid, each channel-normalised per place."""
    wide = F.interpolate(
        deep, size=dense.shape[2:], mode="bilinear", align_corners=False
    )
    maps = [F.layer_norm(m.permute(0, 2, 3, 1), m.shape[1:2]) for m in (dense, wide)]
    return torch.cat(maps, dim=-1).flatten(1, 2)


def dense_width(teacher: Teacher | None) -> int:
    """Return the number of channels that `dense_target` gives."""
    return sum(STAGES[i][3] for i in (4, 6)) if teacher is not None else 1


class Student(nn.Module):
    """The model to ship and the throw-away projection its patch tokens learn by."""

    def __init__(
        self, model: CytoDinoForImageClassification, width: int, dense_width: int
    ) -> None:
        super().__init__()
        self.model = model
        self.project = nn.Linear(width, dense_width)


@dataclass(frozen=True)
class DistillationBatch:
    """One batch as the student meets it.

    Attributes
    ----------
    pixels : Tensor
        (B, 3, S, S) in 0..1.
    targets : Tensor
        (B,) class indices.
    logits, dense : Tensor or None
        The teacher's answer, and its feature maps as `dense_target` joins them.
    """

    pixels: Tensor
    targets: Tensor
    logits: Tensor | None = None
    dense: Tensor | None = None


def lesson(
    views: AugmentedBatches, teacher: Teacher | None, step: int
) -> DistillationBatch:
    """Return the batch of a step with the teacher's targets."""
    pixels, targets = views(step)
    if teacher is None:
        return DistillationBatch(pixels, targets)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        x = normalise(pixels, IMAGENET_MEAN, IMAGENET_STD)
        logits, dense, deep = teacher(x.contiguous(memory_format=torch.channels_last))
    return DistillationBatch(
        pixels, targets, logits.float(), dense_target(dense.float(), deep.float())
    )


def rotate_maps(maps: Tensor, pose: int) -> Tensor:
    """Turn (..., H, W) by ``pose % 4`` quarters, mirrored first from pose 4 on."""
    flat = maps.flip(-1) if pose >= 4 else maps
    return torch.rot90(flat, pose % 4, (-2, -1))


def turned(taught: DistillationBatch, pose: int) -> DistillationBatch:
    """Return a lesson in another pose: pixels and feature maps turn together."""
    if pose == 0:
        return taught
    dense = taught.dense
    if dense is not None:
        side = round(dense.shape[1] ** 0.5)
        maps = dense.transpose(1, 2).reshape(len(dense), -1, side, side)
        dense = rotate_maps(maps, pose).flatten(2).transpose(1, 2)
    return replace(taught, pixels=rotate_maps(taught.pixels, pose), dense=dense)


class BatchPrefetcher:
    """Lessons prepared in a second thread while the student learns.

    Steps come in blocks: each lesson of a block once, then all again in another pose.
    The student sees some views under a domain shift, the teacher sees them without.
    """

    def __init__(
        self,
        views: AugmentedBatches,
        teacher: Teacher | None,
        reuse: int = 1,
        domain_shift: DomainShift | None = None,
    ) -> None:
        self.views, self.teacher, self.reuse = views, teacher, reuse
        self.domain_shift = domain_shift or DomainShift()
        self._pool = ThreadPoolExecutor(
            1, initializer=torch.set_num_threads, initargs=(1,)
        )
        self._waiting: dict[int, Future[DistillationBatch]] = {}

    def __call__(self, step: int) -> DistillationBatch:
        """Return the lesson of a step and begin those that come after it."""
        block, place = divmod(step, BLOCK * self.reuse)
        turn, offset = divmod(place, BLOCK)
        first = block * BLOCK
        for old in [number for number in self._waiting if number < first]:
            del self._waiting[old]
        last = first + BLOCK + (place + 1) // self.reuse + 2
        for wanted in range(first + offset, last):
            if wanted not in self._waiting:
                self._waiting[wanted] = self._pool.submit(
                    lesson, self.views, self.teacher, wanted
                )
        others = 1 + np.random.default_rng(first + offset).permutation(7)
        pose = int(others[turn - 1]) if turn else 0
        taught = turned(self._waiting[first + offset].result(), pose)
        generator = torch.Generator().manual_seed(self.views.seed * 1_000_003 + step)
        return replace(
            taught, pixels=shift_domain(taught.pixels, self.domain_shift, generator)
        )

    def close(self) -> None:
        """Give up the lessons that nobody will ask for."""
        self._pool.shutdown(cancel_futures=True)


def distill_loss(
    student: Student,
    taught: DistillationBatch,
    normed: Tensor,
    plan: FitPlan,
    weights: DistillPlan,
) -> Tensor:
    """Return the loss of one batch: labels, teacher's probabilities, feature maps.

    The teacher's probabilities count only where its first choice is the label.
    """
    with torch.autocast("cpu", torch.bfloat16):
        tokens = student.model.tokens(normed)
        logits, _ = student.model.head(tokens)
        projected = student.project(tokens[:, student.model.prefix :])
    logits = logits.float()
    loss = F.cross_entropy(logits, taught.targets, label_smoothing=plan.smoothing)
    if taught.logits is None or taught.dense is None:
        return loss
    heat = weights.temperature
    apart = F.kl_div(
        F.log_softmax(logits / heat, dim=1),
        F.log_softmax(taught.logits / heat, dim=1),
        log_target=True,
        reduction="none",
    ).sum(dim=1)
    right = taught.logits.argmax(dim=1) == taught.targets
    soft = (apart * right).mean()
    distance = F.smooth_l1_loss(projected.float(), taught.dense)
    return loss + weights.soft * heat**2 * soft + weights.dense * distance
