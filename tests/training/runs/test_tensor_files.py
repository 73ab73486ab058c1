"""Tensors come back bit by bit, and no harm to their file passes unnoticed."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.runs.states import TrainingError
from napari_cytodino.training.runs.tensor_files import (
    DamagedError,
    fill,
    read_tensors,
    write_tensors,
)

if TYPE_CHECKING:
    from pathlib import Path

TENSORS = {
    "model.weight": torch.arange(24.0)
    .reshape(2, 3, 2, 2)
    .contiguous(memory_format=torch.channels_last),
    "model.half": torch.tensor([1.5, -0.0, torch.inf], dtype=torch.bfloat16),
    "model.count": torch.tensor(7),
    "optimiser.0.step": torch.tensor(3.0),
    "none": torch.zeros(0, 2),
}
FACTS = {"step": 3, "seconds": 1.5, "note": "größe"}


def test_tensors_and_facts_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.safetensors"
    write_tensors(path, TENSORS, FACTS)
    tensors, facts = read_tensors(path)
    assert facts == FACTS
    assert set(tensors) == set(TENSORS)
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value), name
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("one") / "a.safetensors"
    write_tensors(path, TENSORS, FACTS)
    return path


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_no_harm_passes(written: Path, data: st.DataObject) -> None:
    raw = written.read_bytes()
    place = data.draw(st.integers(0, len(raw) - 1))
    bit = data.draw(st.integers(-1, 7))
    harmed = written.with_name("harmed.safetensors")
    flipped = raw[:place] + bytes([raw[place] ^ (1 << max(bit, 0))]) + raw[place + 1 :]
    harmed.write_bytes(raw[:place] if bit < 0 else flipped)
    with pytest.raises(DamagedError, match=r"harmed\.safetensors is damaged .*remove"):
        read_tensors(harmed)


def test_a_file_without_a_hash_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(DamagedError, match="it lacks 'facts'"):
        read_tensors(path)
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "b.safetensors")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, TENSORS, FACTS)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(InputError, match=r"a\.safetensors .*too large.*free space"):
            write_tensors(path, {"a": torch.zeros(4096)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert read_tensors(path)[1] == FACTS
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("other", [(3, 4), (4, 3)])
def test_weights_of_another_model_are_refused(
    tmp_path: Path, other: tuple[int, int]
) -> None:
    model, path = torch.nn.Linear(3, 4), tmp_path / "a.safetensors"
    weights = torch.nn.Linear(*other).state_dict()
    if other == (3, 4):
        fill(model, weights, path)
        assert torch.equal(model.weight, weights["weight"])
        del weights["bias"]
    with pytest.raises(TrainingError, match="holds another model"):
        fill(model, weights, path)
