"""Checkpoints: the round trip, and everything that must be refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_cytodino.checkpoints import calibration_file
from napari_cytodino.checkpoints import folder as folder_module
from napari_cytodino.checkpoints.checkpoint import list_checkpoints, load_checkpoint
from napari_cytodino.checkpoints.folder import FILES, WEIGHTS, write_manifest
from napari_cytodino.common.errors import CheckpointError, InputError
from napari_cytodino.taxonomy.taxonomy import Taxonomy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TAXONOMY = Taxonomy.load("mll21")


def test_bundled_checkpoints_load_and_are_small() -> None:
    bundled = list_checkpoints()
    assert {info.name for info in bundled} == {"demo", "starter"}
    size = sum(p.stat().st_size for info in bundled for p in info.folder.iterdir())
    assert size <= 20e6
    for info in bundled:
        loaded = load_checkpoint(info.name)
        assert loaded.synthetic == (info.name == "demo")
        assert ("SYNTHETIC" in info.title) == loaded.synthetic
        side = loaded.preprocessing.size
        logits, _ = loaded.model().predict(torch.zeros(1, 3, side, side))
        assert logits.shape == (1, len(loaded.taxonomy))


def test_loading_imports_no_torch() -> None:
    code = (
        "import sys; from napari_cytodino import load_checkpoint;"
        "load_checkpoint('demo'); raise SystemExit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", FILES)
def test_an_altered_file_is_named(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name} .*altered"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "a.pt", "deep/x.PKL"])
def test_a_pickle_is_refused(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match="could run code"):
        load_checkpoint(folder)


def test_an_unlisted_file_is_refused(folder: Path) -> None:
    (folder / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"notes\.txt"):
        load_checkpoint(folder)


def test_no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"manifest\.json is missing"):
        load_checkpoint(folder)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    write_manifest(folder)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda t: t.pop("head.query"), "lacks tensor head.query"),
        (lambda t: t.update(extra=torch.zeros(1)), "unknown tensor extra"),
        (lambda t: t.update({"head.query": torch.zeros(1, 1, 7)}), "shape"),
        (lambda t: t["head.query"].fill_(torch.nan), "no finite numbers"),
        (lambda t: t.update({"head.query": t["head.query"].int()}), "no finite"),
    ],
)
def test_weights_that_do_not_fit(
    folder: Path, change: Callable[[dict[str, Any]], None], word: str
) -> None:
    rewrite(folder, change)
    with pytest.raises(CheckpointError, match=word):
        load_checkpoint(folder).model()


def test_weights_that_are_no_safetensors(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"\xff" * (folder / WEIGHTS).stat().st_size)
    write_manifest(folder)
    with pytest.raises(CheckpointError, match="no valid safetensors"):
        load_checkpoint(folder).model()


def test_weights_that_change_after_verification(folder: Path) -> None:
    loaded = load_checkpoint(folder)
    rewrite(folder, lambda t: t["head.query"].add_(1))
    with pytest.raises(CheckpointError, match="changed after"):
        loaded.model()


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(CheckpointError, match="demo, starter"):
        load_checkpoint("nothing")


def test_a_link_into_a_cache_is_followed(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "blobs"
    shutil.move(str(folder / WEIGHTS), store)
    (folder / WEIGHTS).symlink_to(store)
    assert load_checkpoint(folder).model() is not None


def test_the_hash_names_the_content(folder: Path) -> None:
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert load_checkpoint(folder).sha256 == digest
    listed = json.loads((folder / "manifest.json").read_text("utf-8"))["sha256"]
    assert set(listed) == set(FILES)


def test_without_a_calibration_for_a_type_every_cell_goes_to_review(
    folder: Path,
) -> None:
    loaded = load_checkpoint(folder)
    assert loaded.calibrated == ("float32",)
    other = loaded.for_dtype("bfloat16")
    assert (other.dtype, other.calibration) == ("bfloat16", None)
    assert "not calibrated for bfloat16" in other.policy.uncalibrated
    assert other.policy.temperature == loaded.policy.temperature
    assert loaded.for_dtype("float32") == loaded


@pytest.mark.parametrize(("name", "times"), [("demo", 0), ("starter", 1)])
def test_weights_are_hashed_at_most_once_to_know_the_types(
    name: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, hashed = load_checkpoint(name), []
    real = folder_module.sha256

    def counted(path: Path) -> str:
        hashed.append(path.name)
        return real(path)

    monkeypatch.setattr(calibration_file, "sha256", counted)
    # a click on a cell asks as often as a run does
    for _ in range(3):
        assert ("bfloat16" in loaded.calibrated) == bool(times)
    assert hashed.count(WEIGHTS) == times


def test_no_promise_for_images_of_another_kind() -> None:
    loaded = load_checkpoint("starter")
    policy = replace(loaded.policy, max_foreign=0.2)
    loaded = replace(loaded, policy=policy)
    near = loaded.guarantee_on((5, 500))
    assert near == f"Accepted cells: {loaded.guarantee()}"
    far = loaded.guarantee_on((300, 500))
    assert far.startswith("NO PROMISE HOLDS HERE: 300 of 500")


def test_of_no_accepted_cell_nothing_is_promised() -> None:
    loaded = load_checkpoint("starter")
    assert loaded.guarantee_on((0, 9), accepted=3) == loaded.guarantee_on((0, 9))
    told = loaded.guarantee_on((0, 9), accepted=0)
    assert told == "No cell was accepted, so nothing is promised."
    foreign = replace(loaded, policy=replace(loaded.policy, max_foreign=0.0))
    assert foreign.guarantee_on((90, 90), accepted=0).startswith(
        "NO PROMISE HOLDS HERE"
    )


def test_a_promise_for_drawn_cells_says_so() -> None:
    assert (
        load_checkpoint("demo").guarantee().endswith("SYNTHETIC: of drawn cells only")
    )
    assert "SYNTHETIC" not in load_checkpoint("starter").guarantee()


def test_profiles_of_ones_own_are_listed_and_found_by_name(
    tiny_checkpoint, tmp_path, monkeypatch
):
    import shutil

    from napari_cytodino.checkpoints import checkpoint as module

    monkeypatch.setattr(module, "own_profiles", lambda: tmp_path / "profiles")
    place = module.profile_place("my-lab")
    shutil.copytree(tiny_checkpoint, place)
    shutil.copytree(tiny_checkpoint, place.with_name(".my-lab-part"))
    (place.with_name("broken")).mkdir()
    (place.with_name("broken") / "README.md").write_bytes(b"# \xff\xfe")
    names = [info.name for info in module.list_checkpoints()]
    assert names == ["demo", "starter", "broken", "my-lab"]
    assert module.load_checkpoint("my-lab").folder == place
    # a folder here is meant before a profile of that name
    shutil.copytree(tiny_checkpoint, tmp_path / "my-lab")
    monkeypatch.chdir(tmp_path)
    assert module.load_checkpoint("my-lab").folder == tmp_path / "my-lab"
    assert module.load_checkpoint("starter").name == "starter"


@pytest.mark.parametrize("name", ["", "a b", "../up", "starter", "-x", "x" * 65])
def test_names_that_a_profile_cannot_have(name, tmp_path, monkeypatch):
    from napari_cytodino.checkpoints import checkpoint as module

    monkeypatch.setattr(module, "own_profiles", lambda: tmp_path / "profiles")
    with pytest.raises(InputError, match="cannot be the name of a profile"):
        module.profile_place(name)
    assert not (tmp_path / "profiles").exists()
