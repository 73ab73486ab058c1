"""Saving: whole or not at all, and bound to what was saved."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_cytodino.checkpoints.calibration_file import CALIBRATION, made_for
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.folder import (
    FAMILIARITY,
    FILES,
    MANIFEST,
    WEIGHTS,
    Preprocessing,
    read_json,
    write_manifest,
)
from napari_cytodino.checkpoints.saving import save_calibrated, save_checkpoint
from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.common.files import sha256, write_json
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.uncertainty.decisions import UNREACHABLE, DecisionPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_cytodino.models.cytodino import CytoDinoForImageClassification
    from napari_cytodino.uncertainty.calibration import Calibration
    from napari_cytodino.uncertainty.novelty import NoveltyDetector

    Make = Callable[..., Calibration]
    MakeKnown = Callable[..., NoveltyDetector]
    Model = Callable[..., CytoDinoForImageClassification]

TAXONOMY = Taxonomy.load("mll21")
POLICY = DecisionPolicy(temperature=1.2, min_confidence=0.7)
INPUT = Preprocessing(32, 192.0, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
WIDTH = 24


def test_round_trip(folder: Path, small_model: Model) -> None:
    loaded, model = load_checkpoint(folder), small_model()
    assert (loaded.name, loaded.taxonomy, loaded.policy) == ("mine", TAXONOMY, POLICY)
    assert (loaded.preprocessing, loaded.card) == (INPUT, "# Mine\n")
    again = loaded.model()
    assert not again.training
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    for name, value in again.state_dict().items():
        assert torch.equal(value, model.state_dict()[name].half().float())


def test_a_loaded_checkpoint_can_be_saved_again(folder: Path, tmp_path: Path) -> None:
    one = load_checkpoint(folder)
    parts = (one.model(), one.taxonomy, one.preprocessing, one.policy, one.card)
    save_checkpoint(tmp_path / "again", *parts)
    two = load_checkpoint(tmp_path / "again")
    assert (two.sha256, two.taxonomy) == (one.sha256, one.taxonomy)


def test_full_precision_is_exact(tmp_path: Path, small_model: Model) -> None:
    model = small_model()
    save_checkpoint(
        tmp_path / "full", model, TAXONOMY, INPUT, POLICY, "# F\n", half=False
    )
    pixels = torch.randn(2, 3, 32, 32)
    again = load_checkpoint(tmp_path / "full").model()
    assert torch.equal(again(pixels).logits, model(pixels).logits)


def test_wrong_taxonomy_writes_nothing(tmp_path: Path, small_model: Model) -> None:
    other = TAXONOMY.subset(TAXONOMY.codes[:3])
    with pytest.raises(CheckpointError, match="another taxonomy"):
        save_checkpoint(tmp_path / "x", small_model(), other, INPUT, POLICY, "")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_one(folder: Path, small_model: Model) -> None:
    before = load_checkpoint(folder).sha256
    model = small_model()
    with torch.no_grad():
        model.head.query.fill_(torch.inf)
    with pytest.raises(CheckpointError, match="no finite"):
        save_checkpoint(folder, model, TAXONOMY, INPUT, POLICY, "# New\n")
    assert load_checkpoint(folder).sha256 == before
    assert [p.name for p in folder.parent.iterdir()] == ["mine"]


def test_where_folders_cannot_be_exchanged_they_are_renamed(
    folder: Path, small_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    save_checkpoint(folder, small_model(), TAXONOMY, INPUT, POLICY, "# New\n")
    assert load_checkpoint(folder).card == "# New\n"
    assert [p.name for p in folder.parent.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_told(
    tmp_path: Path, small_model: Model
) -> None:
    target = tmp_path / "missing" / "mine"
    with pytest.raises(CheckpointError, match=r"mine cannot be written \(No such file"):
        save_checkpoint(target, small_model(), TAXONOMY, INPUT, POLICY, "")


def test_a_foreign_folder_is_not_replaced(tmp_path: Path, small_model: Model) -> None:
    (tmp_path / "thesis.docx").write_text("years", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"thesis\.docx"):
        save_checkpoint(tmp_path, small_model(), TAXONOMY, INPUT, POLICY, "")
    assert (tmp_path / "thesis.docx").read_text("utf-8") == "years"


def test_an_older_checkpoint_is_replaced_whole(
    tmp_path: Path,
    make_calibration: Make,
    make_familiarity: MakeKnown,
    small_model: Model,
) -> None:
    target = tmp_path / "mine"
    parts = (small_model(), TAXONOMY, INPUT)
    save_checkpoint(
        target, *parts, make_calibration(TAXONOMY), "", familiarity=make_familiarity(24)
    )
    assert {p.name for p in target.iterdir()} == {*FILES, FAMILIARITY, MANIFEST}
    save_checkpoint(target, *parts, POLICY, "# Second\n")
    assert {p.name for p in target.iterdir()} == {*FILES, MANIFEST}
    assert load_checkpoint(target).card == "# Second\n"


# --- calibrations ----------------------------------------------------------------


@pytest.fixture
def calibrated(
    tmp_path: Path,
    make_calibration: Make,
    make_familiarity: MakeKnown,
    small_model: Model,
) -> Path:
    return save_checkpoint(
        tmp_path / "calibrated",
        small_model(),
        TAXONOMY,
        INPUT,
        make_calibration(TAXONOMY),
        "# Calibrated\n",
        familiarity=make_familiarity(WIDTH),
    )


def test_a_calibration_is_bound_to_the_files_it_is_saved_with(
    calibrated: Path, make_calibration: Make, make_familiarity: MakeKnown
) -> None:
    loaded = load_checkpoint(calibrated)
    made = make_calibration(TAXONOMY)
    assert loaded.calibration is not None
    assert loaded.calibration.made_for == made_for(calibrated)
    assert set(made_for(calibrated)) == {
        "dtype", WEIGHTS, "preprocessor_config.json", FAMILIARITY,
    }  # fmt: skip
    assert loaded.policy == made.policy()
    for risk in (0.001, 0.01):
        assert loaded.calibration.policy(risk) == made.policy(risk)
    known = loaded.familiarity()
    assert known is not None
    some = np.random.default_rng(0).normal(size=(9, WIDTH))
    want = make_familiarity(WIDTH).novelty_score(some)
    np.testing.assert_array_equal(known.novelty_score(some), want)


def test_without_training_cells_there_is_nothing_to_compare_with(folder: Path) -> None:
    loaded = load_checkpoint(folder)
    assert loaded.familiarity() is None
    assert loaded.calibration is None
    assert loaded.policy == POLICY


def test_a_calibration_of_other_weights_accepts_nothing(
    calibrated: Path, tmp_path: Path, make_familiarity: MakeKnown, small_model: Model
) -> None:
    measured = load_checkpoint(calibrated).calibration
    assert measured is not None
    other = save_checkpoint(
        tmp_path / "other", small_model(1), TAXONOMY, INPUT, measured, "",
        familiarity=make_familiarity(WIDTH),
    )  # fmt: skip
    loaded = load_checkpoint(other)
    assert loaded.calibration is None
    assert loaded.policy.min_confidence == UNREACHABLE
    assert loaded.policy.uncalibrated == f"it was calibrated for another {WEIGHTS}"
    # unlike the same weights, saved anew
    again = save_checkpoint(
        tmp_path / "again", small_model(), TAXONOMY, INPUT, measured, "",
        familiarity=make_familiarity(WIDTH),
    )  # fmt: skip
    assert load_checkpoint(again).policy == load_checkpoint(calibrated).policy


def test_a_manipulated_folder_accepts_nothing(calibrated: Path) -> None:
    # whoever alters the preprocessing and its hash has a valid folder, uncalibrated
    path = calibrated / "preprocessor_config.json"
    write_json(path, read_json(path) | {"field_of_view": 96.0})
    write_manifest(calibrated, tuple(sorted((*FILES, FAMILIARITY))))
    loaded = load_checkpoint(calibrated)
    assert loaded.calibration is None
    assert "preprocessor_config.json" in loaded.policy.uncalibrated


def test_calibrating_anew_leaves_the_weights(
    calibrated: Path,
    tmp_path: Path,
    make_calibration: Make,
    make_familiarity: MakeKnown,
) -> None:
    loaded = load_checkpoint(calibrated)
    new = make_calibration(TAXONOMY, temperature=3.0)
    known = make_familiarity(WIDTH, cells=20)
    target = save_calibrated(tmp_path / "new", loaded, new, known, "# New\n")
    again = load_checkpoint(target)
    for name in (WEIGHTS, "config.json", "preprocessor_config.json"):
        assert sha256(target / name) == sha256(calibrated / name)
    assert again.calibration is not None
    assert again.policy == new.policy()
    assert again.card == "# New\n"
    assert again.familiarity() is not None
    assert len(again.familiarity().references) == 20
    assert load_checkpoint(calibrated).sha256 == loaded.sha256


def test_calibrating_in_place(folder: Path, make_calibration: Make) -> None:
    made = make_calibration(TAXONOMY)
    save_calibrated(folder, load_checkpoint(folder), made, None, "# Now\n")
    again = load_checkpoint(folder)
    assert again.policy == made.policy()
    assert again.familiarity() is None
    assert [p.name for p in folder.parent.iterdir()] == ["mine"]


def test_weights_that_changed_since_loading_are_not_passed_on(
    calibrated: Path, tmp_path: Path, make_calibration: Make, small_model: Model
) -> None:
    loaded = load_checkpoint(calibrated)
    save_checkpoint(calibrated, small_model(1), TAXONOMY, INPUT, POLICY, "")
    with pytest.raises(CheckpointError, match="changed after"):
        save_calibrated(tmp_path / "x", loaded, make_calibration(TAXONOMY), None, "")
    assert not (tmp_path / "x").exists()


def test_a_calibration_that_was_bound_stays_bound(
    calibrated: Path, folder: Path, tmp_path: Path
) -> None:
    measured = load_checkpoint(calibrated).calibration
    assert measured is not None
    target = save_calibrated(
        tmp_path / "x", load_checkpoint(folder), measured, None, ""
    )
    assert load_checkpoint(target).calibration is None
    free = replace(measured, made_for={})
    save_calibrated(target, load_checkpoint(folder), free, None, "")
    assert load_checkpoint(target).calibration is not None


def test_training_cells_are_verified_like_weights(calibrated: Path) -> None:
    loaded = load_checkpoint(calibrated)
    (calibrated / FAMILIARITY).write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointError, match="changed after"):
        loaded.familiarity()
    with pytest.raises(CheckpointError, match=f"{FAMILIARITY} .*altered"):
        load_checkpoint(calibrated)


def test_training_cells_that_make_no_sense_are_named(calibrated: Path) -> None:
    shutil.copy(calibrated / WEIGHTS, calibrated / FAMILIARITY)
    write_manifest(calibrated, tuple(sorted((*FILES, FAMILIARITY))))
    loaded = load_checkpoint(calibrated)
    assert FAMILIARITY in loaded.policy.uncalibrated
    with pytest.raises(CheckpointError, match=f"{FAMILIARITY} cannot be used"):
        loaded.familiarity()


def test_training_cells_may_not_come_later(folder: Path, calibrated: Path) -> None:
    loaded = load_checkpoint(folder)
    shutil.copy(calibrated / FAMILIARITY, folder / FAMILIARITY)
    with pytest.raises(CheckpointError, match="changed after"):
        loaded.familiarity()
    with pytest.raises(CheckpointError, match=FAMILIARITY):
        load_checkpoint(folder)


def test_what_is_written_is_plain(calibrated: Path) -> None:
    content = json.loads((calibrated / CALIBRATION).read_text("utf-8"))
    assert (content["schema"], content["classes"]) == (2, list(TAXONOMY.codes))
    assert content["counts"] == dict.fromkeys(TAXONOMY.codes, 476)
    for file in calibrated.iterdir():
        assert file.stat().st_mode & 0o777 == 0o644
