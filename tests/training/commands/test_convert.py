"""DinoBloom's files: what comes out answers as the published model would."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional as F

from napari_cytodino.checkpoints.backbones import load_backbone
from napari_cytodino.common.errors import InputError
from napari_cytodino.training.commands.convert import (
    config_of,
    convert_dinobloom,
    read_dinobloom,
    rename,
)

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

WIDTH, PATCH, SIDE, LAYERS = 128, 14, 3, 2


def published(*, giant: bool = False, chunked: bool = False) -> dict[str, Tensor]:
    """Return random tensors under the names of the DINOv2 code."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * 0.1

    tensors = {
        "cls_token": draw(1, 1, WIDTH),
        "mask_token": draw(1, WIDTH),
        "pos_embed": draw(1, 1 + SIDE * SIDE, WIDTH),
        "patch_embed.proj.weight": draw(WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": draw(WIDTH),
        "norm.weight": 1 + draw(WIDTH),
        "norm.bias": draw(WIDTH),
    }
    inner = {"mlp.fc1": (4 * WIDTH, WIDTH), "mlp.fc2": (WIDTH, 4 * WIDTH)}
    if giant:
        # the DINOv2 code rounds two thirds of the width up to a multiple of 8
        hidden = (int(4 * WIDTH * 2 / 3) + 7) // 8 * 8
        inner = {"mlp.w12": (2 * hidden, WIDTH), "mlp.w3": (WIDTH, hidden)}
    inner |= {"attn.qkv": (3 * WIDTH, WIDTH), "attn.proj": (WIDTH, WIDTH)}
    for layer in range(LAYERS):
        start = f"blocks.{'0.' if chunked else ''}{layer}."
        for name, shape in inner.items():
            tensors[f"{start}{name}.weight"] = draw(*shape)
            tensors[f"{start}{name}.bias"] = draw(shape[0])
        for name in ("norm1", "norm2"):
            tensors[f"{start}{name}.weight"] = 1 + draw(WIDTH)
            tensors[f"{start}{name}.bias"] = draw(WIDTH)
        for name in ("ls1", "ls2"):
            tensors[f"{start}{name}.gamma"] = draw(WIDTH)
    return tensors


def answer(t: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """Compute the last hidden state straight from the published tensors.

    Written from the equations of a pre-norm ViT with layer scale, so that it shares
    neither code nor names with transformers.
    """

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (WIDTH,), t[f"{name}.weight"], t[f"{name}.bias"], 1e-6)

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    patches = F.conv2d(
        pixels, t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=PATCH
    )
    x = patches.flatten(2).transpose(1, 2)
    x = torch.cat([t["cls_token"].expand(len(x), -1, -1), x], 1) + t["pos_embed"]
    for layer in range(LAYERS):
        b = f"blocks.{layer}"
        joint = linear(norm(x, f"{b}.norm1"), f"{b}.attn.qkv")
        heads = joint.reshape(*joint.shape[:2], 3, -1, 64).permute(2, 0, 3, 1, 4)
        weights = (heads[0] @ heads[1].transpose(-1, -2) / 8).softmax(-1)
        mixed = (weights @ heads[2]).transpose(1, 2).flatten(2)
        x = x + linear(mixed, f"{b}.attn.proj") * t[f"{b}.ls1.gamma"]
        y = norm(x, f"{b}.norm2")
        if f"{b}.mlp.w12.weight" in t:
            gate, up = linear(y, f"{b}.mlp.w12").chunk(2, -1)
            y = linear(F.silu(gate) * up, f"{b}.mlp.w3")
        else:
            y = linear(F.gelu(linear(y, f"{b}.mlp.fc1")), f"{b}.mlp.fc2")
        x = x + y * t[f"{b}.ls2.gamma"]
    return norm(x, "norm")


def write(path: Path, tensors: dict[str, Tensor]) -> Path:
    """Store tensors as DinoBloom does: under ``teacher``, beside training heads."""
    stored = {f"backbone.{name}": value for name, value in tensors.items()}
    stored |= {"dino_head.last.weight": torch.ones(3), "ibot_head.x": torch.ones(2)}
    torch.save({"teacher": stored}, path)
    return path


@pytest.mark.parametrize("giant", [False, True])
def test_the_converted_backbone_answers_as_the_published_one(
    tmp_path: Path, giant: bool
) -> None:
    tensors = published(giant=giant)
    file = write(tmp_path / "bloom.pth", tensors)
    model = load_backbone(convert_dinobloom(file, tmp_path / "out"))
    pixels = torch.randn(2, 3, SIDE * PATCH, SIDE * PATCH)
    with torch.no_grad():
        given = model(pixel_values=pixels).last_hidden_state
    assert (given - answer(tensors, pixels)).abs().max() < 1e-4


def test_chunked_blocks_are_the_same_blocks() -> None:
    plain, chunked = rename(published()), rename(published(chunked=True))
    assert plain.keys() == chunked.keys()
    assert all(torch.equal(plain[name], chunked[name]) for name in plain)


def test_the_shape_is_read_off_the_tensors() -> None:
    assert config_of(published(giant=True)) == {
        "image_size": 42,
        "patch_size": 14,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "use_swiglu_ffn": True,
        "use_mask_token": True,
    }


def test_heads_of_the_training_stay_behind(tmp_path: Path) -> None:
    read = read_dinobloom(write(tmp_path / "bloom.pth", published()))
    assert read.keys() == published().keys()


class Harm:
    """What a pickle could do."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("harm",)


def test_a_file_with_code_is_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(InputError, match="no file of plain tensors"):
        read_dinobloom(tmp_path / "bad.pth")
    assert "harm" not in capsys.readouterr().out


def test_other_tensors_are_named(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.ones(2)}, tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"no DINOv2 backbone.*fc\.weight"):
        read_dinobloom(tmp_path / "x.pth")
    with pytest.raises(InputError, match="no file"):
        read_dinobloom(tmp_path / "absent.pth")


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    tensors = published()
    tensors.pop("blocks.1.norm2.bias")
    with pytest.raises(InputError, match=r"does not fit.*norm2"):
        convert_dinobloom(write(tmp_path / "x.pth", tensors), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    file = write(tmp_path / "x.pth", published())
    with pytest.raises(InputError, match="is not empty"):
        convert_dinobloom(file, tmp_path)
