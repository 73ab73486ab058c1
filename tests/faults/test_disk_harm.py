"""Every file of a checkpoint harmed in every way: refused by name, never loaded."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_cytodino.checkpoints.adapters import add_lora
from napari_cytodino.checkpoints.backbones import describe_backbone
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.folder import (
    ADAPTER_FILES,
    FILES,
    MANIFEST,
    Preprocessing,
)
from napari_cytodino.checkpoints.saving import save_checkpoint
from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.uncertainty.decisions import DecisionPolicy

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


def harm_each_way(folder: Path, name: str, foreign: bytes) -> None:
    """Harm one file of a folder in each way; each is refused with the file's name."""
    path = folder / name
    whole = path.read_bytes()
    assert foreign != whole
    ways: dict[str, Any] = harms(whole) | {"of another checkpoint": foreign}
    if name == MANIFEST:
        # without its last newline it says the same
        assert ways.pop(f"cut to {len(whole) - 1}") == whole.rstrip()
    files = [p.name for p in folder.iterdir()]
    for way, data in ways.items():
        path.write_bytes(data)
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(folder).model()
        said = str(caught.value).replace(str(folder), "")
        # a changed manifest may also accuse the file whose hash it now has wrong
        named = name in said or (name == MANIFEST and any(n in said for n in files))
        assert named, (way, said)
    path.unlink()
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(folder)
    path.write_bytes(whole)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_each_file_of_a_merged_folder(
    tmp_path: Path, tiny_checkpoint: Path, other: Path, name: str
) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_checkpoint, folder)
    harm_each_way(folder, name, (other / name).read_bytes())
    assert load_checkpoint(folder).card == load_checkpoint(tiny_checkpoint).card


@pytest.fixture(scope="module")
def adapters(
    tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path
) -> tuple[Path, Path]:
    """Return two adapters on one backbone that differ in every file."""
    place = tmp_path_factory.mktemp("adapters")
    stored = load_checkpoint(tiny_checkpoint)
    stored.model().backbone.save_pretrained(place / "base")
    base = describe_backbone(str(place / "base"))
    made = []
    for rank in (2, 3):
        model = stored.model()
        model.config.synthetic = rank == 2
        adapted = add_lora(model, rank=rank, alpha=rank)
        made.append(
            save_checkpoint(
                place / f"rank{rank}",
                adapted,
                stored.taxonomy,
                Preprocessing(64, 80.0 + rank, (0.5,) * 3, (0.25,) * 3),
                DecisionPolicy(min_confidence=0.1 * rank),
                f"# Adapter of rank {rank}\n",
                base=base,
            )
        )
    return made[0], made[1]


@pytest.mark.parametrize("name", [*ADAPTER_FILES, MANIFEST])
def test_each_file_of_an_adapter_folder(
    tmp_path: Path, adapters: tuple[Path, Path], name: str
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(adapters[0], folder)
    harm_each_way(folder, name, (adapters[1] / name).read_bytes())
    read, as_it_was = load_checkpoint(folder), load_checkpoint(adapters[0])
    assert (read.base, read.sha256) == (as_it_was.base, as_it_was.sha256)


def test_the_weights_under_an_adapter(adapters: tuple[Path, Path]) -> None:
    weights = adapters[0].parent / "base" / "model.safetensors"
    whole = weights.read_bytes()
    for way, data in harms(whole).items():
        weights.write_bytes(data)
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(adapters[0]).model()
        assert str(weights.parent) in str(caught.value), way
    weights.write_bytes(whole)
    load_checkpoint(adapters[0]).model()
