"""What is said of a comparison: scores, spread, and what is shared, word for word."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, recall_score

from napari_cytodino.common.errors import InputError
from napari_cytodino.common.provenance import RESEARCH_USE
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.comparison._summary import (
    METRICS,
    RUNS,
    SCORES,
    gather,
    protocol_of,
    read_runs,
    scores_of,
    shared,
    spread,
)
from napari_cytodino.training.comparison.methods import methods, read_comparison
from napari_cytodino.training.finetuning.parts import load_parts

if TYPE_CHECKING:
    from pathlib import Path

MLL = Taxonomy.load("mll21")
RECIPE, CNN = read_comparison("finetune-smoke")
ARMS = methods(CNN)


def indices(*counted: tuple[str, str, int]) -> tuple[Any, Any]:
    """Return targets and guesses from (true class, call, number)."""
    rows = [(MLL.index(a), MLL.index(b)) for a, b, n in counted for _ in range(n)]
    targets, guesses = np.array(rows, np.int64).T
    return targets, guesses


def leave(out: Path, name: str, seed: int, **scores: float | None) -> None:
    """Write what a run leaves."""
    folder = out / RUNS / name / f"seed-{seed}"
    folder.mkdir(parents=True)
    content = {
        "seed": seed,
        "starts_from": "nothing",
        "scores": dict.fromkeys(SCORES, 0.5) | scores,
    }
    (folder / METRICS).write_text(json.dumps(content), "utf-8")


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(6), (60, 55, 50, 49, 10, 1))
    guesses = np.where(rng.random(225) < 0.7, targets, rng.integers(0, 8, 225))
    found = scores_of(targets, guesses, MLL)["scores"]
    each = f1_score(targets, guesses, average=None, labels=range(21), zero_division=0)
    assert found["weighted_f1"] == pytest.approx(
        f1_score(targets, guesses, average="weighted", zero_division=0)
    )
    # all 21 classes count, those without an image as 0
    assert found["macro_f1"] == pytest.approx(each.mean())
    assert found["macro_f1_supported"] == pytest.approx(each[:3].mean())
    recall = recall_score(targets, guesses, labels=range(6), average="macro")
    assert found["balanced_accuracy"] == pytest.approx(recall)


def test_critical_errors_are_critical_cells_called_safe() -> None:
    targets, guesses = indices(
        ("BLA", "BLA", 5),
        ("BLA", "NGS", 2),
        ("BLA", "ART", 3),
        ("HAC", "LYT", 1),
        ("NGS", "BLA", 9),
    )
    found = scores_of(targets, guesses, MLL)
    assert found["scores"]["critical_error_rate"] == pytest.approx(3 / 11)
    assert found["n"] == 20
    table = np.array(found["confusion"])
    assert table.sum() == 20
    assert table[MLL.index("BLA"), MLL.index("ART")] == 3
    assert found["codes"] == list(MLL.codes)


def test_a_score_that_is_not_defined_is_none() -> None:
    found = scores_of(*indices(("NGS", "NGS", 4)), MLL)["scores"]
    assert found["macro_f1_supported"] is None
    assert found["critical_error_rate"] is None
    assert found["balanced_accuracy"] == 1
    assert list(found) == list(SCORES)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_mean_and_spread_are_those_of_numpy(values: list[float]) -> None:
    found = spread(values)
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    assert found["n"] == len(values)


def test_one_run_has_no_spread_and_none_no_mean() -> None:
    assert spread([0.25]) == {"mean": 0.25, "sd": None, "n": 1, "values": [0.25]}
    assert spread([]) == {"mean": None, "sd": None, "n": 0, "values": []}
    assert spread([None, 0.5])["n"] == 1


def test_runs_are_read_by_seed(tmp_path: Path) -> None:
    arm = ARMS[4]
    for seed in (10, 2, 0):
        leave(tmp_path, arm.name, seed)
    (tmp_path / RUNS / arm.name / "seed-3").mkdir()
    assert [run["seed"] for run in read_runs(tmp_path, arm)] == [0, 2, 10]
    assert read_runs(tmp_path, ARMS[5]) == []
    torn = tmp_path / RUNS / arm.name / "seed-3" / METRICS
    torn.write_text('{"seed": 3', "utf-8")
    with pytest.raises(InputError, match=r"seed-3/metrics\.json cannot be read.*rem"):
        read_runs(tmp_path, arm)


def test_what_is_shared_names_cells_budget_and_choice(tmp_path: Path) -> None:
    parts = load_parts(RECIPE, None, tmp_path)
    told = "\n".join(shared(RECIPE, parts))
    assert "24 train, 6 calibration-a, 6 calibration-b, 6 test." in told
    assert "nothing is chosen on the test part" in told
    assert "at most 3 epochs, 5 without a better one" in told
    assert "2 times the training part" in told
    assert "power 0.7" in told
    assert protocol_of(RECIPE, parts).startswith(
        "SYNTHETIC cells; held-out test, n = 6"
    )
    real = replace(parts, split_sha256="5ea1")
    assert "Split sha256 5ea1." in shared(RECIPE, real)[0]


def test_the_published_protocol_is_told_for_what_it_is(tmp_path: Path) -> None:
    recipe = replace(RECIPE, data=replace(RECIPE.data, protocol="published"))
    parts = load_parts(recipe, None, tmp_path)
    assert "validation, best epoch" in protocol_of(recipe, parts)
    told = "\n".join(shared(recipe, parts))
    assert "on the very cells that are scored" in told
    assert "nothing is chosen on the test part" not in told


def test_all_that_was_found_is_gathered(tmp_path: Path) -> None:
    parts = load_parts(RECIPE, None, tmp_path)
    for seed, value in enumerate((0.7, 0.8, 0.75)):
        leave(tmp_path, "vit-plain", seed, macro_f1=value, macro_f1_supported=None)
    leave(tmp_path, "linear", 0)
    found = gather(tmp_path, ARMS, RECIPE, parts)
    methods = {method["name"]: method for method in found["methods"]}
    assert list(methods) == [arm.name for arm in ARMS]
    ours = methods["vit-plain"]
    assert ours["seeds"] == [0, 1, 2]
    assert ours["starts_from"] == "nothing"
    assert ours["scores"]["macro_f1"]["mean"] == pytest.approx(0.75)
    assert ours["scores"]["macro_f1"]["sd"] == pytest.approx(0.05)
    assert ours["scores"]["macro_f1_supported"]["mean"] is None
    assert not methods["linear"]["by_chance"]
    assert methods["cnn"]["seeds"] == []
    assert methods["cnn"]["scores"]["macro_f1"]["mean"] is None
    assert {work["name"] for work in found["published"]} >= {"DAGDNet", "CytoDINO"}
    assert all(work["run"] == "not run here" for work in found["published"])
    assert found["recipe"]["name"] == "finetune-smoke"
    assert found["notice"] == RESEARCH_USE
    json.dumps(found, allow_nan=False)
