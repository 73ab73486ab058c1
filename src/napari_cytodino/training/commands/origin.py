"""From a checkpoint back to the run that made it: its recipe, and its split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cytodino.checkpoints import checkpoint_facts, read_json
from napari_cytodino.common import InputError
from napari_cytodino.training.data import split_sha256
from napari_cytodino.training.recipes import read_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.checkpoints import Checkpoint


def recipe_of(checkpoint: Checkpoint) -> tuple[dict[str, Any], str]:
    """Return the content of a checkpoint's recipe, and where it was read.

    That of the run whose folder holds the checkpoint, else the one that ships with the
    package under the name the checkpoint gives.
    """
    stored = checkpoint.folder.parent / "recipe.json"
    if stored.is_file():
        return read_json(stored), str(stored)
    return read_recipe(str(checkpoint_facts(checkpoint.folder).get("recipe", "")))


def split_of(checkpoint: Checkpoint) -> str:
    """Return the sha256 of the split a checkpoint was trained on; empty for none."""
    return str(checkpoint_facts(checkpoint.folder).get("split_sha256", ""))


def same_split(checkpoint: Checkpoint, path: Path) -> None:
    """Refuse a split that is not the checkpoint's own.

    Raises
    ------
    InputError
        When the file is missing or another one.
    """
    if not path.is_file() or split_sha256(path) != split_of(checkpoint):
        raise InputError(
            f"'{checkpoint.name}' was trained on another split than {path}: use it "
            "with the split of its run (--split FILE)."
        )
