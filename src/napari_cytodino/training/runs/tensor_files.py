"""Tensors in one file, with the hash of all that is in it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_cytodino.common import atomic_write
from napari_cytodino.training.runs.states import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn


class DamagedError(TrainingError):
    """A file that is not as it was written."""


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    found = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        value = tensors[name]
        found.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Write tensors and plain values, whole or not at all.

    Raises
    ------
    InputError
        When the disk refuses; what was there before stays.
    """
    plain = {
        k: v.detach().clone(memory_format=torch.contiguous_format)
        for k, v in tensors.items()
    }
    text = json.dumps(facts)
    notes = {"facts": text, "sha256": _digest(plain, text)}
    with atomic_write(path) as part:
        try:
            save_file(plain, part, metadata=notes)
        except SafetensorError as error:
            # as on a full disk
            raise OSError(str(error)) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote: tensors and plain values.

    Raises
    ------
    DamagedError
        When the file was cut short or altered.
    OSError
        When it cannot be read.
    """
    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
        text = notes["facts"]
        if _digest(tensors, text) != notes["sha256"]:
            raise ValueError("its hash is another")
        return tensors, json.loads(text)
    except (SafetensorError, KeyError, ValueError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise DamagedError(
            f"{path} is damaged ({why}): remove it and run the same again."
        ) from error


def fill(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Give a model its weights, every one and no other.

    Parameters
    ----------
    path
        Where they come from, named in the error.

    Raises
    ------
    TrainingError
        When they are those of another model.
    """
    wanted = {k: v.shape for k, v in model.state_dict().items()}
    if {k: v.shape for k, v in tensors.items()} != wanted:
        raise TrainingError(
            f"{path} holds another model than the recipe builds: choose an empty "
            "folder."
        )
    model.load_state_dict(dict(tensors))
