"""The only door between a model on disk and in memory; it verifies, then trusts."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cytodino.core.backbone import Base, read_base
from napari_cytodino.core.checkpoint_files import (
    ADAPTER_CONFIG,
    ADAPTER_FILES,
    ADAPTER_WEIGHTS,
    FILES,
    MANIFEST,
    WEIGHTS,
    Preprocessing,
    read_json,
    read_policy,
    read_preprocessing,
    read_taxonomy,
    sha256,
    verify_files,
    write_json,
    write_manifest,
)
from napari_cytodino.core.errors import CheckpointError
from napari_cytodino.core.hub import HUB_ID, fetch
from napari_cytodino.core.taxonomy import Taxonomy

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor

    from napari_cytodino.core.decisions import DecisionPolicy
    from napari_cytodino.core.model import CytoDinoForImageClassification

__all__ = [
    "Checkpoint",
    "CheckpointInfo",
    "Preprocessing",
    "list_checkpoints",
    "load_checkpoint",
    "save_checkpoint",
]


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint that ships with the package.

    Attributes
    ----------
    name : str
        What `load_checkpoint` takes.
    title : str
        First heading of its model card.
    folder : Path
        Where it lies.
    """

    name: str
    title: str
    folder: Path


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint; the weights are read when the model is asked for.

    Attributes
    ----------
    name : str
        Bundled name, folder name or Hub id.
    taxonomy : Taxonomy
        Its class order is the order of the logits.
    preprocessing : Preprocessing
        How crops become the model's input.
    policy : DecisionPolicy
        From its calibration.
    card : str
        The model card, in Markdown.
    sha256 : str
        Hash of the manifest, and so of every file.
    folder : Path
        Where it lies.
    synthetic : bool
        True where the training cells were drawn in code.
    base : Base or None
        What the adapter was trained on, for a folder that stores only an adapter and
        the head; None where the weights are merged.
    """

    name: str
    taxonomy: Taxonomy
    preprocessing: Preprocessing
    policy: DecisionPolicy
    card: str
    sha256: str
    folder: Path
    synthetic: bool = False
    base: Base | None = None

    def model(self) -> CytoDinoForImageClassification:
        """Build the model and fill in the weights, in float32 and evaluation mode.

        Raises
        ------
        CheckpointError
            When the weights changed since they were verified, or do not fit.
        """
        import torch

        from napari_cytodino.core.model import model_from_config

        path = self.folder / (ADAPTER_WEIGHTS if self.base else WEIGHTS)
        tensors = _verified_tensors(path, self.sha256)
        config = read_json(self.folder / "config.json")
        if self.base is not None:
            from napari_cytodino.core.adapter import fill_adapter, model_with_adapter

            adapted, wanted = model_with_adapter(config, self.folder, self.base)
            _check_tensors(tensors, wanted, path)
            model = fill_adapter(adapted, tensors)
        else:
            model = model_from_config(config)
            _check_tensors(tensors, model.state_dict(), path)
            model.load_state_dict({k: v.to(torch.float32) for k, v in tensors.items()})
        model.eval()
        return model


def _verified_tensors(path: Path, identity: str) -> dict[str, Tensor]:
    """Read tensors from bytes whose hash is, at this moment, that of the manifest."""
    from safetensors.torch import load

    manifest = path.parent / MANIFEST
    try:
        raw = path.read_bytes()
        hashes = read_json(manifest)["sha256"]
    except (OSError, KeyError) as error:
        raise CheckpointError(
            f"{path} can no longer be read ({error}); load the checkpoint again."
        ) from error
    if (
        sha256(manifest) != identity
        or hashlib.sha256(raw).hexdigest() != hashes[path.name]
    ):
        raise CheckpointError(
            f"{path} changed after it was verified; load the checkpoint again."
        )
    try:
        tensors: dict[str, Tensor] = load(raw)
    except Exception as error:  # safetensors raises its own, undocumented kinds
        raise CheckpointError(
            f"{path} is no valid safetensors file ({error}); get it again."
        ) from error
    return tensors


def _check_tensors(
    tensors: dict[str, Tensor], wanted: dict[str, Tensor], path: Path
) -> None:
    """Compare names, shapes and values with what the model needs."""
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
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(
                f"{name} in {path} has shape {tuple(tensor.shape)}, the configuration "
                f"asks for {tuple(wanted[name].shape)}; get the checkpoint again."
            )
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise CheckpointError(
                f"{name} in {path} holds values that are no finite numbers; "
                "get the checkpoint again."
            )


def _bundled() -> Path:
    return Path(str(resources.files("napari_cytodino"))) / "checkpoints"


def list_checkpoints() -> list[CheckpointInfo]:
    """Return the checkpoints that ship with the package, by name."""
    return [
        CheckpointInfo(card.parent.name, _title(card), card.parent)
        for card in sorted(_bundled().glob("*/README.md"))
    ]


def _title(card: Path) -> str:
    for line in card.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            return line[2:].strip()
    return card.parent.name


def load_checkpoint(source: str | Path) -> Checkpoint:
    """Find a checkpoint and verify it; the weights are read later, by `model`.

    Parameters
    ----------
    source
        Name of a bundled checkpoint, a folder, or a Hugging Face Hub id.

    Raises
    ------
    CheckpointError
        One sentence with the file or value and the remedy.
    """
    bundled = {info.name: info.folder for info in list_checkpoints()}
    text = str(source)
    if text in bundled:
        return _read(bundled[text], text)
    if Path(source).expanduser().is_dir():
        folder = Path(source).expanduser().resolve()
        return _read(folder, folder.name)
    if isinstance(source, str) and HUB_ID.fullmatch(source):
        return _read(fetch(source), source)
    raise CheckpointError(
        f"There is no checkpoint '{text}': give one of {', '.join(sorted(bundled))}, "
        "an existing folder, or a Hugging Face Hub id such as owner/name."
    )


def _read(folder: Path, name: str) -> Checkpoint:
    identity = verify_files(folder)
    config = read_json(folder / "config.json")
    taxonomy = read_taxonomy(config, folder / "config.json")
    return Checkpoint(
        name,
        taxonomy,
        read_preprocessing(folder),
        read_policy(folder, taxonomy),
        (folder / "README.md").read_text(encoding="utf-8"),
        identity,
        folder,
        config.get("synthetic") is True,
        _base(folder, config),
    )


def _base(folder: Path, config: dict[str, Any]) -> Base | None:
    """Return the base, which exactly the adapter folders have."""
    base = read_base(config, folder / "config.json")
    if (base is None) == (folder / ADAPTER_CONFIG).is_file():
        raise CheckpointError(
            f"{folder} mixes merged weights with an adapter: config.json has "
            f"{'no' if base is None else 'a'} base; save the checkpoint again."
        )
    return base


def save_checkpoint(
    folder: str | Path,
    model: CytoDinoForImageClassification | PeftModel,
    taxonomy: Taxonomy,
    preprocessing: Preprocessing,
    policy: DecisionPolicy,
    card: str,
    *,
    facts: dict[str, Any] | None = None,
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
    taxonomy, preprocessing, policy, card
        As in `Checkpoint`.
    facts
        What else ``calibration.json`` should tell, such as the number of cells.
    half
        Store the weights in half precision.
    base
        Store only adapter and head, and that they belong to these weights
        (`describe_backbone`), which may not be passed on.

    Raises
    ------
    CheckpointError
        When the model's classes are not those of the taxonomy.
    """
    import torch
    from safetensors.torch import save_file

    target = Path(folder)
    config, tensors, adapter = _parts_of(model, base)
    if Taxonomy.from_dict(config["taxonomy"]) != taxonomy:
        raise CheckpointError(
            f"The model was built for another taxonomy than '{taxonomy.name}' with "
            f"{len(taxonomy)} classes; build it with this one."
        )
    kind = torch.float16 if half else torch.float32
    stored = {k: v.detach().cpu().to(kind).contiguous() for k, v in tensors.items()}
    weights = ADAPTER_WEIGHTS if base else WEIGHTS
    made_for = {"dtype": "float32", "classes": list(taxonomy.codes)}
    calibration = asdict(policy) | made_for
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        save_file(stored, part / weights, metadata={"format": "pt"})
        write_json(part / "config.json", config)
        if adapter:
            write_json(part / ADAPTER_CONFIG, adapter)
        write_json(part / "preprocessor_config.json", asdict(preprocessing))
        write_json(part / "calibration.json", calibration | (facts or {}))
        (part / "README.md").write_text(card, encoding="utf-8")
        write_manifest(part, ADAPTER_FILES if base else FILES)
        _read(part, target.name).model()
        part.chmod(0o755)
        (part / weights).chmod(0o644)
        if target.exists():
            _refuse_foreign(target)
            shutil.rmtree(target)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _parts_of(
    model: CytoDinoForImageClassification | PeftModel, base: Base | None
) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """Return configuration, tensors and adapter configuration to be stored."""
    from peft import PeftModel

    from napari_cytodino.core.adapter import adapter_config, adapter_tensors
    from napari_cytodino.core.model import config_fields

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
    foreign = sorted(names - {*FILES, *ADAPTER_FILES, MANIFEST})
    if foreign:
        raise CheckpointError(
            f"{folder} holds {foreign[0]}, which is no part of a checkpoint; "
            "choose another folder."
        )
