"""The commands: figures equal to the card's, faults with exit code 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.training.commands import evaluate
from napari_cytodino.training.commands.app import app
from napari_cytodino.training.evaluation import answers
from napari_cytodino.training.evaluation.cards import figures_of

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
RUNNER = CliRunner()


def test_evaluate_prints_exactly_the_figures_of_the_card(
    smoke_run: Path, tmp_path: Path
) -> None:
    folder = smoke_run / "checkpoint"
    result = RUNNER.invoke(app, ["evaluate", str(folder), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    card = figures_of(load_checkpoint(folder).card)
    assert card in result.output
    assert "The model card says the same." in result.output
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "figures.md").read_text("utf-8") == card + "\n"
    assert (tmp_path / "metrics.json").read_bytes() == (
        smoke_run / "metrics.json"
    ).read_bytes()


def test_train_runs_through_and_says_where(tmp_path: Path) -> None:
    result = RUNNER.invoke(
        app,
        ["train", "smoke", "--out", str(tmp_path / "run"), "--set", "fit.steps=1"],
    )
    assert result.exit_code == 0, result.output
    assert "| as it is | synthetic | 6 | 3 |" in result.output
    assert load_checkpoint(tmp_path / "run" / "checkpoint").synthetic


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["train", "nothing"], "no recipe 'nothing'"),
        (["train", "starter"], "--data DIR"),
        (["train", "smoke", "--set", "fit.steps=x"], "steps"),
        (["evaluate", "nothing"], "no checkpoint 'nothing'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    tmp_path: Path, arguments: list[str], word: str
) -> None:
    result = RUNNER.invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert word in result.output
    assert result.output.count("Error:") == 1
    assert "Traceback" not in result.output


@pytest.mark.slow
@pytest.mark.skipif(
    "CYTODINO_LONG" not in os.environ, reason="two minutes or more: set CYTODINO_LONG=1"
)
@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the real cells in {DATA}")
def test_the_card_of_the_starter_holds_the_figures_of_its_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole command takes five minutes; the view that counts takes a third."""
    one = answers.VIEWS[:1]
    monkeypatch.setattr(answers, "VIEWS", one)
    monkeypatch.setattr("napari_cytodino.training.distillation.parts.VIEWS", one)
    monkeypatch.setattr(evaluate, "_ood_cells", lambda *_: {})
    result = RUNNER.invoke(
        app, ["evaluate", "starter", "--data", str(DATA), "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    rows = (tmp_path / "figures.md").read_text("utf-8").splitlines()
    assert len(rows) > 20
    # one view alone goes by the part it is of
    rows = [row.replace("| test |", f"| {one[0]} |") for row in rows]
    card = load_checkpoint("starter").card.splitlines()
    assert [row for row in rows if row not in card] == []


def test_train_fine_tunes_where_the_recipe_names_a_backbone(tmp_path: Path) -> None:
    line = ["train", "finetune-smoke", "--out", str(tmp_path / "run")]
    result = RUNNER.invoke(app, [*line, "--set", "run.epochs=1"])
    assert result.exit_code == 0, result.output
    assert "| test | synthetic | 6 | 3 |" in result.output
    assert load_checkpoint(tmp_path / "run" / "checkpoint").synthetic
    again = RUNNER.invoke(app, [*line, "--set", "run.epochs=2"])
    assert again.exit_code == 2
    assert "recipe.run.epochs = 1, not 2" in again.output


def test_a_backbone_that_cannot_be_fetched_is_named(tmp_path: Path) -> None:
    line = ["train", "mll21-vitl16", "--out", str(tmp_path), "--set"]
    result = RUNNER.invoke(app, [*line, "data.synthetic=1"])
    assert result.exit_code == 2
    assert "facebook/dinov3-vitl16-pretrain-lvd1689m" in result.output
    assert "Traceback" not in result.output


def test_convert_names_the_file_that_is_not_there(tmp_path: Path) -> None:
    line = ["convert", str(tmp_path / "bloom.pth"), "--out", str(tmp_path / "out")]
    result = RUNNER.invoke(app, line)
    assert result.exit_code == 2
    assert "no file" in result.output


def test_a_report_without_its_packages_says_what_to_install(
    tmp_path: Path, smoke_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object, **__: object) -> None:
        raise ModuleNotFoundError(name="matplotlib")

    monkeypatch.setattr(
        "napari_cytodino.training.commands.evaluate.evaluate_checkpoint", absent
    )
    line = ["evaluate", str(smoke_run / "checkpoint"), "--out", str(tmp_path)]
    result = RUNNER.invoke(app, line)
    assert result.exit_code == 2
    assert "matplotlib: pip install 'napari-cytodino[train]'" in result.output
