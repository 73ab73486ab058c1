"""A whole run, killed in every way and taken up, ends in the same weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_cytodino.checkpoints.calibration_file import checkpoint_facts
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.common.errors import CytoDinoError, InputError
from napari_cytodino.common.files import sha256
from napari_cytodino.training.finetuning import pipeline as module
from napari_cytodino.training.finetuning._losses import (
    HierarchicalFocalLoss,
    WeightedCrossEntropy,
)
from napari_cytodino.training.finetuning.pipeline import (
    exact_kernels,
    finetune,
    loss_of,
)
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe
from napari_cytodino.training.runs.states import TrainingError, newest_complete

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST = "states/checkpoint-36/adapter_model.safetensors"
"""Weights after 3 epochs of 48 cells, four a step."""

KILLS = {
    "step": "FinetuneTrainer.training_step, lambda t: t.state.global_step == 17",
    "optimizer": "FinetuneTrainer._save_optimizer_and_scheduler, at_20",
    "seal": "states.mark_complete, lambda folder: folder.name == 'checkpoint-20'",
    "epoch": "FinetuneTrainer._determine_best_metric, lambda t: t.state.epoch == 2",
    "merge": "results.merge_lora, lambda *_: True",
}
"""Where a run of its own process kills itself: a function, and when."""

SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from napari_cytodino.training.finetuning import pipeline, results, trainer
from napari_cytodino.training.recipes.reading import build, read_recipe
from napari_cytodino.training.runs import states
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.finetuning.trainer import FinetuneTrainer

recipe = build(FinetuneRecipe, *read_recipe("finetune-smoke"))
def at_20(t, *_):
    return t.state.global_step == 20
def arm(owner, name, when):
    stock = getattr(owner, name)
    def deadly(*args, **kwargs):
        if when(args[0]):
            os.kill(os.getpid(), signal.SIGKILL)
        return stock(*args, **kwargs)
    setattr(owner, name, deadly)
    if owner is states:
        trainer.mark_complete = deadly
for name, spec in KILLS.items():
    target, when = spec.split(", ", 1)
    owner, attribute = target.rsplit(".", 1)
    pid = os.fork()
    if not pid:
        arm(eval(owner), attribute, eval(when))
        pipeline.finetune(recipe, None, Path(sys.argv[1]) / name)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL, name
"""


@pytest.fixture(scope="module")
def recipe() -> FinetuneRecipe:
    return build(FinetuneRecipe, *read_recipe("finetune-smoke"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, recipe: FinetuneRecipe) -> Path:
    """Return a run that nothing interrupted."""
    out = Path(tmp_path_factory.mktemp("whole"))
    finetune(recipe, None, out)
    return out


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of runs that really got SIGKILL, each at another place."""
    out = Path(tmp_path_factory.mktemp("killed"))
    code = SCRIPT.replace("KILLS", repr(KILLS))
    settings = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)],
        env=settings,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Compute as the killed runs did: the number of threads decides last bits.

    Of the module, so that it comes before the fixtures that compute.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def copy(run: Path, to: Path) -> Path:
    return Path(shutil.copytree(run, to / "run"))


def steps(run: Path) -> list[int]:
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [entry["step"] for entry in map(json.loads, lines) if "loss" in entry]


def test_a_run_leaves_states_log_board_and_a_checkpoint(
    whole: Path, recipe: FinetuneRecipe
) -> None:
    assert json.loads((whole / "recipe.json").read_text("utf-8"))["optim"]["lr"] == 3e-3
    assert steps(whole) == list(range(1, 37))
    assert list((whole / "tensorboard").glob("events.*"))
    assert len(list((whole / "states").iterdir())) == 3
    checkpoint = load_checkpoint(whole / "checkpoint")
    assert checkpoint.synthetic
    assert checkpoint.taxonomy == recipe.classes_in_order
    assert "RANDOM weights" in checkpoint.card
    facts = checkpoint_facts(checkpoint.folder)
    assert facts["n"] == {"calibration-a": 6, "calibration-b": 6, "test": 6}
    results = json.loads((whole / "metrics.json").read_text("utf-8"))
    assert set(results) == {"test"}
    assert results["test"]["synthetic"]["n"] == 6


def test_the_checkpoint_holds_the_best_epoch_merged(
    whole: Path, recipe: FinetuneRecipe
) -> None:
    from napari_cytodino.checkpoints.adapters import merge_lora
    from napari_cytodino.training.finetuning.model import new_model
    from napari_cytodino.training.finetuning.states import best_state, load_adapter

    adapted = new_model(recipe)
    load_adapter(adapted, best_state(whole / "states"))
    expected = merge_lora(adapted).state_dict()
    stored = load_file(whole / "checkpoint" / "model.safetensors")
    assert set(stored) == set(expected)
    for name, value in stored.items():
        assert torch.equal(value, expected[name].half()), name


@pytest.mark.slow
@pytest.mark.parametrize("where", KILLS)
def test_a_killed_run_resumes_to_the_same_weights(
    whole: Path, killed: Path, recipe: FinetuneRecipe, tmp_path: Path, where: str
) -> None:
    run = copy(killed / where, tmp_path)
    newest = newest_complete(run / "states")
    wanted = {"step": 15, "optimizer": 15, "seal": 15, "epoch": 20}
    assert newest is not None
    assert newest.name == f"checkpoint-{wanted.get(where, 36)}"
    results = finetune(recipe, None, run)
    assert sha256(run / LAST) == sha256(whole / LAST)
    assert results == json.loads((whole / "metrics.json").read_text("utf-8"))
    for name in ("model.safetensors", "calibration.json", "README.md"):
        stored = [folder / "checkpoint" / name for folder in (run, whole)]
        assert sha256(stored[0]) == sha256(stored[1]), name
    done = int(newest.name.removeprefix("checkpoint-"))
    assert steps(run)[done:][-(36 - done) :] == list(range(done + 1, 37))


def test_a_finished_run_does_nothing_more(
    whole: Path, recipe: FinetuneRecipe, tmp_path: Path
) -> None:
    run = copy(whole, tmp_path)
    before = {p: sha256(p) for p in run.rglob("*") if p.is_file()}
    assert finetune(recipe, None, run)["test"]["synthetic"]["n"] == 6
    assert {p: sha256(p) for p in run.rglob("*") if p.is_file()} == before
    # the last state is there, the figures are not: no step is done again
    (run / "metrics.json").unlink()
    finetune(recipe, None, run)
    assert steps(run) == list(range(1, 37))
    assert (run / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()


@pytest.mark.parametrize("torn", ['{"test": {"synth', "", "[]"])
def test_torn_files_of_a_run_are_made_anew(
    whole: Path,
    recipe: FinetuneRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    torn: str,
) -> None:
    run = copy(whole, tmp_path)
    for name in ("metrics.json", "recipe.json"):
        (run / name).write_text(torn, "utf-8")
    expected = json.loads((whole / "metrics.json").read_text("utf-8"))
    monkeypatch.setattr(module, "finish", lambda *_: expected)
    assert finetune(recipe, None, run) == expected
    assert steps(run) == list(range(1, 37)), "no step is done again"
    assert (run / "recipe.json").read_bytes() == (whole / "recipe.json").read_bytes()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda r: replace(r, seed=4), r"recipe\.seed = 0, not 4"),
        (
            lambda r: replace(r, optim=replace(r.optim, lr=1e-4)),
            r"recipe\.optim\.lr = 0\.003, not 0\.0001",
        ),
    ],
)
def test_another_recipe_is_refused(
    whole: Path, recipe: FinetuneRecipe, change: Any, word: str
) -> None:
    with pytest.raises(InputError, match=word):
        finetune(change(recipe), None, whole)


def test_what_leaves_the_weights_alone_may_change(
    whole: Path, recipe: FinetuneRecipe, tmp_path: Path
) -> None:
    run = copy(whole, tmp_path)
    other = replace(recipe, run=replace(recipe.run, workers=3, log_steps=9))
    assert finetune(other, None, run)
    assert json.loads((run / "recipe.json").read_text("utf-8"))["run"]["workers"] == 3


@pytest.mark.parametrize("fact", ["split_sha256", "base_sha256"])
def test_another_split_or_base_is_refused_whatever_is_allowed(
    whole: Path, recipe: FinetuneRecipe, monkeypatch: pytest.MonkeyPatch, fact: str
) -> None:
    stock = module.run_facts
    monkeypatch.setattr(module, "run_facts", lambda *a: stock(*a) | {fact: "other"})
    with pytest.raises(InputError, match=f"{fact} = .*, not 'other'"):
        finetune(recipe, None, whole, allow_inexact=True)


def test_another_number_of_processes_has_to_be_allowed(
    whole: Path, recipe: FinetuneRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = module.run_facts
    monkeypatch.setattr(module, "run_facts", lambda *a: stock(*a) | {"processes": 2})
    with pytest.raises(InputError, match="--allow-inexact-resume"):
        finetune(recipe, None, whole)
    assert finetune(recipe, None, whole, allow_inexact=True)


def test_another_number_of_threads_has_to_be_allowed(
    whole: Path, recipe: FinetuneRecipe
) -> None:
    torch.set_num_threads(2)
    try:
        with pytest.raises(InputError, match="threads = 1, not 2"):
            finetune(recipe, None, whole)
        assert finetune(recipe, None, whole, allow_inexact=True)
    finally:
        torch.set_num_threads(1)


def test_early_stopping_ends_a_run_and_its_resumption(
    recipe: FinetuneRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cytodino.training.finetuning import trainer
    from napari_cytodino.training.finetuning.states import best_state

    scores = iter([0.5, 0.4, 0.3, 0.2])
    monkeypatch.setattr(
        trainer, "macro_f1_of_all", lambda _: {"macro_f1": next(scores)}
    )
    short = replace(recipe, run=replace(recipe.run, epochs=8, patience=2, save_steps=0))
    finetune(short, None, tmp_path)
    assert steps(tmp_path)[-1] == 36
    assert best_state(tmp_path / "states").name == "checkpoint-12"
    (tmp_path / "metrics.json").unlink()
    finetune(short, None, tmp_path)
    assert steps(tmp_path)[-1] == 36


def test_a_loss_that_is_no_number_stops_with_what_is_left(
    recipe: FinetuneRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cytodino.training.finetuning.trainer import FinetuneTrainer

    stock = FinetuneTrainer.compute_loss

    def breaks(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = stock(self, *args, **kwargs)
        return loss * torch.nan if self.state.global_step == 7 else loss

    monkeypatch.setattr(FinetuneTrainer, "compute_loss", breaks)
    with pytest.raises(TrainingError, match=r"step 8 the loss became nan.*point-5 is"):
        finetune(recipe, None, tmp_path)
    newest = newest_complete(tmp_path / "states")
    assert newest is not None
    assert newest.name == "checkpoint-5"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_stops_with_the_last_state_kept(
    whole: Path, recipe: FinetuneRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cytodino.training.finetuning.trainer import FinetuneTrainer

    stock = FinetuneTrainer._save_optimizer_and_scheduler

    def full(self: Any, output_dir: str) -> None:
        if self.state.global_step == 10:
            (Path(output_dir) / "optimizer.pt").symlink_to("/dev/full")
        stock(self, output_dir)

    with monkeypatch.context() as patch:
        patch.setattr(FinetuneTrainer, "_save_optimizer_and_scheduler", full)
        with pytest.raises(TrainingError, match=r"could not be written.*-5 is kept"):
            finetune(recipe, None, tmp_path)
    assert [p.name for p in (tmp_path / "states").iterdir()] == ["checkpoint-5"]
    finetune(recipe, None, tmp_path)
    assert sha256(tmp_path / LAST) == sha256(whole / LAST)


def test_a_folder_that_cannot_be_written_is_named(
    recipe: FinetuneRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "recipe.json"))

    monkeypatch.setattr(module, "write_json", full)
    with pytest.raises(CytoDinoError, match=r"recipe\.json cannot be .* \(No space"):
        finetune(recipe, None, tmp_path)


def test_too_little_memory_is_told_with_the_way_out(
    recipe: FinetuneRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "make_trainer", full)
    with pytest.raises(TrainingError, match=r"run\.batch = 2 cells at once: lower it"):
        finetune(recipe, None, tmp_path)


def test_a_fault_in_a_worker_is_one_sentence(
    recipe: FinetuneRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> None:
        raise InputError("Caught InputError in worker 0.\nInputError: a.jpg is gone.\n")

    monkeypatch.setattr(module, "make_trainer", lost)
    with pytest.raises(TrainingError) as caught:
        finetune(recipe, None, tmp_path)
    assert str(caught.value) == "a.jpg is gone."


def test_a_gpu_is_asked_for_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with exact_kernels(False):
        assert not torch.are_deterministic_algorithms_enabled()
    with exact_kernels(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")


def test_the_published_protocol_says_what_its_figures_are(
    recipe: FinetuneRecipe, tmp_path: Path
) -> None:
    published = replace(
        recipe,
        data=replace(recipe.data, protocol="published"),
        run=replace(recipe.run, epochs=1),
    )
    assert set(finetune(published, None, tmp_path)) == {"validation, best epoch"}
    card = load_checkpoint(tmp_path / "checkpoint").card
    assert "no guarantee" in card


def test_the_loss_takes_its_factors_from_the_training_part(
    recipe: FinetuneRecipe,
) -> None:
    targets = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    balanced = np.array([8 / 12, 8 / 6, 8 / 6])
    plain = replace(recipe, loss=replace(recipe.loss, variant="cross-entropy"))
    for name, expected in (
        ("none", balanced**0),
        ("sqrt-balanced", balanced**0.5),
        ("balanced", balanced),
    ):
        plan = replace(plain.loss, class_weights=name)
        loss = loss_of(replace(plain, loss=plan), targets)
        assert isinstance(loss, WeightedCrossEntropy)
        assert loss.weights.numpy() == pytest.approx(expected, rel=1e-6)
    hierarchical = loss_of(recipe, targets)
    assert isinstance(hierarchical, HierarchicalFocalLoss)
    assert hierarchical.class_weights.numpy() == pytest.approx(balanced**0.5, rel=1e-6)
    assert hierarchical.variant == "published"


def test_weighted_cross_entropy_is_a_mean_over_cells() -> None:
    weights = torch.tensor([1.0, 3.0])
    logits, targets = torch.zeros(2, 2), torch.tensor([0, 1])
    loss = WeightedCrossEntropy(weights)(logits, targets)
    assert float(loss) == pytest.approx(2 * np.log(2), rel=1e-6)
