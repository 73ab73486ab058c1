"""Adapters: which weights learn, and a merge that changes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from napari_cytodino.checkpoints.adapters import (
    TARGETS,
    add_lora,
    merge_lora,
    read_adapter_config,
)
from napari_cytodino.checkpoints.backbones import Base, describe_backbone
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.folder import (
    ADAPTER_CONFIG,
    ADAPTER_FILES,
    ADAPTER_WEIGHTS,
    Preprocessing,
    write_manifest,
)
from napari_cytodino.checkpoints.saving import save_checkpoint
from napari_cytodino.common.errors import CheckpointError, CytoDinoError
from napari_cytodino.common.files import write_json
from napari_cytodino.models.cytodino import (
    CytoDinoConfig,
    CytoDinoForImageClassification,
)
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.uncertainty.decisions import DecisionPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SMALL = {
    "image_size": 32,
    "patch_size": 16,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
BACKBONES = {
    "dinov3_vit": {**SMALL, "model_type": "dinov3_vit", "intermediate_size": 48},
    "dinov2": {**SMALL, "model_type": "dinov2", "mlp_ratio": 2},
}


def small_model(kind: str = "dinov3_vit") -> CytoDinoForImageClassification:
    torch.manual_seed(0)
    return CytoDinoForImageClassification(
        CytoDinoConfig(
            backbone_config=BACKBONES[kind],
            taxonomy=Taxonomy.load("mll21").to_dict(),
            head_layers=1,
            head_heads=2,
        )
    ).eval()


@pytest.mark.parametrize(("kind", "projections"), [("dinov3_vit", 6), ("dinov2", 6)])
def test_adapters_sit_on_every_projection_and_the_head_learns(
    kind: str, projections: int
) -> None:
    adapted = add_lora(small_model(kind), rank=4, alpha=8)
    learning = {n for n, p in adapted.named_parameters() if p.requires_grad}
    assert sum("lora_A" in name for name in learning) == 2 * projections
    assert any("head" in name for name in learning)
    assert all("lora_" in name or "head" in name for name in learning)


@pytest.mark.parametrize("kind", BACKBONES)
def test_merged_model_answers_as_the_adapted_one(kind: str) -> None:
    plain = small_model(kind)
    names = set(plain.state_dict())
    pixels = torch.randn(3, 3, 32, 32)
    before = plain(pixels).logits.detach()
    adapted = add_lora(plain, rank=4, alpha=8).eval()
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.2)
    expected = adapted(pixels).logits.detach()
    merged = merge_lora(adapted)
    assert isinstance(merged, CytoDinoForImageClassification)
    assert set(merged.state_dict()) == names
    assert (expected - before).abs().max() > 1e-3
    assert (merged(pixels).logits - expected).abs().max() < 1e-5


def test_a_rank_below_one_is_refused() -> None:
    with pytest.raises(CytoDinoError, match="rank of 0"):
        add_lora(small_model(), rank=0)


def test_a_backbone_without_projections_is_refused() -> None:
    model = small_model()
    model.backbone = torch.nn.Identity()
    with pytest.raises(CytoDinoError, match="Identity"):
        add_lora(model)


def test_infinite_weights_are_not_merged() -> None:
    adapted = add_lora(small_model(), rank=2, alpha=4)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.fill_(torch.inf)
    with pytest.raises(CytoDinoError, match="not finite"):
        merge_lora(adapted)


# --- adapter folders -------------------------------------------------------------

TAXONOMY = Taxonomy.load("mll21")
INPUT = Preprocessing(32, 192.0, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


def trained(model: CytoDinoForImageClassification) -> PeftModel:
    """Return an adapted model whose adapters and head differ from their start."""
    adapted = add_lora(model, rank=4, alpha=8).eval()
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name or "head.modules_to_save" in name:
                value.add_(torch.randn_like(value) * 0.1)
    return adapted


@pytest.fixture
def base(tmp_path: Path) -> Base:
    small_model().backbone.save_pretrained(tmp_path / "base")
    return describe_backbone(str(tmp_path / "base"))


@pytest.fixture
def folder(tmp_path: Path, base: Base) -> Path:
    adapted = trained(small_model())
    target = tmp_path / "adapter"
    pixels = torch.randn(3, 3, 32, 32)
    logits = adapted(pixels).logits.detach()
    save_file({"pixels": pixels, "logits": logits}, tmp_path / "expected")
    return save_checkpoint(
        target,
        adapted,
        TAXONOMY,
        INPUT,
        DecisionPolicy(),
        "# Adapter\n",
        half=False,
        base=base,
    )


def test_an_adapter_folder_gives_the_model_that_was_trained(
    folder: Path, base: Base
) -> None:
    expected = load_file(folder.parent / "expected")
    loaded = load_checkpoint(folder)
    assert loaded.base == base
    model = loaded.model()
    assert not model.training
    assert set(model.state_dict()) == set(small_model().state_dict())
    logits = model(expected["pixels"]).logits
    assert (logits - expected["logits"]).abs().max() < 1e-5


def test_an_adapter_folder_holds_no_weights_of_the_base(folder: Path) -> None:
    assert {p.name for p in folder.iterdir()} == {*ADAPTER_FILES, "manifest.json"}
    names = set(load_file(folder / ADAPTER_WEIGHTS))
    assert all("lora_" in name or ".head." in name for name in names)
    assert sum("lora_A" in name for name in names) == 12


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_peft_itself_reads_the_folder(folder: Path, tmp_path: Path) -> None:
    # an independent reader of the same files: names and shapes are the ecosystem's
    expected = load_file(tmp_path / "expected")
    adapted = PeftModel.from_pretrained(small_model(), folder).eval()
    logits = adapted(expected["pixels"]).logits
    assert (logits - expected["logits"]).abs().max() < 1e-5


def test_an_adapter_on_another_base_is_refused(folder: Path, base: Base) -> None:
    torch.manual_seed(1)
    other = CytoDinoForImageClassification(small_model().config)
    other.backbone.save_pretrained(base.id)
    with pytest.raises(CheckpointError, match="was trained on"):
        load_checkpoint(folder).model()


def test_a_base_that_is_gone_is_named(folder: Path, base: Base) -> None:
    from pathlib import Path as Place

    Place(base.id).rename(folder.parent / "elsewhere")
    assert load_checkpoint(folder).base == base
    with pytest.raises(CheckpointError, match=f"no backbone '{base.id}'"):
        load_checkpoint(folder).model()


def test_a_merged_folder_with_a_base_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config.pop("base")
    write_json(folder / "config.json", config)
    write_manifest(folder, ADAPTER_FILES)
    with pytest.raises(CheckpointError, match="mixes merged weights with an adapter"):
        load_checkpoint(folder)


def without_a_head(tensors: dict[str, torch.Tensor]) -> None:
    for name in [name for name in tensors if ".head." in name]:
        tensors.pop(name)


def without_one_matrix(tensors: dict[str, torch.Tensor]) -> None:
    tensors.pop(next(name for name in tensors if "lora_B" in name))


def with_an_old_name(tensors: dict[str, torch.Tensor]) -> None:
    name = next(name for name in tensors if "lora_A" in name)
    tensors[name.replace("layer.", "block.")] = tensors.pop(name)


def with_nan(tensors: dict[str, torch.Tensor]) -> None:
    tensors[next(name for name in tensors if "lora_A" in name)][0, 0] = torch.nan


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (without_a_head, "lacks tensor .*head"),
        (without_one_matrix, "lacks tensor .*lora_B"),
        (with_an_old_name, "lacks tensor .*lora_A"),
        (with_nan, "no finite numbers"),
    ],
)
def test_tensors_that_peft_would_take_in_silence_are_refused(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], word: str
) -> None:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    change(tensors)
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    write_manifest(folder, ADAPTER_FILES)
    with pytest.raises(CheckpointError, match=word):
        load_checkpoint(folder).model()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"auto_mapping": {"parent_library": "os"}}, "auto_mapping"),
        ({"target_modules": "all-linear"}, "target_modules"),
        ({"peft_type": "IA3"}, "peft_type"),
        ({"bias": "all"}, "bias"),
        ({"r": 0}, "r is 0"),
        ({"lora_alpha": True}, "lora_alpha"),
        ({"r": 10**6}, "r is 1000000"),
    ],
)
def test_only_plain_lora_is_read(
    tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    content = {
        "peft_type": "LORA",
        "base_model_name_or_path": "owner/name",
        "revision": None,
        "bias": "none",
        "target_modules": TARGETS,
        "modules_to_save": ["head"],
        "r": 4,
        "lora_alpha": 8,
    }
    write_json(tmp_path / ADAPTER_CONFIG, content)
    assert read_adapter_config(tmp_path) == (4, 8)
    write_json(tmp_path / ADAPTER_CONFIG, content | change)
    with pytest.raises(CheckpointError, match=word):
        read_adapter_config(tmp_path)


def test_model_and_base_belong_together(tmp_path: Path, base: Base) -> None:
    for model, given in ((trained(small_model()), None), (small_model(), base)):
        with pytest.raises(CheckpointError, match="merge the adapter first"):
            save_checkpoint(
                tmp_path / "x",
                model,
                TAXONOMY,
                INPUT,
                DecisionPolicy(),
                "",
                base=given,
            )
    assert not (tmp_path / "x").exists()
