"""The convolutional network that a comparison trains beside the transformer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file
from transformers import ResNetConfig, ResNetForImageClassification

from napari_cytodino.checkpoints import HUB_ID, WEIGHTS, fetch, read_json
from napari_cytodino.common import CheckpointError, sha256
from napari_cytodino.training.finetuning import FinetuneTrainer, best_state, states

if TYPE_CHECKING:
    from torch import nn

    from napari_cytodino.training.comparison.methods import CnnPlan


logger = logging.getLogger(__name__)

RANDOM = "RANDOM weights"
"""Said of a network that starts from nothing."""

# a mistyped id must not end as a network without pretraining
_NOT_THERE = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError)


def find_network(plan: CnnPlan) -> Path | None:
    """Return the folder of the pretrained network; None where there is none to be had.

    Raises
    ------
    CheckpointError
        When the source is neither a folder nor a repository of the Hub, or holds
        another network.
    """
    if not plan.source:
        return None
    folder = Path(plan.source).expanduser()
    if not folder.is_dir():
        if not HUB_ID.fullmatch(plan.source):
            raise CheckpointError(
                f"There is no network '{plan.source}': give cnn.source a folder with "
                f"config.json and {WEIGHTS}, a Hub id such as owner/name, or nothing."
            )
        try:
            folder = fetch(plan.source, plan.revision or None)
        except CheckpointError as error:
            if isinstance(error.__cause__, _NOT_THERE):
                raise
            logger.warning("The CNN starts from %s: %s", RANDOM, error)
            return None
    kind = read_json(folder / "config.json").get("model_type")
    if kind != "resnet":
        raise CheckpointError(
            f"The network {folder} is a {kind!r}: give cnn.source a 'resnet'."
        )
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(
            f"The network {folder} has no {WEIGHTS}: save it again with "
            "save_pretrained, in one file."
        )
    return folder


def start_of(folder: Path | None) -> str:
    """Say which weights a network starts from, for fingerprints and tables."""
    return f"sha256 {sha256(folder / WEIGHTS)}" if folder else RANDOM


def new_network(
    plan: CnnPlan, folder: Path | None, classes: int, seed: int
) -> nn.Module:
    """Build the network; its last layer, or all of it, is drawn from the seed.

    Raises
    ------
    CheckpointError
        When the pretrained weights cannot be read, are not finite or lack a tensor.
    """
    torch.manual_seed(seed)
    if folder is not None:
        return _pretrained(folder, classes)
    config = ResNetConfig(
        embedding_size=plan.embedding_size,
        hidden_sizes=list(plan.hidden_sizes),
        depths=list(plan.depths),
        layer_type=plan.layer_type,
        num_labels=classes,
    )
    return ResNetForImageClassification(config)


def _pretrained(folder: Path, classes: int) -> Any:
    try:
        model, report = ResNetForImageClassification.from_pretrained(
            folder,
            num_labels=classes,
            ignore_mismatched_sizes=True,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except Exception as error:  # transformers and safetensors raise many kinds
        raise CheckpointError(
            f"The network {folder} cannot be loaded ({error}); get it again."
        ) from error
    faults = {*report["missing_keys"], *(str(k[0]) for k in report["mismatched_keys"])}
    absent = sorted(k for k in faults if not k.startswith("classifier."))
    broken = [k for k, v in model.state_dict().items() if not v.isfinite().all()]
    if absent or broken:
        raise CheckpointError(
            f"{(absent or broken)[0]} of the network {folder} is missing or not "
            "finite; get it again."
        )
    # it may have had as many classes, of other things
    model.classifier[-1].reset_parameters()
    return model


class WholeTrainer(FinetuneTrainer):
    """Trains a model of which every weight learns; a state holds all of it."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save and output_dir is not None:
            folder = Path(output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            tensors = self.model.state_dict()
            plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
            save_file(plain, folder / states.WEIGHTS)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        tensors = load_file(Path(resume_from_checkpoint) / states.WEIGHTS)
        self.model.load_state_dict(tensors)

    def _load_best_model(self) -> None:
        self._load_from_checkpoint(str(best_state(self.states)))
