"""``calibration.json``: one made for another model accepts nothing, and says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_cytodino.checkpoints.calibration_file import (
    CALIBRATION,
    DTYPE,
    calibration_content,
    made_for,
    no_thresholds,
    read_calibration,
)
from napari_cytodino.checkpoints.folder import (
    ADAPTER_WEIGHTS,
    FAMILIARITY,
    WEIGHTS,
)
from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.common.files import sha256, write_json
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.uncertainty.calibration import SCHEMA, Calibration
from napari_cytodino.uncertainty.decisions import UNREACHABLE, DecisionPolicy, decide
from napari_cytodino.uncertainty.predictions import PredictionBatch, Predictions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TAXONOMY = Taxonomy.load("mll21")
BY_HAND = DecisionPolicy(1.5, 0.8, 0.1, 0.9, 0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (WEIGHTS, "preprocessor_config.json", FAMILIARITY, "README.md"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    return tmp_path


@pytest.fixture
def written(folder: Path, make_calibration: Callable[..., Calibration]) -> Path:
    content = calibration_content(make_calibration(TAXONOMY), folder, TAXONOMY)
    write_json(folder / CALIBRATION, content)
    return folder


def change(folder: Path, **values: Any) -> None:
    content = json.loads((folder / CALIBRATION).read_text("utf-8"))
    write_json(folder / CALIBRATION, content | values)


def assert_accepts_nothing(policy: DecisionPolicy) -> None:
    logits = np.zeros((3, len(TAXONOMY)), np.float32)
    logits[:, TAXONOMY.index("NGS")] = 50
    batch = PredictionBatch(
        np.arange(3), logits, np.zeros((3, 1), np.float16), np.ones(3, bool)
    )
    sure = Predictions.empty(3, len(TAXONOMY), 1).with_batches([batch])
    made = decide(sure, TAXONOMY, policy, np.zeros(3, bool))
    assert set(made.status) == {"review"}
    assert set(made.reason) == {"no threshold is calibrated for these weights"}


def test_a_calibration_that_fits_is_read_whole(
    written: Path, make_calibration: Callable[..., Calibration]
) -> None:
    policy, calibration = read_calibration(written, TAXONOMY)
    made = make_calibration(TAXONOMY)
    assert calibration is not None
    assert policy == calibration.policy() == made.policy()
    assert policy.guarantee.startswith("guaranteed: at least 99.5%")
    assert policy.uncalibrated == ""
    assert calibration.made_for == made_for(written)


def test_it_is_bound_to_type_and_hashes(folder: Path) -> None:
    bound = made_for(folder)
    assert bound == {
        "dtype": DTYPE,
        WEIGHTS: sha256(folder / WEIGHTS),
        "preprocessor_config.json": sha256(folder / "preprocessor_config.json"),
        FAMILIARITY: sha256(folder / FAMILIARITY),
    }


@pytest.mark.parametrize("name", [WEIGHTS, "preprocessor_config.json", FAMILIARITY])
def test_another_file_turns_it_off(written: Path, name: str) -> None:
    (written / name).write_text("another", encoding="utf-8")
    policy, calibration = read_calibration(written, TAXONOMY)
    assert calibration is None
    assert policy.uncalibrated == f"it was calibrated for another {name}"
    assert policy.temperature == 1.5
    assert policy.guarantee == ""
    assert_accepts_nothing(policy)


def test_a_file_that_came_or_went_turns_it_off(written: Path) -> None:
    (written / FAMILIARITY).unlink()
    policy, _ = read_calibration(written, TAXONOMY)
    assert FAMILIARITY in policy.uncalibrated
    (written / FAMILIARITY).write_text(FAMILIARITY, encoding="utf-8")
    assert read_calibration(written, TAXONOMY)[0].uncalibrated == ""
    (written / ADAPTER_WEIGHTS).write_text("new", encoding="utf-8")
    policy, _ = read_calibration(written, TAXONOMY)
    assert ADAPTER_WEIGHTS in policy.uncalibrated


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"classes": list(TAXONOMY.codes[::-1])}, "other classes"),
        ({"classes": list(TAXONOMY.codes[1:])}, "other classes"),
        ({"classes": []}, "other classes"),
        ({"made_for": {"dtype": "bfloat16"}}, "it was calibrated for"),
        ({"made_for": {}}, "it was calibrated for"),
        ({"made_for": ["float32"]}, "does not say what it was made for"),
    ],
)
def test_classes_and_type_must_be_the_same(
    written: Path, values: dict[str, Any], word: str
) -> None:
    change(written, **values)
    policy, calibration = read_calibration(written, TAXONOMY)
    assert calibration is None
    assert word in policy.uncalibrated
    assert_accepts_nothing(policy)


def test_another_precision_is_named(written: Path) -> None:
    bound = made_for(written) | {"dtype": "bfloat16"}
    change(written, made_for=bound)
    policy, _ = read_calibration(written, TAXONOMY)
    assert policy.uncalibrated == "it was calibrated for bfloat16 dtype"


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": 0.0},
        {"temperature": None},
        {"risk": 0.004},
        {"delta": 2},
        {"max_critical": 7},
        {"patients": "many"},
        {"set_limits": {"lymphoid": 2}},
        {"curve": {}},
        {"curve": 5},
        {"rare": None},
        {"surprise": 1},
    ],
)
def test_a_malformed_calibration_is_refused(
    written: Path, values: dict[str, Any]
) -> None:
    change(written, **values)
    with pytest.raises(CheckpointError, match=r"calibration\.json cannot be used"):
        read_calibration(written, TAXONOMY)


@pytest.mark.parametrize("number", ["1e400", "-1", "NaN", '"x"', "[]"])
def test_impossible_counts_are_refused(written: Path, number: str) -> None:
    text = (written / CALIBRATION).read_text("utf-8")
    assert text.count('"cells": 10000') == 2
    (written / CALIBRATION).write_text(
        text.replace('"cells": 10000', f'"cells": {number}'), encoding="utf-8"
    )
    with pytest.raises(
        CheckpointError, match=r"calibration\.json (cannot be used|is not valid JSON)"
    ):
        read_calibration(written, TAXONOMY)


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_no_json_object(folder: Path, text: str) -> None:
    (folder / CALIBRATION).write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"calibration\.json"):
        read_calibration(folder, TAXONOMY)


# --- thresholds by hand ----------------------------------------------------------


def test_thresholds_by_hand_promise_nothing(folder: Path) -> None:
    claimed = DecisionPolicy(min_confidence=0.8, guarantee="99.9 % right")
    content = calibration_content(claimed, folder, TAXONOMY)
    assert content["schema"] == SCHEMA
    write_json(folder / CALIBRATION, content)
    policy, calibration = read_calibration(folder, TAXONOMY)
    assert calibration is None
    assert policy.min_confidence == 0.8
    assert (policy.guarantee, policy.uncalibrated) == ("", "")


def test_thresholds_by_hand_are_bound_as_well(folder: Path) -> None:
    write_json(folder / CALIBRATION, calibration_content(BY_HAND, folder, TAXONOMY))
    assert read_calibration(folder, TAXONOMY) == (BY_HAND, None)
    (folder / WEIGHTS).write_text("another", encoding="utf-8")
    policy, _ = read_calibration(folder, TAXONOMY)
    assert policy == no_thresholds(1.5, f"it was calibrated for another {WEIGHTS}")


OLD = {
    "temperature": 1.5,
    "min_confidence": 0.8,
    "min_margin": 0.1,
    "min_lineage": 0.9,
    "max_critical": 0.05,
    "guarantee": "",
    "dtype": "float32",
    "classes": list(TAXONOMY.codes),
}
"""As files were before schema 2."""


def test_a_file_of_old_still_fits_its_classes_and_type(folder: Path) -> None:
    write_json(folder / CALIBRATION, OLD)
    assert read_calibration(folder, TAXONOMY) == (BY_HAND, None)
    for values, word in (
        ({"classes": list(TAXONOMY.codes[::-1])}, "other classes"),
        ({"dtype": "bfloat16"}, "bfloat16 dtype"),
    ):
        write_json(folder / CALIBRATION, OLD | values)
        policy, calibration = read_calibration(folder, TAXONOMY)
        assert calibration is None
        assert word in policy.uncalibrated
        assert_accepts_nothing(policy)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"min_margin": "much"}, "min_margin is 'much'"),
        ({"max_critical": None}, "max_critical"),
        ({"max_unfamiliarity": "far"}, "cannot be used"),
        ({"rare": 3}, "cannot be used"),
        ({"set_limits": [0.9]}, "set_limits"),
        ({"set_limits": {"lymphoid": "wide"}}, "set_limits"),
    ],
)
def test_thresholds_that_are_no_numbers_are_refused(
    folder: Path, values: dict[str, Any], word: str
) -> None:
    write_json(folder / CALIBRATION, OLD | values)
    with pytest.raises(CheckpointError, match=word):
        read_calibration(folder, TAXONOMY)


@pytest.mark.parametrize("name", ["temperature", "min_confidence", "max_critical"])
def test_a_missing_threshold_is_named(folder: Path, name: str) -> None:
    write_json(folder / CALIBRATION, {k: v for k, v in OLD.items() if k != name})
    with pytest.raises(CheckpointError, match=name):
        read_calibration(folder, TAXONOMY)


@pytest.mark.parametrize("schema", [3, "2", None, 1])
def test_a_schema_of_another_version_is_refused(written: Path, schema: object) -> None:
    change(written, schema=schema)
    with pytest.raises(CheckpointError, match="schema"):
        read_calibration(written, TAXONOMY)


def test_refused_accepts_nothing_and_says_why() -> None:
    policy = no_thresholds(2.0, "because")
    assert (policy.temperature, policy.uncalibrated) == (2.0, "because")
    assert (policy.min_confidence, policy.min_lineage) == (UNREACHABLE, UNREACHABLE)
    assert_accepts_nothing(policy)
