"""Backbones: found, identified by their weights, loaded whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, PreTrainedModel

from napari_cytodino.checkpoints.backbones import (
    Base,
    describe_backbone,
    find_backbone,
    find_base,
    load_backbone,
    read_base,
)
from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.common.files import sha256

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = {
    "image_size": 32,
    "patch_size": 16,
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
KINDS = {"dinov3_vit": {"intermediate_size": 24}, "dinov2": {"mlp_ratio": 1}}
NAME = "model.safetensors"


def random_backbone(kind: str = "dinov3_vit") -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **SMALL, **KINDS[kind]))
    assert isinstance(model, PreTrainedModel)
    return model.eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random_backbone().save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_backbone_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    model = random_backbone(kind)
    model.save_pretrained(tmp_path / kind)
    again = load_backbone(find_backbone(str(tmp_path / kind)))
    assert not again.training
    for name, value in again.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, model.state_dict()[name])


def test_a_folder_is_described_by_its_weights(folder: Path) -> None:
    base = describe_backbone(str(folder))
    assert base == Base(str(folder.resolve()), "", sha256(folder / NAME))
    assert find_base(base) == folder.resolve()


def test_a_hub_snapshot_is_described_by_its_commit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = folder.rename(folder.parent / "0f3c")
    asked: list[tuple[str, str | None]] = []

    def fetch(hub_id: str, revision: str | None) -> Path:
        asked.append((hub_id, revision))
        return commit

    monkeypatch.setattr("napari_cytodino.checkpoints.backbones.fetch", fetch)
    base = describe_backbone("owner/name", "main")
    assert (base.id, base.revision) == ("owner/name", "0f3c")
    assert find_base(base) == commit
    assert asked == [("owner/name", "main"), ("owner/name", "0f3c")]


def test_other_weights_are_not_taken_for_the_base(folder: Path) -> None:
    base = describe_backbone(str(folder))
    tensors = load_file(folder / NAME)
    first = next(iter(tensors))
    tensors[first] = tensors[first] + 1e-3
    save_file(tensors, folder / NAME, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=f"trained on .* {base.sha256[:12]}"):
        find_base(base)


def drop(tensors: dict[str, torch.Tensor]) -> None:
    tensors.pop(next(k for k in tensors if "q_proj" in k))


def cut(tensors: dict[str, torch.Tensor]) -> None:
    name = next(k for k in tensors if "q_proj.weight" in k)
    tensors[name] = tensors[name][:5].clone()


def spoil(tensors: dict[str, torch.Tensor]) -> None:
    tensors[next(k for k in tensors if "q_proj.weight" in k)][0, 0] = torch.nan


@pytest.mark.parametrize(
    ("change", "word"),
    [(drop, "lacks.*q_proj"), (cut, "q_proj|size"), (spoil, "q_proj.*not finite")],
)
def test_incomplete_weights_are_refused(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], word: str
) -> None:
    tensors = load_file(folder / NAME)
    change(tensors)
    save_file(tensors, folder / NAME, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=word):
        load_backbone(folder)


def test_a_truncated_file_is_refused(folder: Path) -> None:
    (folder / NAME).write_bytes((folder / NAME).read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_backbone(folder)


def test_a_source_that_is_nothing_is_named() -> None:
    with pytest.raises(CheckpointError, match="no backbone 'nothing'"):
        find_backbone("nothing")


def test_a_folder_without_weights_is_named(folder: Path) -> None:
    (folder / NAME).rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        find_backbone(str(folder))


def test_an_unknown_architecture_is_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["model_type"] = "resnet"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match="'resnet'"):
        find_backbone(str(folder))


def test_merged_weights_have_no_base() -> None:
    assert read_base({"model_type": "cytodino"}, Path("config.json")) is None


def test_a_whole_base_is_read() -> None:
    content = {"id": "owner/name", "revision": "", "sha256": "0" * 64}
    assert read_base({"base": content}, Path("config.json")) == Base(**content)


@pytest.mark.parametrize(
    "content",
    [
        {"id": "owner/name", "revision": ""},
        {"id": "owner/name", "revision": "", "sha256": "short"},
        {"id": "", "revision": "", "sha256": "0" * 64},
        {"id": 3, "revision": "", "sha256": "0" * 64},
        {"id": "a/b", "revision": "", "sha256": "0" * 64, "code": "x"},
        "owner/name",
    ],
)
def test_half_a_base_is_refused(content: object) -> None:
    with pytest.raises(CheckpointError, match="lacks id, revision or sha256"):
        read_base({"base": content}, Path("config.json"))
