"""The files of a checkpoint folder: which there are, their hashes, their fields."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from napari_cytodino.common import (
    CheckpointError,
    InputError,
    first_changed,
    json_text,
    sha256,
)
from napari_cytodino.models import BACKBONES, check_model, check_size
from napari_cytodino.taxonomy import Taxonomy

MANIFEST = "manifest.json"
"""Holds the sha256 of every other file."""

WEIGHTS = "model.safetensors"
"""All tensors of backbone and head, merged."""

ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""The low-rank matrices and the head; the base's weights are elsewhere."""

ADAPTER_CONFIG = "adapter_config.json"
"""Rank and alpha of the adapter, in peft's terms."""

FILES = (
    "README.md",
    "calibration.json",
    "config.json",
    WEIGHTS,
    "preprocessor_config.json",
)
"""What a folder of merged weights holds beside its manifest, and nothing else."""

ADAPTER_FILES = (
    "README.md",
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    "calibration.json",
    "config.json",
    "preprocessor_config.json",
)
"""What an adapter folder holds beside its manifest, and nothing else."""

FAMILIARITY = "familiarity.safetensors"
"""Training cells to compare with."""

TAUGHT, TAUGHT_ARRAYS = "taught.json", "taught.safetensors"
"""What was taught on the checkpoint; both, or neither."""

OPTIONAL = ("calibration.bfloat16.json", FAMILIARITY, TAUGHT, TAUGHT_ARRAYS)
"""What either kind of folder may hold besides."""

UNSAFE = (".bin", ".ckpt", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth")
"""Files that can run code when they are read; a folder with one is refused."""

CLUTTER = (".DS_Store", ".gitattributes", "Thumbs.db", "desktop.ini")
"""What file managers and git leave in any folder; none of it is ever read."""

LARGEST_JSON = 4_000_000
"""Bytes; a longer description is not read."""


@dataclass(frozen=True)
class Preprocessing:
    """How crops become the model's input.

    Attributes
    ----------
    size : int
        Side of the input in pixels.
    field_of_view : float
        Side of the crop in image pixels, at the scale of the training crops.
    mean, std : tuple of float
        Of each channel, for values in 0..1.
    microns_per_pixel : float or None
        Of the training crops, where it is known.
    """

    size: int
    field_of_view: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    microns_per_pixel: float | None = None

    def __post_init__(self) -> None:
        scale = [] if self.microns_per_pixel is None else [self.microns_per_pixel]
        positive = [self.size, self.field_of_view, *self.std, *scale]
        good = (
            {len(self.mean), len(self.std)} == {3}
            and all(_number(v) for v in (*positive, *self.mean))
            and min(positive) > 0
            and self.size in range(8, 4097)
        )
        if not good:
            raise CheckpointError(
                f"The preprocessing {asdict(self)} cannot be used; correct size, "
                "field_of_view, mean, std or microns_per_pixel in "
                "preprocessor_config.json and save the checkpoint again."
            )

    def at(self, field_of_view: float) -> Preprocessing:
        """Return the same for images in which a crop spans so many pixels."""
        microns = self.microns_per_pixel
        if microns is not None:
            microns *= self.field_of_view / field_of_view
        return replace(self, field_of_view=field_of_view, microns_per_pixel=microns)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def write_manifest(folder: Path, files: tuple[str, ...] = FILES) -> None:
    """Write the hash of every file of the folder."""
    hashes = {name: sha256(folder / name) for name in files}
    text = json_text({"sha256": hashes})
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    CheckpointError
        When the file is missing, overlong or no JSON object, says a thing twice, or
        holds a number that is not finite or has more than 64 bits.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise CheckpointError(
                f"{path} is larger than {LARGEST_JSON} bytes, which no checkpoint "
                "needs; get the checkpoint again from its source."
            )
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path.name} is missing in {path.parent}; get the checkpoint again, whole."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{path} is not valid JSON ({error}); get the checkpoint again."
        ) from error
    return parse_json(raw, path)


def parse_json(raw: bytes, path: Path) -> dict[str, Any]:
    """Return the JSON object in bytes that were read from a file.

    Raises
    ------
    CheckpointError
        As `read_json` does.
    """
    try:
        content = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_bounded,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not valid JSON ({error}); get the checkpoint again."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no JSON object; get the checkpoint again.")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        # readers differ in which of the two they take
        raise ValueError("it has a key twice")
    return content


def _bounded(text: str) -> int:
    value = int(text)
    if abs(value) >= 2**63:
        raise ValueError("it has a whole number of more than 64 bits")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def verify_files(folder: Path) -> str:
    """Check names and hashes against the manifest; return the manifest's hash.

    Raises
    ------
    CheckpointError
        When a file is unsafe, missing, not listed or altered.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder; give a checkpoint's folder.")
    present = {
        str(p.relative_to(folder))
        for p in folder.rglob("*")
        if not p.is_dir() and p.name not in CLUTTER
    }
    for name in sorted(present):
        if Path(name).suffix.lower() in UNSAFE:
            raise CheckpointError(
                f"{folder} holds {name}, which could run code when read; only "
                "safetensors are accepted, so convert or remove it."
            )
        if not (folder / name).is_file():
            # a pipe or a device would be read for ever
            raise CheckpointError(
                f"{name} in {folder} is no plain file; get the checkpoint again."
            )
    stored = read_json(folder / MANIFEST).get("sha256")
    hashes = stored if isinstance(stored, dict) else {}
    listed = tuple(sorted(hashes))
    if tuple(n for n in listed if n not in OPTIONAL) not in (FILES, ADAPTER_FILES):
        raise CheckpointError(
            f"{folder / MANIFEST} does not list exactly {', '.join(FILES)}, nor the "
            "files of an adapter; save the checkpoint again with this version."
        )
    if (TAUGHT in listed) != (TAUGHT_ARRAYS in listed):
        raise CheckpointError(
            f"{folder} holds one of {TAUGHT} and {TAUGHT_ARRAYS}, but they belong "
            "together; get the checkpoint again."
        )
    extra = sorted(present - set(listed) - {MANIFEST})
    if extra:
        raise CheckpointError(
            f"{folder} holds {extra[0]}, which its manifest does not list; remove it."
        )
    name, fault = first_changed(folder, hashes)
    if fault == "missing":
        raise CheckpointError(
            f"{name} is missing in {folder}; get the checkpoint again, whole."
        )
    if fault:
        raise CheckpointError(
            f"{name} in {folder} was altered: its sha256 is not that of the "
            "manifest; get the checkpoint again."
        )
    return sha256(folder / MANIFEST)


def read_taxonomy(config: dict[str, Any], path: Path) -> Taxonomy:
    """Return the taxonomy inside a configuration, after checking the whole of it.

    Raises
    ------
    CheckpointError
        When it describes another model, one that cannot be built, one larger than the
        weights beside it, or no taxonomy.
    """
    backbone = config.get("backbone_config")
    kind = backbone.get("model_type") if isinstance(backbone, dict) else None
    if config.get("model_type") != "cytodino" or kind not in BACKBONES:
        raise CheckpointError(
            f"{path} describes {config.get('model_type')!r} on {kind!r}; this version "
            f"builds 'cytodino' on one of {', '.join(BACKBONES)}."
        )
    check_model(config, path)
    weights = path.parent / WEIGHTS
    if weights.is_file():
        check_size(config, path, weights)
    try:
        return Taxonomy.from_dict(config["taxonomy"])
    except (InputError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} holds no valid taxonomy ({error}); save the checkpoint again."
        ) from error


def read_preprocessing(folder: Path) -> Preprocessing:
    """Read ``preprocessor_config.json``."""
    path = folder / "preprocessor_config.json"
    content = read_json(path)
    try:
        return Preprocessing(
            content["size"],
            content["field_of_view"],
            tuple(content["mean"]),
            tuple(content["std"]),
            content.get("microns_per_pixel"),
        )
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} lacks or misnames a field ({error}); save the checkpoint again."
        ) from error
