"""Tensors of a folder: only verified bytes are parsed, only fitting ones taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_cytodino.checkpoints._tensors import (
    check_tensors,
    shapes_of,
    verified_arrays,
    verified_bytes,
    verified_tensors,
)
from napari_cytodino.checkpoints.folder import (
    FILES,
    MANIFEST,
    WEIGHTS,
    write_manifest,
)
from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.common.files import sha256, write_json

if TYPE_CHECKING:
    from pathlib import Path

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4).half()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_text(name, encoding="utf-8")
    save_file(TENSORS, tmp_path / WEIGHTS)
    write_manifest(tmp_path)
    return tmp_path


def test_bytes_tensors_and_arrays_of_a_verified_file(folder: Path) -> None:
    path, identity = folder / WEIGHTS, sha256(folder / MANIFEST)
    assert verified_bytes(path, identity) == path.read_bytes()
    tensors, arrays = verified_tensors(path, identity), verified_arrays(path, identity)
    assert set(tensors) == set(arrays) == set(TENSORS)
    for name, value in TENSORS.items():
        assert torch.equal(tensors[name], value)
        np.testing.assert_array_equal(arrays[name], value.numpy())
        assert arrays[name].dtype == value.numpy().dtype


def test_a_file_that_changed_is_not_parsed(folder: Path) -> None:
    identity = sha256(folder / MANIFEST)
    save_file({"a": torch.zeros(1)}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="changed after"):
        verified_tensors(folder / WEIGHTS, identity)


def test_a_manifest_that_changed_with_its_file_is_noticed(folder: Path) -> None:
    identity = sha256(folder / MANIFEST)
    save_file({"a": torch.zeros(1)}, folder / WEIGHTS)
    write_manifest(folder)
    with pytest.raises(CheckpointError, match="changed after"):
        verified_bytes(folder / WEIGHTS, identity)
    assert verified_bytes(folder / WEIGHTS, sha256(folder / MANIFEST))


def test_a_file_that_came_later_is_not_read(folder: Path) -> None:
    identity = sha256(folder / MANIFEST)
    save_file(TENSORS, folder / "later.safetensors")
    with pytest.raises(CheckpointError, match="changed after"):
        verified_bytes(folder / "later.safetensors", identity)


@pytest.mark.parametrize("name", [WEIGHTS, MANIFEST])
def test_a_file_that_went_is_named(folder: Path, name: str) -> None:
    identity = sha256(folder / MANIFEST)
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        verified_bytes(folder / WEIGHTS, identity)


def test_a_manifest_without_hashes(folder: Path) -> None:
    write_json(folder / MANIFEST, {})
    with pytest.raises(CheckpointError, match="can no longer be read"):
        verified_bytes(folder / WEIGHTS, sha256(folder / MANIFEST))


@pytest.mark.parametrize("read", [verified_tensors, verified_arrays])
@pytest.mark.parametrize("raw", [b"", b"\xff" * 64, b"\x80\x04."])
def test_what_is_no_safetensors_is_refused(folder: Path, read, raw: bytes) -> None:
    (folder / WEIGHTS).write_bytes(raw)
    write_manifest(folder)
    with pytest.raises(CheckpointError, match="no valid safetensors"):
        read(folder / WEIGHTS, sha256(folder / MANIFEST))


WANTED = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}


def test_tensors_that_fit_may_be_of_another_precision(tmp_path: Path) -> None:
    check_tensors(TENSORS, shapes_of(WANTED), tmp_path)


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        ({"a": TENSORS["a"]}, r"lacks tensor b \(1 such\)"),
        (TENSORS | {"c": torch.ones(1), "d": torch.ones(1)}, r"tensor c \(2 such\)"),
        (TENSORS | {"b": torch.ones(5)}, r"b in .* has shape \(5,\), .* \(4,\)"),
        (TENSORS | {"b": torch.tensor([1, 2, torch.inf, 4])}, "b in .*no finite"),
        (TENSORS | {"a": torch.full((2, 3), torch.nan)}, "a in .*no finite"),
        (TENSORS | {"b": torch.ones(4, dtype=torch.int64)}, "b in .*no finite"),
    ],
)
def test_the_first_that_does_not_fit_is_named(
    tmp_path: Path, tensors: dict[str, torch.Tensor], word: str
) -> None:
    with pytest.raises(CheckpointError, match=word):
        check_tensors(tensors, shapes_of(WANTED), tmp_path / WEIGHTS)
