"""The only door between a model on disk and in memory; it verifies, then trusts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from napari_cytodino.checkpoints._tensors import (
    check_tensors,
    shapes_of,
    verified_arrays,
    verified_bytes,
    verified_tensors,
)
from napari_cytodino.checkpoints.backbones import Base, read_base
from napari_cytodino.checkpoints.calibration_file import (
    DTYPE,
    EXTRA_DTYPES,
    calibration_name,
    read_calibration,
)
from napari_cytodino.checkpoints.folder import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    FAMILIARITY,
    TAUGHT,
    WEIGHTS,
    Preprocessing,
    parse_json,
    read_json,
    read_preprocessing,
    read_taxonomy,
    verify_files,
)
from napari_cytodino.checkpoints.hub import HUB_ID, fetch
from napari_cytodino.checkpoints.profile import Profile, read_profile
from napari_cytodino.common import CheckpointError, InputError
from napari_cytodino.uncertainty import NoveltyDetector, unfamiliar_share_lower_bound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from napari_cytodino.models import CytoDinoForImageClassification
    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty import Calibration, DecisionPolicy, Predictions


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

__all__ = [
    "Checkpoint",
    "CheckpointInfo",
    "Preprocessing",
    "list_checkpoints",
    "load_checkpoint",
]


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint that ships with the package, or a profile of the user's own.

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
        From its calibration; it sends all cells to review where that does not fit.
    calibration : Calibration or None
        What was measured; None for thresholds set by hand, or one that does not fit.
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
    dtype : str
        What its thresholds suppose that the model computes in; see `for_dtype`.
    taught : Profile or None
        What a laboratory taught it.
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
    calibration: Calibration | None = None
    dtype: str = DTYPE
    taught: Profile | None = None

    def answer(self, predictions: Predictions) -> Predictions:
        """Return the model's own predictions as the taught head reads them."""
        if self.taught is None:
            return predictions
        head = self.taught.head
        logits = head.logits(predictions.features, predictions.logits)
        return replace(predictions, logits=logits)

    def policy_at(self, risk: float | None) -> DecisionPolicy:
        """Return the thresholds that keep a share of errors among accepted cells.

        Parameters
        ----------
        risk
            One of `calibration.RISKS`; None takes the checkpoint's own policy.

        Raises
        ------
        InputError
            When nothing was measured, or not for this risk.
        """
        if risk is None:
            return self.policy
        if self.calibration is None:
            why = self.policy.uncalibrated or "its thresholds were set by hand"
            raise InputError(
                f"'{self.name}' can promise no risk of {risk}: {why}. Calibrate it "
                "(python -m napari_cytodino.training calibrate), or ask for no risk."
            )
        return self.calibration.policy(risk)

    def guarantee(self, risk: float | None = None) -> str:
        """Say what accepted cells are promised to be, or why nothing is promised."""
        if self.calibration is not None:
            own = self.calibration.risk
            promise = self.calibration.guarantee(own if risk is None else risk)
            note = "; SYNTHETIC: of drawn cells only" if self.synthetic else ""
            return f"{promise}{note}"
        if self.policy.uncalibrated:
            return (
                f"uncalibrated, every cell goes to review: {self.policy.uncalibrated}"
            )
        if self.taught is not None:
            return f"no guarantee: {self.taught.summary}"
        return "no guarantee: thresholds were set by hand"

    def guarantee_on(
        self,
        unfamiliar: tuple[int, int],
        risk: float | None = None,
        accepted: int | None = None,
    ) -> str:
        """Say what accepted cells are promised; nothing if out of distribution.

        Parameters
        ----------
        unfamiliar
            How many cells are unlike the training cells, and of how many.
        risk
            See `policy_at`.
        accepted
            How many cells were accepted, where that is known; without any there is no
            promise.
        """
        unlike, compared = unfamiliar
        policy = self.policy_at(risk)
        if unfamiliar_share_lower_bound(unlike, compared) > policy.max_foreign:
            return (
                f"NO PROMISE HOLDS HERE: {unlike} of {compared} cells are unlike the "
                "training cells: these images are of another kind than the "
                "calibration's. Look at every cell, accepted or not, or calibrate on "
                "your own (docs/uncertainty.md)."
            )
        if accepted == 0 and policy.guarantee:
            return "No cell was accepted, so nothing is promised."
        return f"Accepted cells: {self.guarantee(risk)}"

    def familiarity(self) -> NoveltyDetector | None:
        """Read the training cells to compare with, None where there are none.

        Raises
        ------
        CheckpointError
            When the file changed since it was verified, or makes no sense.
        """
        path = self.folder / FAMILIARITY
        if not path.is_file():
            return None
        try:
            return NoveltyDetector.from_tensors(verified_arrays(path, self.sha256))
        except InputError as error:
            raise CheckpointError(f"{path} cannot be used: {error}") from error

    @cached_property
    def calibrated(self) -> tuple[str, ...]:
        """The number types that its thresholds were measured in.

        Kept, as it takes a hash of the weights and is asked before every run.
        """
        stored = (
            t for t in EXTRA_DTYPES if (self.folder / calibration_name(t)).is_file()
        )
        return (
            DTYPE,
            *(t for t in stored if self.for_dtype(t).calibration is not None),
        )

    def for_dtype(self, dtype: str) -> Checkpoint:
        """Return the checkpoint with the thresholds that hold for a number type.

        Parameters
        ----------
        dtype
            What the model computes in, such as "bfloat16". Where the checkpoint was
            not calibrated for it, every cell goes to review.
        """
        policy, calibration = read_calibration(self.folder, self.taxonomy, dtype)
        return replace(self, policy=policy, calibration=calibration, dtype=dtype)

    def config(self) -> dict[str, Any]:
        """Return the content of ``config.json``, from bytes verified once more.

        Raises
        ------
        CheckpointError
            When the file changed since it was verified.
        """
        path = self.folder / "config.json"
        return parse_json(verified_bytes(path, self.sha256), path)

    def tensors(self, wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """Return the stored weights, which are exactly those wanted.

        Parameters
        ----------
        wanted
            Shapes by name.

        Raises
        ------
        CheckpointError
            When the weights changed since they were verified, or do not fit.
        """
        path = self.folder / (ADAPTER_WEIGHTS if self.base else WEIGHTS)
        tensors = verified_tensors(path, self.sha256)
        check_tensors(tensors, wanted, path)
        return tensors

    def model(self) -> CytoDinoForImageClassification:
        """Build the model and fill in the weights, in float32 and evaluation mode.

        This is the model of transformers, for training; `engine.fused_model` is faster.

        Raises
        ------
        CheckpointError
            When the weights changed since they were verified, or do not fit.
        """
        import torch

        from napari_cytodino.models import model_from_config

        config = self.config()
        if self.base is not None:
            from napari_cytodino.checkpoints.adapters import (
                fill_adapter,
                model_with_adapter,
            )

            adapted, wanted = model_with_adapter(config, self.folder, self.base)
            model = fill_adapter(adapted, self.tensors(shapes_of(wanted)))
        else:
            model = model_from_config(config)
            tensors = self.tensors(shapes_of(model.state_dict()))
            model.load_state_dict({k: v.to(torch.float32) for k, v in tensors.items()})
        model.eval()
        return model


def _bundled() -> Path:
    return Path(str(resources.files("napari_cytodino.checkpoints"))) / "bundled"


def list_checkpoints() -> list[CheckpointInfo]:
    """Return the checkpoints that ship with the package, then the user's profiles."""
    return [
        CheckpointInfo(card.parent.name, _title(card), card.parent)
        for folder in (_bundled(), own_profiles())
        for card in _cards(folder)
    ]


def _cards(folder: Path) -> list[Path]:
    """Return the cards below a folder; what is half written has a hidden name."""
    found = sorted(folder.glob("*/README.md"))
    return [card for card in found if not card.parent.name.startswith(".")]


def own_profiles() -> Path:
    """Return the folder in which profiles are kept that are known by name alone."""
    return platformdirs.user_data_path("napari-cytodino", appauthor=False) / "profiles"


def profile_place(name: str) -> Path:
    """Return where a profile of this name is kept; the folder around it is made.

    Raises
    ------
    InputError
        When the name can be none of a folder, or one that ships has it.
    """
    if not _NAME.fullmatch(name) or (_bundled() / name).exists():
        raise InputError(
            f"'{name}' cannot be the name of a profile; use letters, digits, - and _, "
            "and none that ships."
        )
    folder = own_profiles()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _title(card: Path) -> str:
    try:
        text = card.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return card.parent.name
    for line in text.splitlines():
        if line.startswith("# "):
            return line[2:].strip()
    return card.parent.name


def load_checkpoint(source: str | Path) -> Checkpoint:
    """Find a checkpoint and verify it; the weights are read later, by `model`.

    Parameters
    ----------
    source
        Name of a checkpoint that ships, a folder, the name of a profile of the user's
        own, or a Hugging Face Hub id; looked for in this order.

    Raises
    ------
    CheckpointError
        One sentence with the file or value and the remedy.
    """
    shipped, own = (
        {card.parent.name: card.parent for card in _cards(folder)}
        for folder in (_bundled(), own_profiles())
    )
    text = str(source)
    if text in shipped:
        return _read(shipped[text], text)
    if Path(source).expanduser().is_dir():
        folder = Path(source).expanduser().resolve()
        return _read(folder, folder.name)
    if text in own:
        return _read(own[text], text)
    if isinstance(source, str) and HUB_ID.fullmatch(source):
        return _read(fetch(source), source)
    names = ", ".join(sorted({**shipped, **own}))
    raise CheckpointError(
        f"There is no checkpoint '{text}': give one of {names}, "
        "an existing folder, or a Hugging Face Hub id such as owner/name."
    )


def _read(folder: Path, name: str) -> Checkpoint:
    identity = verify_files(folder)
    config = read_json(folder / "config.json")
    taught = read_profile(folder, identity)
    taxonomy = read_taxonomy(config, folder / "config.json")
    if taught is not None:
        if taught.base_taxonomy != taxonomy:
            raise CheckpointError(
                f"{folder / TAUGHT} was taught on other classes than config.json has; "
                "teach the checkpoint again."
            )
        taxonomy = taught.taxonomy
    policy, calibration = read_calibration(folder, taxonomy)
    return Checkpoint(
        name,
        taxonomy,
        read_preprocessing(folder),
        policy,
        _card(folder / "README.md"),
        identity,
        folder,
        config.get("synthetic") is True,
        _base(folder, config),
        calibration,
        taught=taught,
    )


def _card(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} is no text ({error}); get the checkpoint again."
        ) from error


def _base(folder: Path, config: dict[str, Any]) -> Base | None:
    """Return the base, which exactly the adapter folders have."""
    base = read_base(config, folder / "config.json")
    if (base is None) == (folder / ADAPTER_CONFIG).is_file():
        raise CheckpointError(
            f"{folder} mixes merged weights with an adapter: config.json has "
            f"{'no' if base is None else 'a'} base; save the checkpoint again."
        )
    return base
