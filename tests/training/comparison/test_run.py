"""A whole comparison: one split for all, nothing done twice, nothing mixed up."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from napari_cytodino.common.errors import InputError
from napari_cytodino.common.files import sha256
from napari_cytodino.training.commands.app import app
from napari_cytodino.training.comparison import probes
from napari_cytodino.training.comparison import run as module
from napari_cytodino.training.comparison._summary import RUNS, SCORES, scores_of
from napari_cytodino.training.comparison.methods import methods, read_comparison
from napari_cytodino.training.comparison.run import METHODS, compare
from napari_cytodino.training.finetuning.model import new_model
from napari_cytodino.training.finetuning.parts import load_parts
from napari_cytodino.training.finetuning.states import WEIGHTS, load_adapter
from napari_cytodino.training.finetuning.trainer import FinetuneTrainer, to_views
from napari_cytodino.training.runs.states import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_cytodino.training.data.crops import CellSet

RECIPE, CNN = read_comparison("finetune-smoke", ("run.epochs=1",))
TRAINED = ("cnn", "vit-plain")
PROBES = ("neighbours-1", "neighbours-20", "linear")


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Compute everything alike: the number of threads decides last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a comparison of two methods with two seeds that nothing interrupted."""
    out = Path(tmp_path_factory.mktemp("whole"))
    compare(RECIPE, CNN, None, out, seeds=(0, 1), only=TRAINED)
    return out


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return real files in class folders, nested as the MLL data set has them."""
    root = Path(tmp_path_factory.mktemp("cells"))
    rng = np.random.default_rng(0)
    for code in RECIPE.data.classes:
        folder = root / code / "0001-1000"
        folder.mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 256, (70, 70, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{code}_{i:05}.png")
    return root


def metrics(out: Path) -> dict[str, dict[str, Any]]:
    """Return what each run left, by method and seed."""
    return {
        path.parent.relative_to(out / RUNS).as_posix(): json.loads(path.read_text())
        for path in sorted((out / RUNS).glob("*/seed-*/metrics.json"))
    }


def hashes(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): sha256(p) for p in files}


def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Note each run that is really done."""
    done: list[tuple[str, int]] = []

    def noted(method: str) -> Any:
        stock = METHODS[method]

        def run(bench: Any, arm: Any, seed: int, folder: Path) -> Any:
            done.append((arm.name, seed))
            return stock(bench, arm, seed, folder)

        return run

    for method in list(METHODS):
        monkeypatch.setitem(METHODS, method, noted(method))
    return done


def test_two_methods_with_two_seeds_leave_figures_and_weights(whole: Path) -> None:
    found = metrics(whole)
    names = ["cnn/seed-0", "cnn/seed-1", "vit-plain/seed-0", "vit-plain/seed-1"]
    assert list(found) == names
    for name, run in found.items():
        assert run["n"] == 6
        assert run["starts_from"] == "RANDOM weights"
        assert set(run["scores"]) == set(SCORES)
        left = {p.name for p in (whole / RUNS / name).iterdir()}
        assert left == {"log.jsonl", "metrics.json", "tensorboard", WEIGHTS}
    weights = [sha256(whole / RUNS / name / WEIGHTS) for name in names]
    assert len(set(weights)) == 4


def test_the_figures_are_of_the_stored_weights_on_the_test_part(
    whole: Path, tmp_path: Path
) -> None:
    folder = whole / RUNS / "vit-plain" / "seed-1"
    model = new_model(replace(RECIPE, seed=1)).eval()
    load_adapter(model, folder)
    # the comparison's own cells, whatever the seed of the run
    test = load_parts(RECIPE, None, tmp_path).test
    assert test is not None
    pixels = torch.from_numpy(np.stack([test.crop(i) for i in range(len(test))]))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (RECIPE.mean, RECIPE.std))
    with torch.inference_mode():
        logits = model(pixel_values=(to_views(pixels, 32) - mean) / std).logits.numpy()
    again = scores_of(test.targets, logits.argmax(axis=1), RECIPE.classes_in_order)
    stored = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert again.items() <= stored.items()


def test_the_table_has_mean_and_spread_beside_published_figures(whole: Path) -> None:
    with (whole / "comparison.csv").open(newline="", encoding="utf-8") as file:
        lines = {line["name"]: line for line in csv.DictReader(file) if line["name"]}
    assert list(lines) == [arm.name for arm in methods(CNN)]
    found = metrics(whole)
    for name in TRAINED:
        values = [found[f"{name}/seed-{s}"]["scores"]["weighted_f1"] for s in (0, 1)]
        assert float(lines[name]["weighted_f1"]) == pytest.approx(np.mean(values))
        assert float(lines[name]["weighted_f1_sd"]) == pytest.approx(
            np.std(values, ddof=1)
        )
    page = (whole / "comparison.md").read_text("utf-8")
    assert "CNN, cross-entropy" in page
    assert "CytoDINO (2025" in page
    assert "run.batch is 4 instead of 2" in page
    assert page.count("not run here") == 6 + 8


def test_methods_share_cells_order_and_budget_and_none_sees_the_test_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[FinetuneTrainer] = []

    def look(self: FinetuneTrainer) -> Any:
        seen.append(self)
        return self.model

    monkeypatch.setattr(FinetuneTrainer, "run", look)
    # nothing was trained, so there are no states
    (tmp_path / WEIGHTS).touch()
    monkeypatch.setattr(module, "best_state", lambda _: tmp_path)
    names = [arm.name for arm in methods(CNN) if arm.by_chance]
    compare(RECIPE, CNN, None, tmp_path, seeds=(0, 1), only=names)
    assert len(seen) == 10
    parts = load_parts(RECIPE, None, tmp_path)
    for trainer in seen:
        learnt, chooses = trainer.train_dataset.cells, trainer.eval_dataset.cells
        assert np.array_equal(learnt.pixels, parts.train.pixels)
        assert np.array_equal(chooses.pixels, parts.selection.pixels)
        assert trainer.args.num_train_epochs == 1
        assert trainer.recipe.augmentation == RECIPE.augmentation
        assert trainer.recipe.run.patience == RECIPE.run.patience
    orders = [tuple(trainer.sampler.order(0)) for trainer in seen]
    assert len(set(orders)) == 2
    assert [orders[0], orders[1]] * 5 == orders


def test_a_finished_comparison_does_nothing_more(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    done = counted(monkeypatch)
    compare(RECIPE, CNN, None, out, seeds=(1, 0), only=TRAINED)
    assert done == []
    assert hashes(out) == hashes(whole)


def test_a_run_that_is_removed_is_done_again_to_the_same_figures(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    shutil.rmtree(out / RUNS / "cnn" / "seed-1")
    done = counted(monkeypatch)
    compare(RECIPE, CNN, None, out, seeds=(0, 1), only=TRAINED)
    assert done == [("cnn", 1)]
    assert metrics(out) == metrics(whole)
    stored = [run / RUNS / "cnn" / "seed-1" / WEIGHTS for run in (out, whole)]
    assert sha256(stored[0]) == sha256(stored[1])


def test_a_comparison_that_was_stopped_goes_on_within_the_run(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = FinetuneTrainer.training_step

    def deadly(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.recipe.seed == 1 and self.state.global_step == 7:
            raise KeyboardInterrupt
        return stock(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(FinetuneTrainer, "training_step", deadly)
        with pytest.raises(KeyboardInterrupt):
            compare(RECIPE, CNN, None, tmp_path, seeds=(0, 1), only=("vit-plain",))
    run = tmp_path / RUNS / "vit-plain"
    assert (run / "seed-0" / "metrics.json").is_file()
    assert [p.name for p in (run / "seed-1" / "states").iterdir()] == ["checkpoint-5"]
    # the table is written at the end; a run without figures is in none
    assert not (tmp_path / "comparison.md").exists()
    done = counted(monkeypatch)
    compare(RECIPE, CNN, None, tmp_path, seeds=(0, 1), only=("vit-plain",))
    assert done == [("vit-plain", 1)]
    stored = [o / RUNS / "vit-plain" / "seed-1" / WEIGHTS for o in (tmp_path, whole)]
    assert sha256(stored[0]) == sha256(stored[1])


def test_probes_run_once_and_share_one_pass(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    stock = probes.embed_cells

    def embed(backbone: Any, part: CellSet, *rest: Any) -> Any:
        seen.append(len(part))
        return stock(backbone, part, *rest)

    monkeypatch.setattr(module, "embed_cells", embed)
    real = replace(RECIPE, data=replace(RECIPE.data, synthetic=0))
    page = compare(real, CNN, cells, tmp_path, only=PROBES)
    assert list(metrics(tmp_path)) == [f"{name}/seed-0" for name in sorted(PROBES)]
    parts = load_parts(real, cells, tmp_path)
    assert parts.test is not None
    assert seen == [len(parts.train), len(parts.test)]
    assert parts.split_sha256 == sha256(tmp_path / "split.csv")
    assert f"Split sha256 {parts.split_sha256}." in page
    assert "SYNTHETIC" not in page

    # a cell that changes sides makes another split
    path = tmp_path / "split.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if ",test," in line)
    lines[at] = lines[at].replace(",test,", ",train,")
    path.write_text("".join(lines), "utf-8")
    with pytest.raises(InputError, match=r"split_sha256 = .*choose an empty folder"):
        compare(real, CNN, cells, tmp_path, only=PROBES)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        (("optim.lr=1e-4",), r"recipe\.optim\.lr = 0\.003, not 0\.0001"),
        (("seed=3",), r"recipe\.seed = 0, not 3"),
        (("cnn.lr=1e-4",), r"lr = 0\.003, not 0\.0001"),
    ],
)
def test_another_recipe_is_refused(
    whole: Path, tmp_path: Path, changes: tuple[str, ...], word: str
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    other = read_comparison("finetune-smoke", ("run.epochs=1", *changes))
    with pytest.raises(InputError, match=word):
        compare(*other, None, out, seeds=(0, 1), only=TRAINED)
    assert metrics(out) == metrics(whole)


def test_the_other_networks_settings_are_no_matter_of_the_rest(
    whole: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    other = replace(CNN, lr=1e-4)
    assert compare(RECIPE, other, None, out, seeds=(0,), only=("vit-plain",))


@pytest.mark.parametrize("seeds", [(), (0, 0), (-1, 2)])
def test_seeds_are_different_ones(seeds: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="different ones from 0 on"):
        compare(RECIPE, CNN, None, tmp_path / "out", seeds=seeds)
    assert not (tmp_path / "out").exists()


def test_several_processes_are_told_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "arguments", lambda *_: SimpleNamespace(world_size=2, device="cpu")
    )
    with pytest.raises(InputError, match="one process, not 2: start several"):
        compare(RECIPE, CNN, None, tmp_path)


def test_a_full_disk_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "states/x")

    monkeypatch.setitem(METHODS, "linear", full)
    with pytest.raises(TrainingError, match=r"states/x cannot be read or w.*No space"):
        compare(RECIPE, CNN, None, tmp_path, only=("linear",))


def test_the_command_prints_the_table_and_refuses_in_one_sentence(
    tmp_path: Path,
) -> None:
    out = ["--out", str(tmp_path / "out"), "--only", "linear", "--seeds", "0 4"]
    done = CliRunner().invoke(app, ["compare", "finetune-smoke", *out])
    assert done.exit_code == 0, done.output
    assert "| linear probe, frozen backbone |" in done.output
    assert str(tmp_path / "out" / "comparison.csv") in done.output
    for more, word in (
        (["--seeds", "0,x"], "0,x': give whole numbers"),
        (["--only", "nothing"], "no method 'nothing'"),
        (["--set", "run.batch=3"], "effective_batch"),
    ):
        done = CliRunner().invoke(app, ["compare", "finetune-smoke", *out, *more])
        assert done.exit_code == 2
        assert word in done.output
        assert done.output.count("Error:") == 1
