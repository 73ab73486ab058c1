"""Tensors of a checkpoint folder: read from verified bytes, compared with the model."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from napari_cytodino.checkpoints.folder import MANIFEST, read_json
from napari_cytodino.common import CheckpointError, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def verified_bytes(path: Path, identity: str) -> bytes:
    """Return bytes whose hash is, at this moment, that of the manifest.

    Parameters
    ----------
    path
        A file of the folder.
    identity
        Hash of the manifest when the folder was verified.

    Raises
    ------
    CheckpointError
        When the file or the manifest changed since, or cannot be read.
    """
    manifest = path.parent / MANIFEST
    try:
        raw = path.read_bytes()
        hashes = read_json(manifest)["sha256"]
    except (OSError, KeyError) as error:
        raise CheckpointError(
            f"{path} can no longer be read ({error}); load the checkpoint again."
        ) from error
    if sha256(manifest) != identity or hashlib.sha256(raw).hexdigest() != hashes.get(
        path.name
    ):
        raise CheckpointError(
            f"{path} changed after it was verified; load the checkpoint again."
        )
    return raw


def verified_tensors(path: Path, identity: str) -> dict[str, Tensor]:
    """Return the tensors of a verified safetensors file."""
    from safetensors.torch import load

    tensors: dict[str, Tensor] = _parsed(load, path, identity)
    return tensors


def verified_arrays(path: Path, identity: str) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a verified safetensors file, without torch."""
    from safetensors.numpy import load

    arrays: dict[str, NDArray[np.generic]] = _parsed(load, path, identity)
    return arrays


def _parsed(load: Callable[[bytes], Any], path: Path, identity: str) -> Any:
    raw = verified_bytes(path, identity)
    try:
        return load(raw)
    except Exception as error:  # safetensors raises its own, undocumented kinds
        raise CheckpointError(
            f"{path} is no valid safetensors file ({error}); get it again."
        ) from error


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor by its name."""
    return {name: tuple(value.shape) for name, value in tensors.items()}


def check_tensors(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    """Compare names, shapes and values with what the model needs.

    Raises
    ------
    CheckpointError
        With the first tensor that does not fit.
    """
    for kind, names in (
        ("lacks", sorted(set(wanted) - set(tensors))),
        ("holds the unknown", sorted(set(tensors) - set(wanted))),
    ):
        if names:
            raise CheckpointError(
                f"{path} {kind} tensor {names[0]} ({len(names)} such); the weights "
                "belong to another config.json, so get the checkpoint again."
            )
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name]:
            raise CheckpointError(
                f"{name} in {path} has shape {tuple(tensor.shape)}, the configuration "
                f"asks for {wanted[name]}; get the checkpoint again."
            )
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise CheckpointError(
                f"{name} in {path} holds values that are no finite numbers; "
                "get the checkpoint again."
            )
