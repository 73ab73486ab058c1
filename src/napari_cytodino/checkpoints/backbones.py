"""Pretrained backbones: where their weights are, which they are, and loading them."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cytodino.checkpoints.folder import WEIGHTS, read_json
from napari_cytodino.checkpoints.hub import HUB_ID, fetch
from napari_cytodino.common import CheckpointError, sha256
from napari_cytodino.models import (
    backbone_fields,
    check_size,
    leave_out_broken_torchvision,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


logger = logging.getLogger(__name__)

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Base:
    """The pretrained weights that an adapter belongs to.

    An adapter on other weights loads without an error and answers nonsense, so their
    hash is part of the checkpoint.

    Attributes
    ----------
    id : str
        Hub id, or the folder they were read from.
    revision : str
        Commit on the Hub; empty for a folder.
    sha256 : str
        Hash of ``model.safetensors``.
    """

    id: str
    revision: str
    sha256: str


def find_backbone(source: str, revision: str | None = None) -> Path:
    """Return the folder of a pretrained backbone.

    Parameters
    ----------
    source : str
        A folder as `save_pretrained` writes it, or a Hub id.
    revision : str, optional
        Of the Hub repository.

    Raises
    ------
    CheckpointError
        Where there is none, where its licence was not accepted, or where it holds no
        single ``model.safetensors`` or no known architecture.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        if not HUB_ID.fullmatch(source):
            raise CheckpointError(
                f"There is no backbone '{source}': give a folder with config.json and "
                f"{WEIGHTS}, or a Hub id such as owner/name."
            )
        folder = fetch(source, revision or None)
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(
            f"The backbone {folder} has no {WEIGHTS}: save it again with "
            "save_pretrained, in one file."
        )
    where = folder / "config.json"
    check_size(backbone_fields(read_json(where), where), where, folder / WEIGHTS)
    return folder


def describe_backbone(source: str, revision: str | None = None) -> Base:
    """Find a backbone and say which weights it holds, for `save_checkpoint`."""
    folder = find_backbone(source, revision)
    if Path(source).expanduser().is_dir():
        return Base(str(folder.resolve()), "", sha256(folder / WEIGHTS))
    # a Hub snapshot lies in a folder named after its commit
    return Base(source, folder.name, sha256(folder / WEIGHTS))


def load_backbone(folder: Path) -> PreTrainedModel:
    """Load a backbone's weights in float32, every tensor present and finite.

    Parameters
    ----------
    folder : Path
        From `find_backbone`.

    Raises
    ------
    CheckpointError
        When weights are missing, of another shape or not finite.
    """
    import torch

    leave_out_broken_torchvision()
    from transformers import AutoModel

    try:
        model, report = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except Exception as error:  # transformers and safetensors raise many kinds
        raise CheckpointError(
            f"The backbone {folder} cannot be loaded ({error}); get it again."
        ) from error
    absent = sorted({*report["missing_keys"], *map(str, report["mismatched_keys"])})
    if absent:
        raise CheckpointError(
            f"The backbone {folder} lacks {absent[0]} or has it in another shape "
            f"({len(absent)} such); get it again."
        )
    for name, value in model.state_dict().items():
        if not value.isfinite().all():
            raise CheckpointError(
                f"{name} of the backbone {folder} is not finite; get it again."
            )
    unused = sorted(report["unexpected_keys"])
    if unused:
        logger.info("%s holds %d tensors of no use here", folder, len(unused))
    loaded: PreTrainedModel = model.eval()
    return loaded


def read_base(config: dict[str, Any], path: Path) -> Base | None:
    """Return the ``base`` of a checkpoint's ``config.json``; None for merged weights.

    Raises
    ------
    CheckpointError
        When it is there but not complete.
    """
    content = config.get("base")
    if content is None:
        return None
    try:
        base = Base(**content)
        good = all(isinstance(v, str) for v in (base.id, base.revision, base.sha256))
        if good and _SHA256.fullmatch(base.sha256) and base.id:
            return base
    except TypeError:
        pass
    raise CheckpointError(
        f"{path} names the base {content!r}, which lacks id, revision or sha256; "
        "save the checkpoint again."
    )


def find_base(base: Base) -> Path:
    """Return the folder of an adapter's base, after comparing the weights' hash.

    Raises
    ------
    CheckpointError
        When it cannot be had, or holds other weights.
    """
    folder = find_backbone(base.id, base.revision)
    found = sha256(folder / WEIGHTS)
    if found != base.sha256:
        raise CheckpointError(
            f"The adapter was trained on {base.id} with sha256 {base.sha256[:12]}, but "
            f"{folder / WEIGHTS} has {found[:12]}; get the base again at revision "
            f"'{base.revision}'."
        )
    return folder
