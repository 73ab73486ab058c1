"""Splits: nothing on two sides that belongs together; made once, then only read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.data.crops import CellFile
from napari_cytodino.training.data.duplicates import ImageHashes
from napari_cytodino.training.data.splits import (
    load_or_make_split,
    make_split,
    read_split,
    split_sha256,
    validation_count,
    write_split,
)

if TYPE_CHECKING:
    from pathlib import Path


def cells(counts: dict[str, int], dataset: str = "lab") -> list[CellFile]:
    return [
        CellFile(f"{code}/{i:05d}.png", code, dataset=dataset)
        for code, n in counts.items()
        for i in range(n)
    ]


def by_class(files: list[CellFile], parts: dict[str, str]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for f in files:
        found.setdefault(f.code, Counter())[parts[f.key]] += 1
    return found


@pytest.mark.parametrize(
    ("images", "held"), [(1, 1), (2, 1), (5, 1), (9, 1), (10, 2), (19, 3), (20, 4)]
)
def test_small_classes_validate_as_published(images: int, held: int) -> None:
    assert validation_count(images) == held


def test_the_three_ways_get_their_shares_of_every_class() -> None:
    files = cells({"aa": 1000, "bb": 100})
    found = by_class(files, make_split(files, prints={}))
    assert found["aa"] == {
        "train": 620, "calibration-a": 80, "calibration-b": 120, "test": 180
    }  # fmt: skip
    assert found["bb"] == {
        "train": 62, "calibration-a": 8, "calibration-b": 12, "test": 18
    }  # fmt: skip


def test_too_few_groups_are_refused() -> None:
    files = [CellFile(f"{g}-{i}", "aa", str(g)) for g in range(3) for i in range(9)]
    with pytest.raises(InputError, match="3 groups"):
        make_split(files, prints={})


def test_cells_of_one_image_stay_together() -> None:
    files = [
        CellFile(f"field{n}.png", "aa", place=(float(y), 5.0))
        for n in range(12)
        for y in range(0, 50, 10)
    ]
    parts = make_split(files, prints={})
    assert len(parts) == 60
    assert len({(f.path, parts[f.key]) for f in files}) == 12


def test_hash_randomisation_changes_nothing() -> None:
    code = (
        "from napari_cytodino.training.data.crops import CellFile\n"
        "from napari_cytodino.training.data.splits import *\n"
        "files = [CellFile(f'l/{i}', 'ab'[i % 2], str(i % 9)) for i in range(90)]\n"
        "print(make_split(files, prints={}), make_split(files, prints={}, "
        "protocol=PUBLISHED))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    write_split(path, {"b": "test", "a": "train"})
    assert path.read_text("utf-8") == "path,part\na,train\nb,test\n"
    assert read_split(path) == {"a": "train", "b": "test"}
    before = split_sha256(path)
    write_split(path, {"b": "train", "a": "train"})
    assert split_sha256(path) != before


def test_classes_and_hashes_are_written_where_known(tmp_path: Path) -> None:
    path, files = tmp_path / "split.csv", [CellFile("a", "aa"), CellFile("b", "bb")]
    parts = {"a": "train", "b": "test"}
    write_split(path, parts, files)
    assert path.read_text("utf-8") == "path,target,part\na,aa,train\nb,bb,test\n"
    write_split(path, parts, files, {"a": ImageHashes("123", "4")})
    assert path.read_text("utf-8").splitlines()[1:] == ["a,aa,train,123", "b,bb,test,"]
    assert read_split(path) == parts


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path,part\na,trian\n", "'trian': use train, calibration-a"),
        ("path,part\na,train\nb,validation\nc,test\n", "names the part"),
        ("path,part\na,train\na,test\n", "names a twice"),
        ("path,where\na,train\n", "columns path and part"),
        ("", "columns path and part"),
    ],
)
def test_faulty_splits_are_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "x.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_split(tmp_path / "x.csv")


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No split"):
        read_split(tmp_path / "none.csv")


def test_a_saved_split_is_never_made_again(tmp_path: Path) -> None:
    path, files = tmp_path / "runs" / "split.csv", cells({"aa": 40, "bb": 3})
    made = load_or_make_split(path, files, prints={}, seed=1)
    content = path.read_bytes()
    again = load_or_make_split(path, files[::-1], prints={}, seed=2)
    assert again == made
    assert path.read_bytes() == content
    assert made.sha256 == split_sha256(path)
    assert made.notes == ("Class bb has 3 cells, none in calibration-a.",)
    train = made.take(files, "train")
    assert {made.parts[f.key] for f in train} == {"train"}
    assert len(train) == Counter(made.parts.values())["train"]
