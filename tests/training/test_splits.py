"""Splits: nothing on two sides that belongs together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.core.errors import InputError
from napari_cytodino.training.config import load_recipe
from napari_cytodino.training.data import CellFile
from napari_cytodino.training.splits import (
    PARTS,
    difference_hash,
    make_split,
    near_duplicates,
    read_split,
    split_sha256,
    write_split,
)

if TYPE_CHECKING:
    from pathlib import Path


def textured(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((36, 36), Image.Resampling.BICUBIC)


def grouped(groups: int, per_class: int) -> list[CellFile]:
    return [
        CellFile(f"lab/{code}/{group}-{i}.png", code, str(group))
        for group in range(groups)
        for code in ("aa", "bb")
        for i in range(per_class)
    ]


def test_groups_stay_whole_and_every_part_has_every_class(tmp_path: Path) -> None:
    files = grouped(groups=16, per_class=3)
    parts = make_split(tmp_path, files, seed=1)
    assert set(parts) == {f.path for f in files}
    by_group = {(f.group, parts[f.path]) for f in files}
    assert len(by_group) == 16
    assert {(f.code, parts[f.path]) for f in files} == {
        (code, part) for code in ("aa", "bb") for part in PARTS
    }


def test_too_few_groups_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 groups"):
        make_split(tmp_path, grouped(groups=3, per_class=2))


def test_near_duplicates_share_a_number(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    files = [CellFile(f"lab/{i}.png", "aa") for i in range(4)]
    textured(1).save(tmp_path / "lab/0.png")
    brighter = np.asarray(textured(1)).astype(int) + 1
    Image.fromarray(brighter.clip(0, 255).astype(np.uint8)).save(tmp_path / "lab/1.png")
    textured(2).save(tmp_path / "lab/2.png")
    textured(3).save(tmp_path / "lab/3.png")
    clusters = near_duplicates(tmp_path, files)
    assert clusters[0] == clusters[1]
    assert len(set(clusters)) == 3


def test_difference_hash_tells_images_apart() -> None:
    assert difference_hash(textured(1)) == difference_hash(textured(1))
    assert difference_hash(textured(1)) != difference_hash(textured(2))


def test_ungrouped_cells_are_dealt_by_class_with_duplicates_together(
    tmp_path: Path,
) -> None:
    files = []
    for i in range(60):
        code = "aa" if i < 40 else "bb"
        path = tmp_path / "lab" / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        textured(i // 2).save(path)
        files.append(CellFile(f"lab/{i:02d}.png", code))
    parts = make_split(tmp_path, files, seed=3)
    assert all(
        parts[f"lab/{i:02d}.png"] == parts[f"lab/{i + 1:02d}.png"]
        for i in range(0, 60, 2)
    )
    for code, n in (("aa", 40), ("bb", 20)):
        counts = Counter(parts[f.path] for f in files if f.code == code)
        assert abs(counts["train"] - n * PARTS["train"]) <= 2
    assert parts == make_split(tmp_path, files, seed=3)
    assert parts != make_split(tmp_path, files, seed=4)


def test_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    write_split(path, {"b": "test", "a": "train"})
    assert path.read_text("utf-8") == "path,part\na,train\nb,test\n"
    assert read_split(path) == {"a": "train", "b": "test"}
    before = split_sha256(path)
    write_split(path, {"b": "train", "a": "train"})
    assert split_sha256(path) != before


def test_faulty_splits_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No split"):
        read_split(tmp_path / "none.csv")
    write_split(tmp_path / "x.csv", {"a": "trian"})
    with pytest.raises(InputError, match="'trian'"):
        read_split(tmp_path / "x.csv")


def test_the_saved_split_has_every_class_of_the_starter_in_every_part() -> None:
    recipe = load_recipe("starter")
    parts = read_split(recipe.split_path)
    found = {(path.split("/")[1], part) for path, part in parts.items()}
    assert found == {(c, p) for c in recipe.classes for p in PARTS}
    sources = Counter((path.split("/")[0], part) for path, part in parts.items())
    assert all(n > 300 for n in sources.values())
    assert len(parts) == 18_137
