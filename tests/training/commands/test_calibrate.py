"""Calibrating stored checkpoints: on their run's cells, and on a laboratory's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_cytodino.checkpoints.calibration_file import checkpoint_facts
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.folder import WEIGHTS
from napari_cytodino.checkpoints.saving import save_checkpoint
from napari_cytodino.common.errors import InputError
from napari_cytodino.common.files import sha256
from napari_cytodino.synthetic.smear import synthetic_crops
from napari_cytodino.training.commands.app import app
from napari_cytodino.training.commands.calibrate import (
    OWN,
    SHARE_A,
    calibrate,
    calibrate_for,
)
from napari_cytodino.training.evaluation.cards import figures_of
from napari_cytodino.training.finetuning.pipeline import finetune
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe
from napari_cytodino.uncertainty.calibration import CalibrationTargets
from napari_cytodino.uncertainty.decisions import DecisionPolicy

if TYPE_CHECKING:
    from pathlib import Path

CODES = ("NGS", "LYT", "BLA")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return class folders of drawn cells, one of a class no checkpoint here knows."""
    root = tmp_path_factory.mktemp("cells")
    drawn, codes = synthetic_crops((*CODES, "EOS"), 10, size=192, seed=5)
    for i, (crop, code) in enumerate(zip(drawn, codes, strict=True)):
        (root / code).mkdir(exist_ok=True)
        Image.fromarray(crop).save(root / code / f"{i:03d}.png")
    return root


def test_a_checkpoint_is_calibrated_again_as_its_run_did(
    smoke_run: Path, tmp_path: Path
) -> None:
    before = load_checkpoint(smoke_run / "checkpoint")
    run = smoke_run / "checkpoint"
    text = calibrate(str(run), None, tmp_path)
    after = load_checkpoint(tmp_path / "checkpoint")
    assert after.calibration is not None
    assert before.calibration is not None
    assert np.array_equal(after.calibration.curve.wrong, before.calibration.curve.wrong)
    assert after.policy == before.policy
    assert figures_of(after.card) == figures_of(before.card)
    assert figures_of(after.card) in text
    assert sha256(after.folder / WEIGHTS) == sha256(before.folder / WEIGHTS)


def test_other_aims_are_kept(smoke_run: Path, tmp_path: Path) -> None:
    aims = CalibrationTargets(risk=0.1, delta=0.2, critical_risk=0.3)
    calibrate(str(smoke_run / "checkpoint"), None, tmp_path, aims=aims)
    made = load_checkpoint(tmp_path / "checkpoint").calibration
    assert made is not None
    assert (made.risk, made.delta) == (0.1, 0.2)
    assert made.missed is not None
    assert made.missed.risk == 0.3


def test_a_fine_tuned_run_is_calibrated_on_its_saved_split(
    cells: Path, tmp_path: Path, pretended_gpu: list[tuple[str, str]]
) -> None:
    changes = ["run.epochs=1", "data.synthetic=0", "data.protocol=three-way"]
    changes.append("data.left_out=['EOS']")
    content, name = read_recipe("finetune-smoke", changes)
    finetune(build(FinetuneRecipe, content, name), cells, tmp_path / "run")
    source = tmp_path / "run" / "checkpoint"
    pretended_gpu.clear()
    calibrate(str(source), cells, tmp_path / "again", device="cuda")
    assert set(pretended_gpu) == {("model", "cuda"), ("pixels", "cuda")}
    before, after = (
        load_checkpoint(f) for f in (source, tmp_path / "again/checkpoint")
    )
    assert after.policy == before.policy
    assert checkpoint_facts(after.folder)["n"] == checkpoint_facts(before.folder)["n"]


def test_a_protocol_without_cells_apart_is_refused(tmp_path: Path) -> None:
    changes = ["run.epochs=1", "data.protocol=published"]
    content, name = read_recipe("finetune-smoke", changes)
    finetune(build(FinetuneRecipe, content, name), None, tmp_path / "run")
    with pytest.raises(InputError, match="--own-cells"):
        calibrate(str(tmp_path / "run" / "checkpoint"), None, tmp_path / "again")


def test_a_laboratory_calibrates_on_its_own_cells(
    smoke_run: Path,
    cells: Path,
    tmp_path: Path,
    pretended_gpu: list[tuple[str, str]],
) -> None:
    source, also = str(smoke_run / "checkpoint"), ("bfloat16",)
    text = calibrate(source, cells, tmp_path, own_cells=True, also=also, device="cuda")
    assert set(pretended_gpu) == {("model", "cuda"), ("pixels", "cuda")}
    before, after = (load_checkpoint(f) for f in (source, tmp_path / "checkpoint"))
    n = checkpoint_facts(after.folder)["n"]
    assert n["calibration-a"] + n["calibration-b"] == 10 * len(CODES)
    assert n["calibration-a"] == pytest.approx(10 * len(CODES) * SHARE_A, abs=3)
    assert OWN in after.card
    assert figures_of(after.card) == figures_of(before.card)
    old, new = before.familiarity(), after.familiarity()
    assert old is not None
    assert new is not None
    assert np.array_equal(old.references, new.references)
    assert not np.array_equal(old.limits, new.limits)
    # in both number types on the same cells, beside one another
    assert after.calibrated == ("float32", "bfloat16")
    near = after.for_dtype("bfloat16").calibration
    assert near is not None
    assert after.calibration is not None
    assert near.counts == after.calibration.counts
    assert near.facts["own_cells"] == str(cells)
    assert "computes in bfloat16" in after.card
    assert "In bfloat16:" in text
    mine = str(tmp_path / "checkpoint")
    with pytest.raises(InputError, match="--own-cells --data DIR"):
        calibrate_for("bfloat16", mine, None, tmp_path / "x")
    # calibrated again, it keeps both
    calibrate(mine, cells, tmp_path / "again", own_cells=True, seed=1)
    again = load_checkpoint(tmp_path / "again" / "checkpoint")
    assert again.calibrated == after.calibrated
    with pytest.raises(InputError, match="'float16' is no other number type"):
        calibrate(mine, cells, tmp_path, own_cells=True, also=("float16",))


def test_own_cells_need_a_folder_known_classes_and_a_calibrated_checkpoint(
    smoke_run: Path, cells: Path, tmp_path: Path
) -> None:
    source = load_checkpoint(smoke_run / "checkpoint")
    with pytest.raises(InputError, match="--data DIR"):
        calibrate(str(source.folder), None, tmp_path, own_cells=True)
    save_checkpoint(
        tmp_path / "bare",
        source.model(),
        source.taxonomy,
        source.preprocessing,
        DecisionPolicy(),
        "# Bare\n",
    )
    with pytest.raises(InputError, match="no training cells"):
        calibrate(str(tmp_path / "bare"), cells, tmp_path, own_cells=True)
    one = (
        '[[classes]]\ncode = "{0}"\nname = "{0}"\nlineage = "a"\nstage = 0\n'
        'risk = "none"\ncolour = "#112233"\ncounted = true\n'
    )
    other = tmp_path / "other.toml"
    other.write_text(
        'name = "other"\ntitle = "Other"\n'
        '[[lineages]]\nname = "a"\ntitle = "A"\ncolour = "#112233"\n'
        "sequential = false\n" + one.format("YYY") + one.format("ZZZ"),
        encoding="utf-8",
    )
    with pytest.raises(InputError, match="none of the classes"):
        calibrate(
            str(source.folder), cells, tmp_path, own_cells=True, taxonomy=str(other)
        )


def test_the_command_says_what_is_promised_and_where(
    smoke_run: Path, tmp_path: Path, pretended_gpu: list[tuple[str, str]]
) -> None:
    line = ["calibrate", str(smoke_run / "checkpoint"), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*line, "--risk", "0.1"])
    assert done.exit_code == 0, done.output
    assert set(pretended_gpu) == {("model", "cuda"), ("pixels", "cuda")}
    assert "no guarantee for 90.0%" in done.output
    assert f"Checkpoint: {tmp_path / 'checkpoint'}" in done.output
    wrong = CliRunner().invoke(app, [*line, "--risk", "0.3"])
    assert wrong.exit_code == 2
    assert "risk is 0.3" in wrong.output
