"""What a sealed state says of its run, and the weights in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

from napari_cytodino.checkpoints import adapter_tensors
from napari_cytodino.training.runs import (
    PREFIX,
    TrainingError,
    newest_complete,
    why_incomplete,
)

if TYPE_CHECKING:
    from pathlib import Path

    from peft import PeftModel


STATES = "states"
"""Folder of a run that holds its sealed states."""

WEIGHTS = "adapter_model.safetensors"
"""What a state holds of the model: adapters and head."""


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write adapters and head, and nothing that runs code when it is read."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = adapter_tensors(model)
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    save_file(plain, folder / WEIGHTS)


def load_adapter(model: PeftModel, folder: Path) -> None:
    """Fill adapters and head from a state, every tensor and no other.

    Raises
    ------
    TrainingError
        When the state belongs to another model.
    """
    from peft import set_peft_model_state_dict

    tensors = load_file(folder / WEIGHTS)
    wanted = {k: v.shape for k, v in adapter_tensors(model).items()}
    if {k: v.shape for k, v in tensors.items()} != wanted:
        raise TrainingError(
            f"{folder} holds another model than the recipe builds: choose an empty "
            "folder."
        )
    set_peft_model_state_dict(model, tensors)


def _facts(state: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(
        (state / "trainer_state.json").read_text(encoding="utf-8")
    )
    return facts


def is_over(state: Path) -> bool:
    """Tell whether a run ended with this state, by its length or by early stopping."""
    facts = _facts(state)
    control = facts["stateful_callbacks"]["TrainerControl"]["args"]
    return bool(
        facts["global_step"] >= facts["max_steps"] or control["should_training_stop"]
    )


def best_state(states: Path) -> Path:
    """Return the state with the best macro F1 on the watched part.

    Raises
    ------
    TrainingError
        When it is no longer there or was altered.
    """
    newest = newest_complete(states)
    best = _facts(newest)["best_global_step"] if newest else None
    folder = states / f"{PREFIX}{best}"
    if best is None or (fault := why_incomplete(folder)):
        why = fault if best is not None else "no epoch was finished"
        raise TrainingError(f"{folder} is no best state, {why}: train again.")
    return folder
