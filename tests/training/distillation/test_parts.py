"""The cells a student learns from, and those its run keeps apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.common.errors import InputError
from napari_cytodino.synthetic.smear import synthetic_crops
from napari_cytodino.training.data.splits import read_split, split_sha256
from napari_cytodino.training.distillation.parts import (
    SHEET,
    _files,
    count_cells,
    read_part,
    run_of,
)
from napari_cytodino.training.recipes.distillation import load_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.training.recipes.distillation import Recipe


def test_parts_of_drawn_cells_share_no_image(smoke_recipe: Recipe) -> None:
    parts = [
        read_part(smoke_recipe, None, p) for p in ("train", "calibration-a", "test")
    ]
    assert parts[0].pixels.shape[1:] == (192, 192, 3)
    seen = [{crop.tobytes() for crop in part.pixels} for part in parts]
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]
    packed = read_part(smoke_recipe, None, "train", packed=True)
    assert packed.pixels.shape[1] == smoke_recipe.packed_side
    assert np.array_equal(packed.targets, parts[0].targets)


def test_real_cells_need_a_folder_that_fits_the_split(tmp_path: Path) -> None:
    recipe = load_recipe("starter")
    with pytest.raises(InputError, match="--data"):
        read_part(recipe, None, "test")
    (tmp_path / "cells.csv").write_text(
        "dataset,path,code,background_group\nlab,x.png,BLA,\n", encoding="utf-8"
    )
    with pytest.raises(InputError, match="None of the split's cells"):
        read_part(recipe, tmp_path, "test")


def test_counts_by_source_and_part(smoke_recipe: Recipe) -> None:
    run = replace(run_of(smoke_recipe, None), parts=("calibration-a", "test"))
    assert count_cells(smoke_recipe, None, run) == {
        "synthetic": {"train": 12, "calibration-a": 6, "test": 6}
    }


def test_classes_left_out_are_neither_read_nor_counted(tmp_path: Path) -> None:
    recipe = replace(load_recipe("starter"), classes=("LYT", "NGS"))
    split = list(read_split(recipe.split_path).items())[:400]
    rows = [path.split("/") for path, _ in split]
    (tmp_path / "cells.csv").write_text(
        "dataset,path,code,background_group\n"
        + "".join(f"{s},{c}/{n},{c},\n" for s, c, n in rows),
        encoding="utf-8",
    )
    kept = [f for p in ("train", "test") for f in _files(recipe, tmp_path, p)]
    assert {f.code for f in kept} <= {"LYT", "NGS"}
    wanted = [p for p, part in split if part in ("train", "test")]
    assert len(kept) == sum(path.split("/")[1] in ("LYT", "NGS") for path in wanted)


def test_a_run_on_files_shows_a_cell_and_the_classes_left_out(
    smoke_recipe: Recipe, tmp_path: Path
) -> None:
    drawn, codes = synthetic_crops(("NGS", "EOS"), 2, size=250, seed=4)
    lines, parts = ["dataset,path,code,background_group"], ["path,part"]
    for i, (crop, code) in enumerate(zip(drawn, codes, strict=True)):
        (tmp_path / "lab" / code).mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(tmp_path / "lab" / code / f"{i}.png")
        lines.append(f"lab,{code}/{i}.png,{code},")
        parts.append(f"lab/{code}/{i}.png,test")
    (tmp_path / "cells.csv").write_text("\n".join(lines) + "\n", "utf-8")
    split = tmp_path / "split.csv"
    split.write_text("\n".join(parts) + "\n", "utf-8")
    recipe = replace(smoke_recipe, synthetic=0, split=str(split))
    run = run_of(recipe, tmp_path)
    assert run.split_sha256 == split_sha256(split)
    cells = run.read("test")
    assert {f.code for f in cells.files} == {"NGS"}
    assert run.every_class is not None
    assert {f.code for f in run.every_class().files} == {"NGS", "EOS"}
    assert run.sheet is not None
    sheet = run.sheet(cells.files[0])
    assert SHEET >= 8
    assert sheet.views.shape == (SHEET, recipe.size, recipe.size, 3)
    drawn_run = run_of(smoke_recipe, None)
    assert drawn_run.sheet is None
    assert drawn_run.every_class is None
