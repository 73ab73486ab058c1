"""Judging: the cells a run kept apart, the card's own figures, and the report."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from napari_cytodino.common.errors import InputError
from napari_cytodino.synthetic.smear import synthetic_crops
from napari_cytodino.training.commands.evaluate import evaluate_checkpoint
from napari_cytodino.training.finetuning.pipeline import finetune
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe

if TYPE_CHECKING:
    from pathlib import Path

CODES = ("NGS", "LYT", "BLA")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return class folders of drawn cells, one of a class that no run here learns."""
    root = tmp_path_factory.mktemp("cells")
    drawn, codes = synthetic_crops((*CODES, "EOS"), 10, size=64, seed=0)
    for i, (crop, code) in enumerate(zip(drawn, codes, strict=True)):
        (root / code).mkdir(exist_ok=True)
        Image.fromarray(crop).save(root / code / f"{i:03d}.png")
    return root


def run(out: Path, data: Path | None, *changes: str) -> Path:
    content, name = read_recipe("finetune-smoke", ["run.epochs=1", *changes])
    finetune(build(FinetuneRecipe, content, name), data, out)
    return out


@pytest.fixture(scope="module")
def fine_tuned(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run on files, with a test part of its own."""
    out = tmp_path_factory.mktemp("tuned")
    return run(out, cells, "data.synthetic=0", "data.protocol=three-way")


def test_a_run_on_drawn_cells_is_judged_as_in_its_card(
    smoke_run: Path, tmp_path: Path, pretended_gpu: list[tuple[str, str]]
) -> None:
    text = evaluate_checkpoint(
        str(smoke_run / "checkpoint"), None, tmp_path, device="cuda"
    )
    assert set(pretended_gpu) == {("model", "cuda"), ("pixels", "cuda")}
    assert text.endswith("The model card says the same.")
    for name in ("report.html", "report.json", "metrics.json", "figures.md"):
        assert (tmp_path / name).is_file()
    assert "SYNTHETIC" in (tmp_path / "report.html").read_text("utf-8")


def test_a_fine_tuned_run_is_judged_on_its_saved_split(
    fine_tuned: Path, cells: Path, tmp_path: Path
) -> None:
    text = evaluate_checkpoint(str(fine_tuned / "checkpoint"), cells, tmp_path)
    assert text.endswith("The model card says the same.")
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert "split by single images" in json.dumps(report)
    assert (tmp_path / "augmentations.png").is_file()
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_split_from_elsewhere_has_to_be_the_same(
    fine_tuned: Path, cells: Path, tmp_path: Path
) -> None:
    alone = shutil.copytree(fine_tuned / "checkpoint", tmp_path / "alone")
    shutil.copy(fine_tuned / "recipe.json", tmp_path / "recipe.json")
    with pytest.raises(InputError, match="another split"):
        evaluate_checkpoint(str(alone), cells, tmp_path / "out")
    given = shutil.copy(fine_tuned / "split.csv", tmp_path / "given.csv")
    text = evaluate_checkpoint(str(alone), cells, tmp_path / "out", given)
    assert text.endswith("The model card says the same.")
    given.write_text(given.read_text("utf-8").replace(",test", ",train"), "utf-8")
    with pytest.raises(InputError, match="another split"):
        evaluate_checkpoint(str(alone), cells, tmp_path / "out", given)


def test_real_cells_have_to_be_named(fine_tuned: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="add --data DIR"):
        evaluate_checkpoint(str(fine_tuned / "checkpoint"), None, tmp_path)


def test_drawn_fine_tuning_needs_no_folder(tmp_path: Path) -> None:
    out = run(tmp_path / "run", None)
    text = evaluate_checkpoint(str(out / "checkpoint"), None, tmp_path / "report")
    assert text.endswith("The model card says the same.")
