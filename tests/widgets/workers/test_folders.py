"""Many images: what is done in the worker, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from PIL import Image

from napari_cytodino.batch.run import ImageResult
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.common.errors import CheckpointError, InputError
from napari_cytodino.widgets.workers.folders import (
    FolderPlan,
    Ready,
    Tally,
    find_images,
    folder_steps,
    out_for,
    source_of,
    words,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, smear: Any) -> Path:
    """Return a folder with a smear, a part of it deeper down, and no image."""
    made = tmp_path / "smears"
    (made / "more").mkdir(parents=True)
    Image.fromarray(smear.image).save(made / "one.png", compress_level=1)
    Image.fromarray(smear.image[:, :280]).save(
        made / "more" / "two.png", compress_level=1
    )
    (made / "bad.png").write_bytes(b"no image")
    return made


def plan_of(folder: Path, **more: Any) -> FolderPlan:
    out = out_for([folder])
    (images,) = find_images([folder], out)
    return FolderPlan(images, (folder,), "demo", out, device="cpu", **more)


def never() -> bool:
    return False


def test_each_image_gets_results_and_a_second_run_skips_them(folder: Path) -> None:
    plan = plan_of(folder)
    assert plan.out == folder.with_name("smears-cytodino")
    ready, *outcomes = folder_steps(plan, print, never)
    assert isinstance(ready, Ready)
    assert ready.checkpoint.name == "demo"
    tally = Tally()
    for outcome in outcomes:
        tally = tally.plus(outcome)
    assert tally.done == 3
    assert [image.name for image, _ in tally.failed] == ["bad.png"]
    written = [pd.read_csv(plan.out / f"{n}.cells.csv") for n in ("one", "two")]
    assert tally.cells == sum(map(len, written)) > 0
    _, *again = folder_steps(plan, print, never)
    assert [o.skipped for o in again if not o.error] == [True, True]
    # the pictures of the results are no images to classify
    (found,) = find_images([folder.parent], plan.out)
    assert set(found) == set(plan.images)


def test_cancelled_within_an_image_it_leaves_nothing_of_it(folder: Path) -> None:
    plan = plan_of(folder)
    good = replace(plan, images=tuple(i for i in plan.images if i.stem != "bad"))
    assert len(list(folder_steps(good, print, lambda: True))) == 1
    assert list(plan.out.iterdir()) == []


def test_cancelled_between_images_those_that_are_done_stay(folder: Path) -> None:
    plan, done = plan_of(folder), []
    plan.out.mkdir()
    (plan.out / "failed.csv").write_text("image,reason\nold.png,old\n")
    for step in folder_steps(plan, print, done.__len__):
        done += [step] if isinstance(step, ImageResult) and not step.error else []
    failed = pd.read_csv(plan.out / "failed.csv")["image"].tolist()
    assert failed == [str(i) for i in plan.images if i.stem == "bad"]
    _, *again = folder_steps(plan, print, never)
    assert [o.skipped for o in again if not o.error] == [True, False]


def test_crops_have_one_table_and_the_unreadable_are_named(folder: Path) -> None:
    plan, seen = plan_of(folder, crops=True, formats=("parquet", "csv")), []
    _, tally = folder_steps(plan, lambda *counts: seen.append(counts), never)
    assert seen[-1] == (3, 3)
    assert (tally.done, tally.cells) == (3, 2)
    assert [image.name for image, _ in tally.failed] == ["bad.png"]
    table = pd.read_csv(plan.out / "cells.csv")
    assert table["image"].tolist() == ["bad.png", "more/two.png", "one.png"]
    _, again = folder_steps(plan, print, never)
    assert again == replace(tally, skipped=3)
    # no table that can be read back, no names
    _, silent = folder_steps(replace(plan, formats=("geojson",)), print, never)
    assert silent.failed == ()


def test_crops_that_are_cancelled_leave_no_table(folder: Path) -> None:
    plan = plan_of(folder, crops=True)
    assert len(list(folder_steps(plan, lambda *counts: None, lambda: True))) == 1
    assert list(plan.out.iterdir()) == []


def test_what_cannot_be_used_is_told_before_any_image(folder: Path) -> None:
    plan = plan_of(folder)
    with pytest.raises(CheckpointError, match="no-such"):
        list(folder_steps(replace(plan, checkpoint="no-such"), print, never))
    with pytest.raises(InputError, match="cannot lie in"):
        list(folder_steps(replace(plan, out=folder / "one.png"), print, never))
    with pytest.raises(InputError, match="No image found"):
        list(find_images([folder.parent / "smears-cytodino"], plan.out))


def test_the_source_of_a_checkpoint_opens_the_same_one(demo: Any) -> None:
    assert load_checkpoint(source_of(demo)).sha256 == demo.sha256
    assert load_checkpoint(source_of(demo)).name == "demo"
    fetched = replace(demo, name="owner/name")
    assert source_of(fetched) == "owner/name"
    assert source_of("some/where") == "some/where"


def test_words(tmp_path: Path, demo: Any) -> None:
    images = tuple(tmp_path / f"{n}.png" for n in range(4))
    plan = FolderPlan(images, (tmp_path,), "demo", tmp_path)
    tally = Tally()
    for outcome in (
        ImageResult(images[0], 1200, 30, unfamiliar=(2, 1200)),
        ImageResult(images[1]),
        ImageResult(images[2], error="It cannot be read."),
        ImageResult(images[3], 5, skipped=True),
    ):
        tally = tally.plus(outcome)
    said = words(plan, tally, stopped=False)
    assert said.startswith("1,205 cells in 3 images, 30 of them flagged for an expert.")
    assert "1 image without a cell. 1 image done before" in said
    assert said.endswith("1 image left out, see below.")
    part = words(plan, Tally(done=2), stopped=True)
    assert part.startswith("Stopped after 2 of 4 images; start again to go on.")
    crops = words(replace(plan, crops=True), Tally(), stopped=True)
    assert "no table is written" in crops
