"""Distillation: what each term of the loss wants, and views that repeat."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.data.crops import CellFile, CellSet
from napari_cytodino.training.distillation._distillation import (
    BLOCK,
    AugmentedBatches,
    BatchPrefetcher,
    DistillationBatch,
    Student,
    dense_target,
    dense_width,
    distill_loss,
    fit_teacher,
    lesson,
    normalise,
    predict,
    rotate_maps,
    teacher_logits,
    turned,
)
from napari_cytodino.training.distillation._student import new_model
from napari_cytodino.training.distillation._teacher import Teacher
from napari_cytodino.training.recipes.distillation import (
    Augmentation,
    DistillPlan,
    DomainShift,
    FitPlan,
    load_recipe,
)

PLAN = FitPlan(steps=2, batch=4)
RECIPE = load_recipe("smoke")


@pytest.fixture
def crops() -> CellSet:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 40, 40, 3), np.uint8)
    files = tuple(CellFile(f"lab/{i}", "") for i in range(9))
    return CellSet(files, np.arange(9) % 3, 40, pixels=pixels)


def test_views_repeat_by_step(crops: CellSet) -> None:
    views = AugmentedBatches(crops, 32, PLAN, Augmentation(), seed=1)
    pixels, targets = views(3)
    again, same = AugmentedBatches(crops, 32, PLAN, Augmentation(), seed=1)(3)
    assert pixels.shape == (4, 3, 32, 32)
    assert torch.equal(pixels, again)
    assert torch.equal(targets, same)
    assert not torch.equal(pixels, views(4)[0])


def test_normalise_by_channel() -> None:
    pixels = torch.tensor([0.5, 0.2, 0.9]).view(1, 3, 1, 1)
    values = normalise(pixels, (0.5, 0.1, 1.0), (1.0, 0.1, 0.5))
    assert values.flatten().tolist() == pytest.approx([0.0, 1.0, -0.2])


def test_predict_covers_every_crop_once(crops: CellSet) -> None:
    logits = predict(lambda x: x.mean(dim=(2, 3)), crops, 32, batch=4)
    inner = crops.pixels[:, 4:36, 4:36].mean(axis=(1, 2)) / 255
    assert np.allclose(logits, inner, atol=1e-5)


def test_dense_target_joins_both_maps_on_the_finer_grid() -> None:
    teacher = Teacher(3)
    target = dense_target(torch.randn(2, 112, 4, 4), torch.randn(2, 320, 2, 2))
    assert target.shape == (2, 16, dense_width(teacher))
    assert target[..., :112].mean(dim=-1).abs().max() < 1e-4
    assert dense_width(None) == 1


def test_lessons_ahead_are_those_of_their_steps(crops: CellSet) -> None:
    torch.manual_seed(0)
    views, teacher = (
        AugmentedBatches(crops, 32, PLAN, Augmentation(), seed=1),
        Teacher(3).eval(),
    )
    ahead = BatchPrefetcher(views, teacher)
    for step in (0, 1, 2, 7):
        given, expected = ahead(step), lesson(views, teacher, step)
        assert torch.equal(given.pixels, expected.pixels)
        assert torch.equal(given.targets, expected.targets)
        assert given.logits is not None
        assert torch.equal(given.logits, expected.logits)
        assert given.dense is not None
        assert given.dense.shape == (4, 4, dense_width(teacher))
    assert lesson(views, None, 0).logits is None


@pytest.mark.parametrize("pose", range(8))
def test_pixels_and_feature_maps_turn_together(pose: int) -> None:
    grid = torch.arange(16.0).view(1, 1, 4, 4)
    taught = DistillationBatch(
        grid, torch.tensor([0]), None, grid.flatten(2).transpose(1, 2)
    )
    given = turned(taught, pose)
    assert given.dense is not None
    assert torch.equal(given.dense.transpose(1, 2).view(1, 1, 4, 4), given.pixels)


def test_the_eight_poses_differ() -> None:
    grid = torch.arange(16.0).view(4, 4)
    assert len({tuple(rotate_maps(grid, p).flatten().tolist()) for p in range(8)}) == 8


def test_reused_lessons_come_block_by_block_in_other_poses(crops: CellSet) -> None:
    views = AugmentedBatches(crops, 32, PLAN, Augmentation(), seed=1)
    ahead, resumed = (
        BatchPrefetcher(views, None, reuse=3),
        BatchPrefetcher(views, None, reuse=3),
    )
    given = [ahead(step) for step in range(4 * BLOCK)]
    assert torch.equal(resumed(2 * BLOCK + 5).pixels, given[2 * BLOCK + 5].pixels)
    for offset in range(BLOCK):
        uses = [given[turn * BLOCK + offset] for turn in range(3)]
        assert all(torch.equal(use.targets, uses[0].targets) for use in uses)
        assert torch.equal(uses[0].pixels, views(offset)[0])
        poses = {
            pose
            for use in uses
            for pose in range(8)
            if torch.equal(rotate_maps(uses[0].pixels, pose), use.pixels)
        }
        assert len(poses) == 3
    assert torch.equal(given[3 * BLOCK].pixels, views(BLOCK)[0])
    for worker in (ahead, resumed):
        worker.close()


def test_only_the_student_sees_strange_views(crops: CellSet) -> None:
    torch.manual_seed(0)
    views, teacher = (
        AugmentedBatches(crops, 32, PLAN, Augmentation(), seed=1),
        Teacher(3).eval(),
    )
    ahead = BatchPrefetcher(views, teacher, domain_shift=DomainShift(share=1.0))
    given, again, clean = ahead(0), ahead(0), lesson(views, teacher, 0)
    ahead.close()
    assert torch.equal(given.pixels, again.pixels)
    assert not torch.equal(given.pixels, clean.pixels)
    assert given.logits is not None
    assert clean.logits is not None
    assert torch.equal(given.logits, clean.logits)


def test_a_square_has_no_ninth_pose() -> None:
    with pytest.raises(InputError, match="reuse is 9, but must be 8 or less"):
        DistillPlan(reuse=9)


def losses(weights: DistillPlan, teacher: Teacher | None) -> float:
    torch.manual_seed(0)
    student = Student(new_model(RECIPE), RECIPE.model.width, dense_width(teacher))
    student.eval()
    pixels = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 0])
    told = None if teacher is None else teacher(pixels)
    taught = DistillationBatch(pixels, targets)
    if told is not None:
        dense = dense_target(told[1], told[2]).detach()
        taught = DistillationBatch(pixels, targets, told[0].detach(), dense)
    loss = distill_loss(student, taught, pixels, PLAN, weights)
    loss.backward()
    learns = student.project.weight.grad
    assert (learns is not None and bool(learns.any())) == (
        teacher is not None and weights.dense > 0
    )
    return float(loss.detach())


def test_each_term_adds_to_the_loss() -> None:
    torch.manual_seed(1)
    teacher = Teacher(3).eval()
    labels = losses(DistillPlan(), None)
    none = losses(DistillPlan(soft=0, dense=0), teacher)
    soft = losses(DistillPlan(soft=1, dense=0), teacher)
    both = losses(DistillPlan(soft=1, dense=1), teacher)
    assert none == pytest.approx(labels)
    assert labels < soft < both


def test_the_teacher_is_not_believed_where_it_is_wrong() -> None:
    student = Student(new_model(RECIPE), RECIPE.model.width, 1).eval()
    pixels, targets = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    told = torch.tensor([[0.0, 9.0, 0.0], [9.0, 0.0, 0.0]])
    plan = DistillPlan(soft=1, dense=0)
    dense = torch.zeros(2, 4, 1)
    values = [
        float(distill_loss(student, taught, pixels, PLAN, plan).detach())
        for taught in (
            DistillationBatch(pixels, targets),
            DistillationBatch(pixels, targets, told, dense),
            DistillationBatch(pixels, targets, told[[1, 0]], dense),
        )
    ]
    assert values[1] == pytest.approx(values[0])
    assert values[2] > values[0] + 0.1


def test_teacher_learns_and_ends_in_evaluation_mode(crops: CellSet, tmp_path) -> None:
    torch.manual_seed(0)
    teacher = Teacher(3)
    before = teacher.classify.weight.clone()
    fit_teacher(
        teacher, AugmentedBatches(crops, 32, PLAN, Augmentation(), 0), PLAN, tmp_path
    )
    assert not teacher.training
    assert not torch.equal(teacher.classify.weight, before)
    assert teacher_logits(teacher, torch.rand(2, 3, 32, 32)).dtype == torch.float32
