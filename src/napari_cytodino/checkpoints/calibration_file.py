"""``calibration.json``: whether it belongs to its checkpoint, and what it allows."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from napari_cytodino.checkpoints.folder import (
    ADAPTER_WEIGHTS,
    FAMILIARITY,
    TAUGHT,
    TAUGHT_ARRAYS,
    WEIGHTS,
    read_json,
)
from napari_cytodino.common import CheckpointError, InputError, sha256
from napari_cytodino.uncertainty import SCHEMA, UNREACHABLE, Calibration, DecisionPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_cytodino.taxonomy import Taxonomy


CALIBRATION = "calibration.json"
"""Thresholds, and what they were measured on."""

EXTRA_DTYPES = ("bfloat16",)
"""Number types beside `DTYPE`; probabilities in them differ a little."""

DTYPE = "float32"
"""What the model computes in unless stated otherwise."""


def calibration_name(dtype: str = DTYPE) -> str:
    """Return the file with what was measured while computing in a number type."""
    return CALIBRATION if dtype == DTYPE else f"calibration.{dtype}.json"


_HASHED = (
    WEIGHTS,
    ADAPTER_WEIGHTS,
    "preprocessor_config.json",
    FAMILIARITY,
    TAUGHT,
    TAUGHT_ARRAYS,
)


def made_for(folder: Path, dtype: str = DTYPE) -> dict[str, str]:
    """Return what a calibration of this folder is bound to: its type and its hashes."""
    present = [name for name in _HASHED if (folder / name).is_file()]
    return {"dtype": dtype, **{name: sha256(folder / name) for name in present}}


def calibration_content(
    policy: DecisionPolicy | Calibration,
    folder: Path,
    taxonomy: Taxonomy,
    facts: Mapping[str, Any] | None = None,
    dtype: str = DTYPE,
) -> dict[str, Any]:
    """Return the content of the file, bound to the folder where it is not yet bound.

    Parameters
    ----------
    policy
        A calibration, or thresholds set by hand, which promise nothing.
    folder
        Holds every other file already.
    taxonomy
        Gives the class order.
    facts
        What else there is to know where thresholds are set by hand; a calibration
        brings its own.
    dtype
        What the model computed in.
    """
    bound = made_for(folder, dtype)
    if isinstance(policy, Calibration):
        measured = policy.made_for or bound
        return replace(policy, made_for=measured).to_dict()
    classes = list(taxonomy.codes)
    own = {"classes": classes, "made_for": bound, "facts": dict(facts or {})}
    return {"schema": SCHEMA, **asdict(policy), **own}


def checkpoint_facts(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint's calibration holds of its run, whatever its schema."""
    content = read_json(folder / CALIBRATION)
    facts = content.get("facts", content)
    return facts if isinstance(facts, dict) else {}


def read_calibration(
    folder: Path, taxonomy: Taxonomy, dtype: str = DTYPE
) -> tuple[DecisionPolicy, Calibration | None]:
    """Read the file; where it was made for another model, no threshold holds.

    Parameters
    ----------
    folder, taxonomy
        Of the checkpoint.
    dtype
        What the model computes in; without a calibration for it no threshold holds.

    Returns
    -------
    DecisionPolicy
        With `uncalibrated` saying what does not fit, if anything does not.
    Calibration or None
        None for thresholds set by hand, as all were before schema 2, and where
        something does not fit.

    Raises
    ------
    CheckpointError
        When the file cannot be read, or its own values contradict each other.
    """
    path = folder / calibration_name(dtype)
    if dtype != DTYPE and not path.is_file():
        own, _ = read_calibration(folder, taxonomy)
        return no_thresholds(
            own.temperature, f"it was not calibrated for {dtype}"
        ), None
    content = read_json(path)
    if content.get("schema", SCHEMA) != SCHEMA:
        raise CheckpointError(
            f"{path} has schema {content['schema']!r}, this version reads {SCHEMA}; "
            "use the version that wrote it, or calibrate the checkpoint again."
        )
    try:
        calibration = Calibration.from_dict(content) if "curve" in content else None
        policy = calibration.policy() if calibration else _by_hand(content)
    except (KeyError, TypeError, InputError) as error:
        raise CheckpointError(
            f"{path} cannot be used ({error}); calibrate the checkpoint again."
        ) from error
    why = _mismatch(content, folder, taxonomy, dtype)
    if why:
        return no_thresholds(policy.temperature, why), None
    return policy, calibration


def no_thresholds(temperature: float, why: str) -> DecisionPolicy:
    """Return a policy that sends every cell to review, and says why."""
    return DecisionPolicy(
        temperature,
        UNREACHABLE,
        min_lineage=UNREACHABLE,
        max_critical=0.0,
        uncalibrated=why,
    )


def _by_hand(content: dict[str, Any]) -> DecisionPolicy:
    needed = ("temperature", "min_confidence", "min_margin", "min_lineage")
    for name in (*needed, "max_critical"):
        if not isinstance(content[name], (int, float)):
            raise InputError(f"{name} is {content[name]!r}, but must be a number")
    limits = content.get("set_limits", {})
    if not isinstance(limits, dict) or not all(
        isinstance(v, (int, float)) for v in limits.values()
    ):
        raise InputError(f"set_limits is {limits!r}, but must hold a number a lineage")
    names = {f.name for f in fields(DecisionPolicy)} - {"guarantee", "uncalibrated"}
    return DecisionPolicy.from_dict({k: v for k, v in content.items() if k in names})


def _mismatch(
    content: dict[str, Any], folder: Path, taxonomy: Taxonomy, dtype: str
) -> str:
    """Say for what else the calibration was made; empty where it fits."""
    if content.get("classes") != list(taxonomy.codes):
        return "it was calibrated for other classes, or in another order"
    # before schema 2 only the type was written
    stored = content.get("made_for", {"dtype": content.get("dtype")})
    if not isinstance(stored, dict):
        return "its calibration does not say what it was made for"
    own = made_for(folder, dtype)
    if "schema" not in content:
        own = {"dtype": DTYPE}
    for name in sorted(set(own) | set(stored)):
        if stored.get(name) != own.get(name):
            other = stored.get(name) if name == "dtype" else "another"
            return f"it was calibrated for {other} {name}"
    return ""
