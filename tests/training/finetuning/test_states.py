"""States: the weights in them, whether a run is over, and which was the best."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_cytodino.training.finetuning.model import new_model
from napari_cytodino.training.finetuning.states import (
    WEIGHTS,
    best_state,
    is_over,
    load_adapter,
    save_adapter,
)
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe
from napari_cytodino.training.runs.states import TrainingError, mark_complete

if TYPE_CHECKING:
    from pathlib import Path

    from peft import PeftModel


def model_with(*changes: str) -> PeftModel:
    return new_model(build(FinetuneRecipe, *read_recipe("finetune-smoke", changes)))


def test_a_state_of_another_model_is_refused(tmp_path: Path) -> None:
    save_adapter(model_with("lora.rank=2"), tmp_path)
    load_adapter(model_with("lora.rank=2", "seed=3"), tmp_path)
    with pytest.raises(TrainingError, match="another model"):
        load_adapter(model_with("lora.rank=4"), tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(TrainingError, match="another model"):
        load_adapter(model_with("lora.rank=2"), tmp_path)


def test_a_loaded_state_is_the_saved_one(tmp_path: Path) -> None:
    one, other = model_with().eval(), model_with("seed=8").eval()
    with torch.no_grad():
        for name, value in one.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.2)
    folder = tmp_path / "state"
    save_adapter(one, folder)
    pixels = torch.randn(2, 3, 32, 32)
    expected = one(pixel_values=pixels).logits
    assert not torch.equal(other(pixel_values=pixels).logits, expected)
    load_adapter(other, folder)
    learnt = dict(one.named_parameters())
    for name, value in other.named_parameters():
        if value.requires_grad:
            assert torch.equal(value, learnt[name]), name
    assert [p.name for p in folder.iterdir()] == [WEIGHTS]


def state(folder: Path, step: int, **facts: Any) -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    stop = facts.pop("stop", False)
    control = {"TrainerControl": {"args": {"should_training_stop": stop}}}
    known = {"global_step": step, "max_steps": 9, "stateful_callbacks": control}
    (made / "trainer_state.json").write_text(json.dumps(known | facts), "utf-8")
    mark_complete(made)
    return made


def test_a_run_is_over_by_its_length_or_by_early_stopping(tmp_path: Path) -> None:
    assert not is_over(state(tmp_path, 8))
    assert is_over(state(tmp_path, 9))
    assert is_over(state(tmp_path, 7, stop=True))


def test_the_best_state_is_found_or_missed(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no epoch was finished"):
        best_state(tmp_path)
    best = state(tmp_path, 3, best_global_step=3)
    state(tmp_path, 6, best_global_step=3)
    assert best_state(tmp_path) == best
    (best / "trainer_state.json").write_text("{}", "utf-8")
    with pytest.raises(TrainingError, match=r"checkpoint-3 is no .* is altered"):
        best_state(tmp_path)
