"""The other network: really ResNet-50, honest about its weights, exact after a kill."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file

from napari_cytodino.checkpoints.folder import WEIGHTS
from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.common.files import sha256
from napari_cytodino.training.comparison import _cnn as cnn
from napari_cytodino.training.comparison._cnn import (
    RANDOM,
    WholeTrainer,
    find_network,
    new_network,
    start_of,
)
from napari_cytodino.training.comparison.methods import (
    CnnPlan,
    methods,
    read_comparison,
)
from napari_cytodino.training.finetuning.parts import load_parts
from napari_cytodino.training.finetuning.pipeline import loss_of, make_trainer
from napari_cytodino.training.finetuning.trainer import arguments

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

RECIPE, SMALL = read_comparison("finetune-smoke", ("run.epochs=1", "run.save_steps=5"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a network of seven classes as save_pretrained leaves it."""
    new_network(SMALL, None, 7, seed=5).save_pretrained(tmp_path / "net")
    return tmp_path / "net"


def values(model: nn.Module, part: str = "") -> list[torch.Tensor]:
    return [v for k, v in model.state_dict().items() if k.startswith(part)]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


def test_the_default_is_resnet_50() -> None:
    with torch.device("meta"):
        model = new_network(CnnPlan(source=""), None, 1000, seed=0)
    # He et al. 2016; the count is that of torchvision's documentation
    assert sum(p.numel() for p in model.parameters()) == 25_557_032


def test_random_weights_come_from_the_seed() -> None:
    one, two, other = (values(new_network(SMALL, None, 3, s)) for s in (0, 0, 1))
    assert same(one, two)
    assert not same(one, other)
    assert start_of(None) == RANDOM


def test_pretrained_weights_are_kept_but_for_the_last_layer(folder: Path) -> None:
    plan = replace(SMALL, source=str(folder))
    assert find_network(plan) == folder
    assert start_of(folder) == f"sha256 {sha256(folder / WEIGHTS)}"
    stored = new_network(SMALL, None, 7, seed=5)
    for classes in (3, 7):
        one, two = (new_network(plan, folder, classes, s) for s in (0, 1))
        assert same(values(one, "resnet."), values(stored, "resnet."))
        assert same(values(one, "resnet."), values(two, "resnet."))
        assert not same(values(one, "classifier."), values(two, "classifier."))
        assert one(torch.zeros(2, 3, 32, 32)).logits.shape == (2, classes)
    again = new_network(plan, folder, 7, 0)
    assert not same(values(again, "classifier."), values(stored, "classifier."))


def refuse(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    """Have the Hub answer with one of its errors."""
    error = kind.__new__(kind)
    Exception.__init__(error, "from the Hub")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)


@pytest.mark.parametrize(
    "kind",
    [
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.HfHubHTTPError,
    ],
)
def test_without_a_network_to_be_had_the_weights_are_random_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[Exception],
) -> None:
    refuse(monkeypatch, kind)
    with caplog.at_level(logging.WARNING):
        assert find_network(CnnPlan()) is None
    assert "The CNN starts from RANDOM weights: 'microsoft/resnet-50'" in caplog.text
    assert find_network(SMALL) is None


@pytest.mark.parametrize(
    "kind", [errors.RepositoryNotFoundError, errors.RevisionNotFoundError]
)
def test_a_mistyped_id_is_no_reason_to_start_from_nothing(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    refuse(monkeypatch, kind)
    with pytest.raises(CheckpointError, match="microsoft/resnet50"):
        find_network(CnnPlan(source="microsoft/resnet50"))


def test_a_hub_network_is_fetched_at_its_revision(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(cnn, "fetch", lambda *a: (asked.append(a), folder)[1])
    assert find_network(CnnPlan(revision="abc")) == folder
    find_network(CnnPlan())
    assert asked == [("microsoft/resnet-50", "abc"), ("microsoft/resnet-50", None)]


def test_a_source_that_is_given_and_wrong_is_refused(folder: Path) -> None:
    plan = replace(SMALL, source=str(folder))
    with pytest.raises(CheckpointError, match="There is no network '/no/where/at/all'"):
        find_network(replace(SMALL, source="/no/where/at/all"))
    config = folder / "config.json"
    stored = config.read_text("utf-8")
    config.write_text(json.dumps(json.loads(stored) | {"model_type": "vit"}), "utf-8")
    with pytest.raises(CheckpointError, match="is a 'vit'"):
        find_network(plan)
    config.write_text(stored, "utf-8")
    tensors = load_file(folder / WEIGHTS)
    name = "resnet.embedder.embedder.convolution.weight"
    for wrong in (
        {k: v for k, v in tensors.items() if k != name},
        tensors | {name: tensors[name] * torch.nan},
        tensors | {name: tensors[name][:2]},
    ):
        save_file(wrong, folder / WEIGHTS, metadata={"format": "pt"})
        with pytest.raises(CheckpointError, match=f"{name}.* missing or not finite"):
            new_network(plan, folder, 3, 0)
    (folder / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        new_network(plan, folder, 3, 0)
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        find_network(plan)


def trainer_for(out: Path) -> WholeTrainer:
    recipe = next(a for a in methods(SMALL) if a.name == "cnn").recipe(RECIPE, 0)
    parts = load_parts(RECIPE, None, out)
    # the order is the transformer's own
    order = make_trainer(recipe, parts, arguments(recipe, out / "other")).sampler.order
    return WholeTrainer(
        recipe,
        new_network(SMALL, None, 3, 0),
        loss_of(recipe, parts.train.targets),
        order,
        parts.train,
        parts.selection,
        arguments(recipe, out),
    )


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    start = values(trainer_for(tmp_path / "start").model)
    whole = values(trainer_for(tmp_path / "whole").run())
    # every weight learns, and so do the running means
    assert not any(map(torch.equal, start, whole))
    stock = WholeTrainer.training_step

    def deadly(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 8:
            raise KeyboardInterrupt
        return stock(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(WholeTrainer, "training_step", deadly)
        with pytest.raises(KeyboardInterrupt):
            trainer_for(tmp_path / "killed").run()
    states = [p.name for p in (tmp_path / "killed" / "states").iterdir()]
    assert states == ["checkpoint-5"]
    assert same(values(trainer_for(tmp_path / "killed").run()), whole)
    # and once more, when nothing is left to do
    assert same(values(trainer_for(tmp_path / "killed").run()), whole)
    torch.set_num_threads(threads)
