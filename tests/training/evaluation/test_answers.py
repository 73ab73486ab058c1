"""Evaluation: which pixels are changed, and figures of the stored weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.common.errors import InputError
from napari_cytodino.inference.classifier import preprocess
from napari_cytodino.training.data.crops import CellFile, CellSet
from napari_cytodino.training.evaluation.answers import (
    VIEWS,
    by_source,
    change_surroundings,
    device_of,
    others,
    pixel_answers,
    predictions_of,
    view_of,
)
from napari_cytodino.uncertainty.decisions import DecisionPolicy

if TYPE_CHECKING:
    from pathlib import Path


def two_labs(n: int = 6) -> CellSet:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 100, (2 * n, 192, 192, 3), np.uint8)
    pixels[n:] += 150
    labs = ["dark"] * n + ["light"] * n
    files = tuple(CellFile(f"{lab}/{i}", "") for i, lab in enumerate(labs))
    return CellSet(files, np.arange(2 * n) % 3, 192, pixels=pixels)


def test_the_disc_stays_and_the_corners_go() -> None:
    pixels = np.full((2, 64, 64, 3), 200, np.uint8)
    mixed = change_surroundings(pixels, np.zeros_like(pixels))
    assert (mixed[:, 20:44, 20:44] == 200).all()
    assert (mixed[:, :4, :4] == 0).all()


def test_strangers_come_from_the_other_source() -> None:
    sources = np.array(["a", "a", "b", "b", "b"])
    assert (sources[others(sources)] != sources).all()
    alone = np.array(["a", "a"])
    assert set(others(alone)) <= {0, 1}


def test_views_differ_outside_only() -> None:
    crops, rows = two_labs(), np.array([0, 7])
    plain, grey, other = (view_of(crops, rows, view) for view in VIEWS)
    assert np.array_equal(plain, crops.pixels[rows])
    for changed in (grey, other):
        assert np.array_equal(changed[:, 80:112, 80:112], plain[:, 80:112, 80:112])
        assert not np.array_equal(changed[:, :8, :8], plain[:, :8, :8])
    assert grey[:, :4, :4].std() == 0 or len(np.unique(grey[:, :4, :4])) <= 3
    assert other[0, :4, :4].min() >= 150
    assert other[1, :4, :4].max() < 100


def test_stored_logits_are_those_of_the_loaded_model(smoke_run: Path) -> None:
    checkpoint, crops = load_checkpoint(smoke_run / "checkpoint"), two_labs(3)
    found = predictions_of(checkpoint, crops, batch=4)
    with torch.inference_mode():
        whole = checkpoint.model().predict(preprocess(crops.pixels, checkpoint))
    assert np.allclose(found.logits, whole[0].numpy(), atol=1e-5)
    assert np.allclose(found.embedded, whole[1].numpy(), atol=1e-5)
    assert np.array_equal(found.targets, crops.targets)
    assert found.paths == crops.paths
    with pytest.raises(InputError, match="0 cells to judge"):
        predictions_of(checkpoint, crops.take(np.arange(0)))


def test_cells_unlike_the_training_cells_are_not_accepted(smoke_run: Path) -> None:
    checkpoint, crops = load_checkpoint(smoke_run / "checkpoint"), two_labs(3)
    found = predictions_of(checkpoint, crops)
    known = checkpoint.familiarity()
    assert known is not None
    wanted = known.novelty_score(found.embedded.astype(np.float16))
    assert np.array_equal(found.unfamiliarity, wanted)
    policy = DecisionPolicy(min_confidence=0.0, min_margin=0.0, max_critical=1.0)
    open_to_all = replace(checkpoint, policy=policy)
    sure = replace(found, logits=np.eye(3, dtype=np.float32)[crops.targets] * 9)
    for limit, share in ((0.5, 1.0), (2.0, 0.0)):
        far = np.full(len(crops), limit, np.float32)
        figures = by_source(open_to_all, replace(sure, unfamiliarity=far))
        assert {r["accepted"] for r in figures.values()} == {share}


def test_the_device_reaches_model_and_pixels(
    smoke_run: Path, pretended_gpu: list[tuple[str, str]]
) -> None:
    checkpoint, crops = load_checkpoint(smoke_run / "checkpoint"), two_labs(3)
    here = predictions_of(checkpoint, crops)
    assert set(pretended_gpu) == {("model", "cpu"), ("pixels", "cpu")}
    for dtype in ("float32", "bfloat16"):
        pretended_gpu.clear()
        near = replace(checkpoint, dtype=dtype)
        there = predictions_of(near, crops, device_of("auto"))
        assert set(pretended_gpu) == {("model", "cuda"), ("pixels", "cuda")}
        # the stand-in computes here, so that the bits are those of the CPU
        same = np.array_equal(here.logits, there.logits)
        assert same == (dtype == "float32")


def test_answers_come_from_the_device_that_is_named(smoke_run: Path) -> None:
    """On torch's device without memory nothing can be answered, and it is asked."""
    checkpoint, crops = load_checkpoint(smoke_run / "checkpoint"), two_labs(1)
    with pytest.raises(NotImplementedError, match="meta"):
        pixel_answers(checkpoint, [crops.pixels], "meta")


def test_devices_that_cannot_be_are_named() -> None:
    assert device_of("cpu") == "cpu"
    for wish in ("openvino", "gpu"):
        with pytest.raises(InputError, match=f"'{wish}' is no device; choose one of"):
            device_of(wish)
