"""Fitting the teacher and the model to ship, each taken up where it stopped."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_cytodino.checkpoints import load_checkpoint
from napari_cytodino.training.data import emphasise
from napari_cytodino.training.distillation._distillation import (
    AugmentedBatches,
    BatchPrefetcher,
    Student,
    dense_width,
    distill_loss,
    fit_teacher,
    normalise,
    predict,
    teacher_logits,
)
from napari_cytodino.training.distillation._loop import fit
from napari_cytodino.training.distillation._student import new_model, start_from
from napari_cytodino.training.distillation._teacher import Teacher, load_imagenet
from napari_cytodino.training.metrics import confusion, macro_f1
from napari_cytodino.training.recipes import DistillPlan
from napari_cytodino.training.runs import (
    DamagedError,
    fill,
    read_tensors,
    write_tensors,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from napari_cytodino.models import CytoDinoForImageClassification
    from napari_cytodino.training.data import CellSet
    from napari_cytodino.training.recipes import Augmentation, FitPlan, Recipe


logger = logging.getLogger(__name__)

WATCH_EVERY = 1000
"""Steps between two looks at the calibration cells."""


def _watcher(
    recipe: Recipe, crops: CellSet, logits_of: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """Return macro F1 of each source on packed, unaugmented crops."""
    guesses = predict(logits_of, crops, recipe.size).argmax(axis=1)
    classes = len(recipe.classes_in_order)
    return {
        str(source): round(
            macro_f1(confusion(crops.targets[own], guesses[own], classes)), 4
        )
        for source in np.unique(crops.sources)
        for own in [crops.sources == source]
    }


def _views(
    recipe: Recipe, train: CellSet, plan: FitPlan, settings: Augmentation, seed: int
) -> AugmentedBatches:
    """Return batches in which the recipe's emphasised classes come more often."""
    views = AugmentedBatches(train, recipe.size, plan, settings, seed)
    codes = recipe.classes_in_order.codes
    called = [
        (codes[target], str(source))
        for target, source in zip(train.targets, train.sources, strict=True)
    ]
    views.weights = emphasise(views.weights, called, recipe.emphasis)
    return views


def get_teacher(
    recipe: Recipe, train: CellSet, watched: CellSet, folder: Path
) -> Teacher | None:
    """Fine-tune the recipe's teacher, or load the one an earlier run left."""
    plan = recipe.teacher
    if plan is None:
        return None
    classes = len(recipe.classes_in_order)
    torch.manual_seed(recipe.seed)
    teacher = Teacher(classes)
    stored = folder / "teacher.safetensors"
    if not _taken_up(teacher, stored):
        load_imagenet(teacher, Path(plan.weights))
        views = _views(recipe, train, plan.fit, plan.augmentation, recipe.seed)

        def watch(weights: dict[str, Tensor], _step: int) -> dict[str, float]:
            copy = Teacher(classes)
            copy.load_state_dict(weights)
            copy.eval()
            return _watcher(recipe, watched, lambda x: teacher_logits(copy, x))

        fit_teacher(teacher, views, plan.fit, folder, watch)
        write_tensors(stored, teacher.state_dict(), {})
    return teacher.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _taken_up(teacher: Teacher, stored: Path) -> bool:
    """Load the weights of a teacher that is done, if they are as they were written."""
    if not stored.is_file():
        return False
    try:
        weights, _ = read_tensors(stored)
    except DamagedError as error:
        # the states it was made from are there, so little is to be done again
        logger.warning("The teacher is finished anew: %s", error)
        return False
    fill(teacher, weights, stored)
    return True


def fit_student(
    recipe: Recipe,
    train: CellSet,
    watched: CellSet,
    teacher: Teacher | None,
    folder: Path,
) -> CytoDinoForImageClassification:
    """Train the model to ship; it comes back with its averaged weights."""
    model = new_model(recipe)
    if recipe.start:
        start_from(model, load_checkpoint(recipe.start))
    student = Student(model, recipe.model.width, dense_width(teacher))
    views = _views(recipe, train, recipe.fit, recipe.augmentation, recipe.seed + 1)
    weights = recipe.teacher.distill if recipe.teacher else DistillPlan()
    ahead = BatchPrefetcher(views, teacher, weights.reuse, recipe.strange)

    def loss_of(step: int) -> Tensor:
        taught = ahead(step)
        normed = normalise(taught.pixels, recipe.mean, recipe.std)
        return distill_loss(student, taught, normed, recipe.fit, weights)

    def watch(values: dict[str, Tensor], _step: int) -> dict[str, float]:
        copy = new_model(recipe)
        copy.load_state_dict(_own(values))
        copy.eval()

        def logits_of(pixels: Tensor) -> Tensor:
            return copy.predict(normalise(pixels, recipe.mean, recipe.std))[0]

        return _watcher(recipe, watched, logits_of)

    try:
        values = fit(
            student, loss_of, recipe.fit, folder, watch=watch, watch_every=WATCH_EVERY
        )
    finally:
        ahead.close()
    model.load_state_dict(_own(values))
    return model.eval()


def _own(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the model's part of the student's weights."""
    return {k[6:]: v for k, v in values.items() if k.startswith("model.")}
