"""Every file of a checkpoint harmed in every way: refused by name, never loaded."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_cytodino.core.checkpoint import load_checkpoint
from napari_cytodino.core.checkpoint_files import FILES, MANIFEST
from napari_cytodino.core.checkpoint_saving import save_checkpoint
from napari_cytodino.core.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """Return a checkpoint of the same shape and other contents in every file."""
    from dataclasses import replace

    stored = load_checkpoint(tiny_checkpoint)
    model = stored.model()
    with torch.no_grad():
        model.head.query.add_(0.5)
    model.config.synthetic = not model.config.synthetic
    return save_checkpoint(
        tmp_path_factory.mktemp("other") / "tiny",
        model,
        stored.taxonomy,
        replace(stored.preprocessing, field_of_view=90.0),
        replace(stored.policy, min_confidence=0.123),
        "# Other\n",
    )


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def harms(data: bytes) -> dict[str, bytes]:
    size = len(data)
    cuts = {f"cut to {n}": data[:n] for n in {0, 1, size // 2, size - 1}}
    places = sorted({0, 7, 8, 100, size // 3, size // 2, size - 2, size - 1})
    flips = {f"bit at {n}": flipped(data, n) for n in places if n < size}
    return cuts | flips | {"longer": data + b"\0", "doubled": data + data}


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_each_file_of_a_merged_folder(
    tmp_path: Path, tiny_checkpoint: Path, other: Path, name: str
) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_checkpoint, folder)
    path = folder / name
    whole, foreign = path.read_bytes(), (other / name).read_bytes()
    assert foreign != whole
    ways: dict[str, Any] = harms(whole) | {"of another checkpoint": foreign}
    if name == MANIFEST:
        # without its last newline it says the same
        assert ways.pop(f"cut to {len(whole) - 1}") == whole.rstrip()
    for way, data in ways.items():
        path.write_bytes(data)
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(folder).model()
        said = str(caught.value)
        # a changed manifest may also accuse the file whose hash it now has wrong
        named = name in said or (name == MANIFEST and any(n in said for n in FILES))
        assert named, (way, said)
    path.unlink()
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(folder)
    path.write_bytes(whole)
    assert load_checkpoint(folder).card == load_checkpoint(tiny_checkpoint).card
