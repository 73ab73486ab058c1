"""The files of a checkpoint: fields that cannot be used are named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from napari_cytodino.checkpoints.folder import (
    FAMILIARITY,
    FILES,
    LARGEST_JSON,
    MANIFEST,
    Preprocessing,
    read_json,
    read_preprocessing,
    read_taxonomy,
    verify_files,
    write_manifest,
)
from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.common.files import sha256, write_json
from napari_cytodino.taxonomy.taxonomy import Taxonomy

if TYPE_CHECKING:
    from pathlib import Path

TAXONOMY = Taxonomy.load("mll21")
GREY, ONE = (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("size", "field", "std", "microns"),
    [
        (0, 192.0, ONE, None),
        (128, float("nan"), ONE, None),
        (128, 192.0, (1.0, 0.0, 1.0), None),
        (128, 192.0, (1.0, 1.0), None),
        (128, 192.0, ONE, -0.1),
    ],
)
def test_preprocessing_that_cannot_be_used(
    size: int, field: float, std: tuple[float, float, float], microns: float | None
) -> None:
    with pytest.raises(CheckpointError, match="preprocessing"):
        Preprocessing(size, field, GREY, std, microns)


def test_read_preprocessing_gives_back_what_was_written(tmp_path: Path) -> None:
    values = {"size": 64, "field_of_view": 192.0, "mean": [0.5] * 3, "std": [1.0] * 3}
    write_json(tmp_path / "preprocessor_config.json", values)
    assert read_preprocessing(tmp_path) == Preprocessing(64, 192.0, GREY, ONE)
    del values["mean"]
    write_json(tmp_path / "preprocessor_config.json", values)
    with pytest.raises(CheckpointError, match="mean"):
        read_preprocessing(tmp_path)


@pytest.mark.parametrize("kind", ["resnet", None])
def test_unknown_backbones_are_refused(tmp_path: Path, kind: str | None) -> None:
    config = {
        "model_type": "cytodino",
        "backbone_config": {"model_type": kind},
        "taxonomy": TAXONOMY.to_dict(),
    }
    with pytest.raises(CheckpointError, match="dinov3_vit"):
        read_taxonomy(config, tmp_path)


def test_taxonomy_is_read_and_checked(tmp_path: Path) -> None:
    config = {
        "model_type": "cytodino",
        "backbone_config": {"model_type": "dinov2"},
        "taxonomy": TAXONOMY.to_dict(),
    }
    assert read_taxonomy(config, tmp_path) == TAXONOMY
    with pytest.raises(CheckpointError, match="taxonomy"):
        read_taxonomy(config | {"taxonomy": {"name": "none"}}, tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", "\x00"])
def test_broken_json_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_json(tmp_path / "config.json")


def test_overlong_json_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b" " * (LARGEST_JSON + 1))
    with pytest.raises(CheckpointError, match="larger"):
        read_json(path)


def test_manifest_covers_every_file(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_text(name, encoding="utf-8")
    write_manifest(tmp_path)
    hashes = json.loads((tmp_path / MANIFEST).read_text("utf-8"))["sha256"]
    assert hashes == {name: sha256(tmp_path / name) for name in FILES}
    assert verify_files(tmp_path) == sha256(tmp_path / MANIFEST)


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini"])
def test_what_file_managers_leave_is_no_part_of_it(tmp_path: Path, name: str) -> None:
    for file in FILES:
        (tmp_path / file).write_text(file, encoding="utf-8")
    write_manifest(tmp_path)
    (tmp_path / name).write_bytes(b"\0")
    assert verify_files(tmp_path) == sha256(tmp_path / MANIFEST)
    (tmp_path / f"{name}.txt").write_bytes(b"\0")
    with pytest.raises(CheckpointError, match=rf"{name}\.txt, which its manifest"):
        verify_files(tmp_path)


def test_training_cells_may_be_listed_but_no_other_file(tmp_path: Path) -> None:
    for name in (*FILES, FAMILIARITY):
        (tmp_path / name).write_text(name, encoding="utf-8")
    write_manifest(tmp_path, (*FILES, FAMILIARITY))
    assert verify_files(tmp_path) == sha256(tmp_path / MANIFEST)
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    write_manifest(tmp_path, (*FILES, "notes.txt"))
    with pytest.raises(CheckpointError, match="does not list exactly"):
        verify_files(tmp_path)


def test_another_field_of_view_keeps_the_microns_that_a_crop_spans():
    seen = Preprocessing(32, 192.0, (0.5,) * 3, (0.2,) * 3, 0.092)
    other = seen.at(96.0)
    assert other.field_of_view == 96.0
    assert other.microns_per_pixel == pytest.approx(0.184)
    assert replace(seen, microns_per_pixel=None).at(96.0).microns_per_pixel is None
