"""Writing a checkpoint folder, whole or not at all."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.checkpoints._tensors import verified_bytes
from napari_cytodino.checkpoints.calibration_file import (
    CALIBRATION,
    DTYPE,
    calibration_content,
    calibration_name,
)
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.folder import (
    ADAPTER_CONFIG,
    ADAPTER_FILES,
    ADAPTER_WEIGHTS,
    CLUTTER,
    FAMILIARITY,
    FILES,
    MANIFEST,
    OPTIONAL,
    TAUGHT,
    TAUGHT_ARRAYS,
    WEIGHTS,
    Preprocessing,
    write_manifest,
)
from napari_cytodino.common import CheckpointError, json_text
from napari_cytodino.taxonomy import Taxonomy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peft import PeftModel
    from torch import Tensor

    from napari_cytodino.checkpoints.backbones import Base
    from napari_cytodino.checkpoints.checkpoint import Checkpoint
    from napari_cytodino.checkpoints.profile import Profile
    from napari_cytodino.models import CytoDinoForImageClassification
    from napari_cytodino.uncertainty import Calibration, DecisionPolicy, NoveltyDetector


def save_checkpoint(
    folder: str | Path,
    model: CytoDinoForImageClassification | PeftModel,
    taxonomy: Taxonomy,
    preprocessing: Preprocessing,
    policy: DecisionPolicy | Calibration,
    card: str,
    *,
    familiarity: NoveltyDetector | None = None,
    facts: Mapping[str, Any] | None = None,
    half: bool = True,
    base: Base | None = None,
) -> Path:
    """Write a checkpoint folder, whole or not at all; an older one is replaced.

    Parameters
    ----------
    folder
        Where to write; its parent must exist.
    model
        With merged weights; with ``base``, as `add_lora` returns it.
    taxonomy, preprocessing, card
        As in `Checkpoint`.
    policy
        Its calibration, or thresholds set by hand. A calibration that is bound to no
        files yet (`made_for` empty) is bound to those that are written.
    familiarity
        Training cells to compare with.
    facts
        What else ``calibration.json`` should tell where thresholds are set by hand.
    half
        Store the weights in half precision.
    base
        Store only adapter and head, and that they belong to these weights
        (`describe_backbone`), which may not be passed on.

    Raises
    ------
    CheckpointError
        When the model's classes are not those of the taxonomy, the folder holds
        anything but a checkpoint, or the disk refuses.
    """
    import torch
    from safetensors.numpy import save_file as save_arrays
    from safetensors.torch import save_file

    config, tensors, adapter = _parts_of(model, base)
    if Taxonomy.from_dict(config["taxonomy"]) != taxonomy:
        raise CheckpointError(
            f"The model was built for another taxonomy than '{taxonomy.name}' with "
            f"{len(taxonomy)} classes; build it with this one."
        )
    kind = torch.float16 if half else torch.float32
    stored = {k: v.detach().cpu().to(kind).contiguous() for k, v in tensors.items()}

    def fill(part: Path) -> None:
        weights = part / (ADAPTER_WEIGHTS if base else WEIGHTS)
        save_file(stored, weights, metadata={"format": "pt"})
        texts = {
            "README.md": card,
            "config.json": json_text(config),
            "preprocessor_config.json": json_text(asdict(preprocessing)),
        }
        if adapter:
            texts[ADAPTER_CONFIG] = json_text(adapter)
        _write(part, texts)
        if familiarity is not None:
            save_arrays(familiarity.to_tensors(), part / FAMILIARITY)
        content = calibration_content(policy, part, taxonomy, facts)
        _write(part, {CALIBRATION: json_text(content)})

    return _placed(Path(folder), fill)


def save_calibrated(
    folder: str | Path,
    checkpoint: Checkpoint,
    calibration: Calibration,
    familiarity: NoveltyDetector | None,
    card: str,
) -> Path:
    """Write a checkpoint anew with another calibration and card; weights stay.

    Parameters
    ----------
    folder
        Where to write, the checkpoint's own folder not excluded.
    checkpoint
        Gives all other files, and by its `dtype` what the model computed in.
    calibration, familiarity, card
        As in `save_checkpoint`.
    """
    from safetensors.numpy import save_file as save_arrays

    own = calibration_name(checkpoint.dtype)
    replaced = {own, "README.md", MANIFEST}
    if checkpoint.dtype == DTYPE:
        # what was measured in another type belonged to the training cells before
        replaced |= set(OPTIONAL) - {TAUGHT, TAUGHT_ARRAYS}
    elif familiarity is not None:
        raise CheckpointError(
            f"Training cells to compare with are measured in {DTYPE}; calibrate in "
            f"that first, then in {checkpoint.dtype} without them."
        )

    def fill(part: Path) -> None:
        for file in checkpoint.folder.iterdir():
            known = (*FILES, *ADAPTER_FILES, *OPTIONAL)
            if file.name in known and file.name not in replaced:
                part.joinpath(file.name).write_bytes(
                    verified_bytes(file, checkpoint.sha256)
                )
        if familiarity is not None:
            save_arrays(familiarity.to_tensors(), part / FAMILIARITY)
        content = calibration_content(
            calibration, part, checkpoint.taxonomy, dtype=checkpoint.dtype
        )
        _write(part, {own: json_text(content), "README.md": card})

    return _placed(Path(folder), fill)


def save_profile(
    folder: str | Path,
    checkpoint: Checkpoint,
    profile: Profile,
    policy: DecisionPolicy,
    card: str,
    field_of_view: float | None = None,
) -> Path:
    """Write a checkpoint with what it was taught; its own weights stay as they are.

    Parameters
    ----------
    folder
        Where to write; its parent must exist.
    checkpoint
        That was taught on, or a profile of it: gives the weights.
    profile, policy, card
        As in `Checkpoint`.
    field_of_view
        Side of a crop in pixels of the laboratory's images, where it was given; from
        then on it is the profile's own.
    """
    from safetensors.numpy import save_file as save_arrays

    target = Path(folder)
    if target.exists() and target.resolve() != checkpoint.folder.resolve():
        _refuse_foreign(target)
        raise CheckpointError(
            f"There is a checkpoint or another file at {target} already; teach on that "
            "one, or choose another folder."
        )
    seen = checkpoint.preprocessing
    if field_of_view is not None:
        seen = seen.at(field_of_view)
    kept = {*FILES, *ADAPTER_FILES, FAMILIARITY} - {"README.md", CALIBRATION}

    def fill(part: Path) -> None:
        for file in checkpoint.folder.iterdir():
            if file.name in kept:
                raw = verified_bytes(file, checkpoint.sha256)
                part.joinpath(file.name).write_bytes(raw)
        save_arrays(
            {name: np.ascontiguousarray(a) for name, a in profile.arrays().items()},
            part / TAUGHT_ARRAYS,
        )
        texts = {"README.md": card, **profile.texts()}
        if seen != checkpoint.preprocessing:
            texts["preprocessor_config.json"] = json_text(asdict(seen))
        _write(part, texts)
        content = calibration_content(policy, part, profile.taxonomy)
        _write(part, {CALIBRATION: json_text(content)})

    return _placed(Path(folder), fill)


def _write(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _placed(target: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a folder beside the target, verify it, and put it in the target's place."""
    from safetensors import SafetensorError

    part: Path | None = None
    try:
        part = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}-", dir=target.parent))
        fill(part)
        write_manifest(part, tuple(sorted(p.name for p in part.iterdir())))
        load_checkpoint(part).model()
        part.chmod(0o755)
        for file in part.iterdir():
            with file.open("rb+") as written:
                os.fsync(written.fileno())
            file.chmod(0o644)
        if target.exists():
            _refuse_foreign(target)
            _exchange(part, target)
        else:
            part.rename(target)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"{target} cannot be written ({why}); free space on the disk or choose "
            "another folder."
        ) from error
    finally:
        if part is not None:
            # by now this is the old one, or what could not be finished
            shutil.rmtree(part, ignore_errors=True)
    return target


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders, in one step on Linux, so that no kill comes in between.

    Elsewhere it takes three renames: killed after the first, the target is missing,
    and the old and the new one lie whole beside its place.
    """
    system = (
        getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    )
    at_here, exchange = -100, 2
    names = (os.fsencode(one.absolute()), os.fsencode(other.absolute()))
    if system and not system(at_here, names[0], at_here, names[1], exchange):
        return
    aside = one.with_name(f"{one.name}-old")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def _parts_of(
    model: CytoDinoForImageClassification | PeftModel, base: Base | None
) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """Return configuration, tensors and adapter configuration to be stored."""
    from peft import PeftModel

    from napari_cytodino.checkpoints.adapters import adapter_config, adapter_tensors
    from napari_cytodino.models import config_fields

    if isinstance(model, PeftModel) != (base is not None):
        raise CheckpointError(
            f"A {type(model).__name__} was to be saved with base = {base}: merge the "
            "adapter first (merge_lora), or give both a PeftModel and its base."
        )
    if base is None or not isinstance(model, PeftModel):
        return config_fields(model), model.state_dict(), {}
    config = config_fields(model.get_base_model()) | {"base": asdict(base)}
    return config, adapter_tensors(model), adapter_config(model, base)


def _refuse_foreign(folder: Path) -> None:
    """Keep a folder that holds anything but a checkpoint from being replaced."""
    names = {p.name for p in folder.iterdir()} if folder.is_dir() else {folder.name}
    foreign = sorted(names - {*FILES, *ADAPTER_FILES, *OPTIONAL, *CLUTTER, MANIFEST})
    if foreign:
        raise CheckpointError(
            f"{folder} holds {foreign[0]}, which is no part of a checkpoint; "
            "choose another folder."
        )
