"""Classes left out of training: counted before and after the unfamiliarity test."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.saving import save_checkpoint
from napari_cytodino.common.errors import InputError
from napari_cytodino.common.files import write_json
from napari_cytodino.synthetic.smear import synthetic_crops
from napari_cytodino.training.commands.app import app
from napari_cytodino.training.commands.unseen_classes import judge_unknown
from napari_cytodino.training.data.splits import split_sha256
from napari_cytodino.training.recipes.distillation import load_recipe
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.novelty import fit_novelty_detector

if TYPE_CHECKING:
    from pathlib import Path

CODES = ("NGS", "LYT", "BLA", "EOS")


@pytest.fixture
def run(smoke_run: Path, tmp_path: Path) -> Path:
    """Return a run that left EOS out, and cells of it in its test part."""
    data = tmp_path / "data"
    drawn, codes = synthetic_crops(CODES, 3, size=192, seed=4)
    rows = []
    for i, (crop, code) in enumerate(zip(drawn, codes, strict=True)):
        path = data / "lab" / code / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(path)
        rows.append(f"lab,{code}/{i}.png,{code},\n")
    head = "dataset,path,code,background_group\n"
    (data / "cells.csv").write_text(head + "".join(rows), encoding="utf-8")
    split = tmp_path / "split.csv"
    lines = [f"lab/{row.split(',')[1]},test\n" for row in rows]
    split.write_text("path,part\n" + "".join(lines), encoding="utf-8")
    recipe = replace(load_recipe("smoke"), split=str(split), synthetic=0)
    write_json(tmp_path / "recipe.json", json.loads(json.dumps(asdict(recipe))))
    smoke = load_checkpoint(smoke_run / "checkpoint")
    rng = np.random.default_rng(0)
    near = rng.normal(size=24) + 1e-3 * rng.normal(size=(30, 24))
    save_checkpoint(
        tmp_path / "checkpoint",
        smoke.model(),
        smoke.taxonomy,
        smoke.preprocessing,
        DecisionPolicy(min_confidence=0.0, min_margin=0.0, max_critical=1.0),
        "# Some\n",
        familiarity=fit_novelty_detector(near, np.arange(30) % 3, near, quantile=0.99),
        facts={"recipe": "smoke", "split_sha256": split_sha256(split)},
    )
    return tmp_path


def test_cells_never_seen_are_counted_before_and_after(run: Path) -> None:
    table = judge_unknown(str(run / "checkpoint"), run / "data", run / "out")
    rows = json.loads((run / "out" / "unknown.json").read_text("utf-8"))["rows"]
    by_title = {row["cells"]: row for row in rows}
    assert by_title["never seen"]["code"] == "EOS"
    assert by_title["all never seen"]["n"] == 3
    assert by_title["all known"]["n"] == 9
    # thresholds let everything pass, and no drawn cell is like the random ones
    assert by_title["all never seen"]["before"]["accepted"] == 3
    assert by_title["all never seen"]["after"]["accepted"] == 0
    after = by_title["all never seen"]["after"]
    assert after["low"] == 0
    assert after["high"] == pytest.approx(1 - 0.025 ** (1 / 3))
    assert table in (run / "out" / "unknown.md").read_text("utf-8")


def test_the_command_prints_the_table(
    run: Path, pretended_gpu: list[tuple[str, str]]
) -> None:
    line = ["unknown", str(run / "checkpoint"), "--data", str(run / "data")]
    done = CliRunner().invoke(app, [*line, "--out", str(run / "out")])
    assert done.exit_code == 0, done.output
    assert set(pretended_gpu) == {("model", "cuda"), ("pixels", "cuda")}
    assert "| never seen | EOS | lab | 3 |" in done.output


def test_without_a_class_left_out_there_is_nothing_to_count(
    run: Path, smoke_run: Path
) -> None:
    with pytest.raises(InputError, match="no split of real cells"):
        judge_unknown(str(smoke_run / "checkpoint"), run / "data", run / "out")
    rows = (run / "data" / "cells.csv").read_text("utf-8").splitlines(keepends=True)
    known = "".join(row for row in rows if "EOS" not in row)
    (run / "data" / "cells.csv").write_text(known, encoding="utf-8")
    with pytest.raises(InputError, match="knows every class"):
        judge_unknown(str(run / "checkpoint"), run / "data", run / "out")
