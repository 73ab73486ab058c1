"""training/README.md: its commands exist, its figures are those of the results."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from napari_cytodino.training.commands.app import app
from napari_cytodino.training.comparison._published import published
from napari_cytodino.training.comparison.methods import choose, methods, read_comparison
from napari_cytodino.training.recipes.distillation import Recipe
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe

FOLDER = Path(__file__).resolve().parents[2] / "training"
GUIDE = (FOLDER / "README.md").read_text("utf-8")
MODULE = "python -m napari_cytodino.training "


def commands() -> list[str]:
    """Return the guide's commands; an upper-case word stands for anything."""
    lines = GUIDE.replace("\\\n", " ").splitlines()
    found = [line.strip() for line in lines if line.strip().startswith(MODULE)]
    assert len(found) >= 12
    return [line for line in found if " RECIPE " not in line and " CHECK" not in line]


@pytest.mark.parametrize("line", commands())
def test_every_command_exists(line: str) -> None:
    name, *words = shlex.split(line.removeprefix(MODULE), comments=True)
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    given = command.make_context(name, words).params
    assert given["out"]
    changes = given.get("changes") or ()
    if name == "compare":
        plan, cnn = read_comparison(given["recipe"], changes)
        assert choose(methods(cnn), given["only"] or ())
        assert len(plan.classes_in_order) == 21
    elif name == "train":
        content, where = read_recipe(given["recipe"], changes)
        kind = FinetuneRecipe if "backbone" in content else Recipe
        assert build(kind, content, where)


def test_the_launcher_is_where_the_guide_says() -> None:
    for path in re.findall(r"training/launch/[\w.-]+", GUIDE):
        assert (FOLDER.parent / path).is_file()


def test_the_way_to_the_table_comes_first() -> None:
    heads = re.findall(r"^## (.*)$", GUIDE, re.M)
    assert heads[0] == "1. From the TCIA download to the paper's table"
    assert "Compared on real cells" in heads


def test_our_figures_are_those_of_the_results() -> None:
    results = FOLDER / "results" / "starter"
    found = json.loads((results / "metrics.json").read_text("utf-8"))["as it is"]
    marrow, blood = found["mll-marrow"], found["pbc-blood"]
    for score, row in (
        ("weighted_f1", "weighted F1 88.2"),
        ("macro_f1", "macro F1 76.5"),
        ("accuracy", "accuracy 88.2"),
    ):
        [line] = [x for x in GUIDE.splitlines() if x.startswith(f"| {row}")]
        ours = [f"{own[score]:.3f}" for own in (marrow, blood)]
        assert re.findall(r"0\.\d{3}", line) == ours
    for own in (marrow, blood):
        n, low, high = own["n"], own["macro_f1_low"], own["macro_f1_high"]
        assert f"({low:.3f} to {high:.3f})" in GUIDE
        assert f"n={n:,}" in GUIDE
    with (results / "guarantee.csv").open(encoding="utf-8") as file:
        promises = [r for r in csv.DictReader(file) if r["risk"] == "0.005"]
    assert len(promises) == 3
    for told in promises:
        assert f"{told['wrong']} of {int(told['accepted']):,}" in GUIDE
        assert f"{100 * float(told['coverage']):.0f} %" in GUIDE


def test_the_papers_figures_are_those_that_compare_prints() -> None:
    [paper] = [work for work in published() if work.name == "CytoDINO"]
    for score in ("weighted_f1", "macro_f1", "accuracy"):
        title = score.replace("_f1", " F1")
        assert f"| {title} {paper.shown(score)}" in GUIDE
