"""Profiles on disk: bit for bit, bound to their files, over weights that stay."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from napari_cytodino.cells.crops import CropStack, iter_series
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.folder import (
    FAMILIARITY,
    FILES,
    MANIFEST,
    TAUGHT,
    TAUGHT_ARRAYS,
    WEIGHTS,
    write_manifest,
)
from napari_cytodino.checkpoints.profile import Profile
from napari_cytodino.checkpoints.saving import save_calibrated, save_profile
from napari_cytodino.common.errors import CheckpointError
from napari_cytodino.common.files import sha256
from napari_cytodino.inference.classification import collect
from napari_cytodino.inference.classifier import Classifier
from napari_cytodino.synthetic.smear import synthetic_crops
from napari_cytodino.teaching.classes import new_class, with_classes
from napari_cytodino.teaching.head import fit_head
from napari_cytodino.teaching.lessons import Lessons, merge
from napari_cytodino.teaching.policy import taught_policy
from napari_cytodino.uncertainty.predictions import Predictions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_cytodino.checkpoints.checkpoint import Checkpoint

NEW = "mine"
FIELD = 80


def read(checkpoint: Checkpoint, crops: Any) -> Predictions:
    """Return what the checkpoint's own model says of crops."""
    classifier = Classifier(checkpoint, "cpu")
    batches = list(classifier.run(iter_series(CropStack(crops), FIELD, 8)))
    return Predictions.like(batches[0], len(crops)).with_batches(batches)


def answers(checkpoint: Checkpoint, crops: Any) -> Predictions:
    """Return what a run says of crops."""
    classifier = Classifier(checkpoint, "cpu")
    batches = classifier.run(iter_series(CropStack(crops), FIELD, 8))
    return collect(batches, len(crops), checkpoint)


def lessons_of(said: Predictions, codes: list[str]) -> Lessons:
    n = len(said)
    unlike = np.linspace(0, 2, n).astype(np.float32)
    unlike[0] = np.nan
    return Lessons(
        said.features,
        said.logits,
        unlike,
        tuple(codes),
        tuple(key.tobytes().hex() for key in said.keys),
        tuple(f"patient {k % 3}" for k in range(n)),
        np.arange(n) % 4 == 0,
    )


def make_profile(checkpoint: Checkpoint, lessons: Lessons) -> Profile:
    known = checkpoint.taught
    base = known.base_taxonomy if known else checkpoint.taxonomy
    policy = known.base_policy if known else checkpoint.policy
    own = [] if NEW in checkpoint.taxonomy else [new_class(checkpoint.taxonomy, NEW)]
    taxonomy = with_classes(checkpoint.taxonomy, own)
    lessons = merge([lessons, known.lessons] if known else [lessons]).lessons
    head = fit_head(lessons, taxonomy.codes, base.codes, policy.temperature).head
    return Profile(
        head, lessons, taxonomy, checkpoint.name, checkpoint.sha256, base, policy, "so"
    )


def save(folder: Path, checkpoint: Checkpoint, profile: Profile) -> Path:
    own = profile.base_taxonomy.codes
    policy = taught_policy(profile.base_policy, profile.lessons, own)
    return save_profile(folder, checkpoint, profile, policy, "# Mine\n")


@pytest.fixture(scope="module")
def base(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture(scope="module")
def crops(base: Checkpoint) -> tuple[Any, list[str]]:
    """Return nine cells of the first three classes, the third called by a new one."""
    drawn = base.taxonomy.codes[:3]
    pixels, codes = synthetic_crops(drawn, 3, size=FIELD, seed=5)
    return pixels, [NEW if code == drawn[2] else code for code in codes]


@pytest.fixture(scope="module")
def profile(base: Checkpoint, crops: tuple[Any, list[str]]) -> Profile:
    pixels, codes = crops
    return make_profile(base, lessons_of(read(base, pixels), codes))


@pytest.fixture(scope="module")
def whole(
    base: Checkpoint, profile: Profile, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return save(tmp_path_factory.mktemp("profiles") / "lab", base, profile)


@pytest.fixture
def saved(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of the saved profile, to be altered."""
    return shutil.copytree(whole, tmp_path / "lab")


def changed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Change ``taught.json`` and write the manifest anew, as a forger would."""
    content = json.loads((folder / TAUGHT).read_text("utf-8"))
    change(content)
    (folder / TAUGHT).write_text(json.dumps(content), encoding="utf-8")
    return listed(folder)


def listed(folder: Path) -> Path:
    names = sorted(p.name for p in folder.iterdir() if p.name != MANIFEST)
    write_manifest(folder, tuple(names))
    return folder


# --- written and read ------------------------------------------------------------


def test_round_trip_bit_for_bit(whole: Path, profile: Profile) -> None:
    again = load_checkpoint(whole).taught
    assert again is not None
    for field in fields(Profile):
        one, two = (getattr(p, field.name) for p in (profile, again))
        if field.name not in ("head", "lessons"):
            assert one == two
            continue
        for name, value in vars(one).items():
            other = getattr(two, name)
            if isinstance(value, np.ndarray):
                assert (value.dtype, value.shape) == (other.dtype, other.shape)
                assert value.tobytes() == other.tobytes(), name
            else:
                assert value == other


@pytest.mark.parametrize("away", [np.nan, np.inf, 0.0, 7.5])
def test_distances_come_back_as_they_were(
    base: Checkpoint, profile: Profile, tmp_path: Path, away: float
) -> None:
    unlike = np.full(len(profile.lessons), away, np.float32)
    lessons = replace(profile.lessons, unfamiliarity=unlike)
    folder = save(tmp_path / "lab", base, replace(profile, lessons=lessons))
    again = load_checkpoint(folder).taught.lessons.unfamiliarity
    np.testing.assert_array_equal(again, unlike)


def test_a_loaded_profile_knows_what_it_is(
    whole: Path, base: Checkpoint, profile: Profile
) -> None:
    loaded = load_checkpoint(whole)
    assert loaded.taxonomy == profile.taxonomy
    assert loaded.taxonomy.codes == (*base.taxonomy.codes, NEW)
    assert (loaded.name, loaded.card) == ("lab", "# Mine\n")
    assert loaded.preprocessing == base.preprocessing
    assert loaded.calibration is None
    assert loaded.policy.guarantee == ""
    assert loaded.guarantee() == "no guarantee: so"
    assert loaded.synthetic is base.synthetic
    assert base.taught is None


def test_weights_of_the_base_are_the_same_bytes(whole: Path, base: Checkpoint) -> None:
    for name in (WEIGHTS, "config.json", "preprocessor_config.json"):
        assert sha256(whole / name) == sha256(base.folder / name)
    names = {p.name for p in whole.iterdir()}
    assert names == {*FILES, MANIFEST, TAUGHT, TAUGHT_ARRAYS}
    for file in whole.iterdir():
        assert file.stat().st_mode & 0o777 == 0o644


def test_a_profile_answers_as_base_and_head(
    whole: Path, base: Checkpoint, profile: Profile
) -> None:
    pixels, _ = synthetic_crops(base.taxonomy.codes[:4], 3, size=FIELD, seed=8)
    own, made = read(base, pixels), answers(load_checkpoint(whole), pixels)
    want = profile.head.logits(own.features, own.logits)
    np.testing.assert_array_equal(made.logits, want)
    assert made.logits.shape == (12, len(base.taxonomy) + 1)
    for name in ("features", "keys", "embeddings", "unfamiliarity"):
        np.testing.assert_array_equal(getattr(made, name), getattr(own, name))
    # the base itself answers as before
    np.testing.assert_array_equal(answers(base, pixels).logits, own.logits)


def test_taught_cells_are_called_what_they_were_taught(
    whole: Path, crops: tuple[Any, list[str]]
) -> None:
    loaded = load_checkpoint(whole)
    pixels, codes = crops
    best = answers(loaded, pixels).logits.argmax(axis=1)
    assert [loaded.taxonomy.codes[k] for k in best] == codes


def test_a_profile_is_taught_on(
    whole: Path, base: Checkpoint, tmp_path: Path, crops: tuple[Any, list[str]]
) -> None:
    first = load_checkpoint(whole)
    more, codes = synthetic_crops(base.taxonomy.codes[3:5], 3, size=FIELD, seed=6)
    # the model's own answer is the base's, whatever was taught on it
    added = lessons_of(read(first, more), codes)
    np.testing.assert_array_equal(added.logits, read(base, more).logits)
    second = make_profile(first, added)
    assert len(second.lessons) == len(first.taught.lessons) + 6
    loaded = load_checkpoint(save(tmp_path / "second", first, second))
    assert loaded.taught.base_taxonomy == base.taxonomy
    assert loaded.taught.base_policy == base.policy
    assert sha256(loaded.folder / WEIGHTS) == sha256(base.folder / WEIGHTS)
    # as if all had been taught at once
    own = lessons_of(read(base, crops[0]), crops[1])
    once = make_profile(base, merge([own, added]).lessons)
    np.testing.assert_array_equal(loaded.taught.head.weights, once.head.weights)
    np.testing.assert_array_equal(loaded.taught.head.bias, once.head.bias)
    assert loaded.taught.head.trust == once.head.trust


def test_a_profile_is_taught_on_in_place(saved: Path, profile: Profile) -> None:
    first = load_checkpoint(saved)
    save(saved, first, replace(profile, summary="anew"))
    assert load_checkpoint(saved).taught.summary == "anew"
    assert [p.name for p in saved.parent.iterdir()] == ["lab"]


def test_training_cells_to_compare_with_go_along(
    base: Checkpoint,
    profile: Profile,
    tmp_path: Path,
    make_calibration: Callable[..., Any],
    make_familiarity: Callable[..., Any],
) -> None:
    made = make_calibration(base.taxonomy)
    target = tmp_path / "calibrated"
    calibrated = load_checkpoint(
        save_calibrated(target, base, made, make_familiarity(32), "")
    )
    assert calibrated.calibration is not None
    loaded = load_checkpoint(save(tmp_path / "lab", calibrated, profile))
    assert sha256(loaded.folder / FAMILIARITY) == sha256(target / FAMILIARITY)
    # what was promised was of the base's answers
    assert loaded.calibration is None
    assert loaded.guarantee().startswith("no guarantee")


def test_calibrating_a_profile_forgets_nothing_that_was_taught(
    whole: Path, tmp_path: Path, make_calibration: Callable[..., Any]
) -> None:
    loaded = load_checkpoint(whole)
    made = make_calibration(loaded.taxonomy)
    try:
        target = save_calibrated(tmp_path / "calibrated", loaded, made, None, "")
    except CheckpointError:
        assert list(tmp_path.iterdir()) == []
    else:
        again = load_checkpoint(target)
        assert again.taught is not None
        assert again.taxonomy == loaded.taxonomy


def test_a_profile_has_no_pictures(whole: Path) -> None:
    sizes = sum(p.stat().st_size for p in (whole / TAUGHT, whole / TAUGHT_ARRAYS))
    assert sizes < 9 * FIELD * FIELD * 3
    assert {*load_file(whole / TAUGHT_ARRAYS)} == {
        "weights", "bias", "features", "logits", "unfamiliarity", "drawn",
    }  # fmt: skip


# --- refused ---------------------------------------------------------------------


def refused(folder: Path, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [TAUGHT, TAUGHT_ARRAYS, WEIGHTS])
def test_an_altered_file_is_refused(saved: Path, name: str) -> None:
    raw = bytearray((saved / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (saved / name).write_bytes(raw)
    refused(saved, f"{name} in .* was altered")


@pytest.mark.parametrize("name", [TAUGHT, TAUGHT_ARRAYS])
def test_a_missing_file_is_refused(saved: Path, name: str) -> None:
    (saved / name).unlink()
    refused(saved, f"{name} is missing")
    refused(listed(saved), f"{TAUGHT} and {TAUGHT_ARRAYS}, but they belong together")


def test_a_file_that_the_manifest_does_not_know_is_refused(
    saved: Path, base: Checkpoint, tmp_path: Path
) -> None:
    plain = shutil.copytree(base.folder, tmp_path / "plain")
    shutil.copy(saved / TAUGHT, plain / TAUGHT)
    refused(plain, f"holds {TAUGHT}, which its manifest does not list")


def test_files_that_changed_after_they_were_verified_are_not_passed_on(
    saved: Path, profile: Profile, tmp_path: Path
) -> None:
    loaded = load_checkpoint(saved)
    (saved / WEIGHTS).write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointError, match="changed after"):
        save(tmp_path / "other", loaded, profile)
    assert not (tmp_path / "other").exists()


ARRAYS = {
    "lacks one": lambda a: a.pop("bias"),
    "has one more": lambda a: a.update(strange=np.ones(1)),
    "other width": lambda a: a.update(weights=a["weights"][1:]),
    "other classes": lambda a: a.update(weights=a["weights"][:, 1:]),
    "other bias": lambda a: a.update(bias=a["bias"][1:]),
    "weights of nan": lambda a: a["weights"].fill(np.nan),
    "bias of inf": lambda a: a["bias"].fill(np.inf),
    "features of nan": lambda a: a["features"].fill(np.nan),
    "logits of nan": lambda a: a["logits"].fill(np.nan),
    "other logits": lambda a: a.update(logits=a["logits"][:, 1:].copy()),
    "fewer cells": lambda a: a.update(drawn=a["drawn"][1:]),
    "flat features": lambda a: a.update(features=a["features"][:, 0].copy()),
    "flat weights": lambda a: a.update(weights=a["weights"][:, 0].copy()),
}


@pytest.mark.parametrize("change", ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_contradict_are_refused(
    saved: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    arrays = load_file(saved / TAUGHT_ARRAYS)
    change(arrays)
    contiguous = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    save_file(contiguous, saved / TAUGHT_ARRAYS)
    refused(listed(saved), f"{TAUGHT}.* teach the checkpoint again")


TEXTS = {
    "schema": lambda c: c.update(schema=2),
    "no head": lambda c: c.pop("head"),
    "no cells": lambda c: c.pop("cells"),
    "no base": lambda c: c.pop("base"),
    "known of a class that is not there": lambda c: c["head"].update(
        known=[99, *c["head"]["known"][1:]]
    ),
    "known below -1": lambda c: c["head"].update(known=[-2, *c["head"]["known"][1:]]),
    "known too short": lambda c: c["head"]["known"].pop(),
    "known of words": lambda c: c["head"].update(known="all of them"),
    "trust of words": lambda c: c["head"].update(trust="much"),
    "trust of a list": lambda c: c["head"].update(trust=[1]),
    "no penalty": lambda c: c["head"].pop("penalty"),
    "a class of no taxonomy": lambda c: c["cells"]["codes"].__setitem__(0, "nobody"),
    "fewer keys": lambda c: c["cells"]["keys"].pop(),
    "groups of nothing": lambda c: c["cells"].update(groups=None),
    "cells in a list": lambda c: c.update(cells=[1, 2]),
    "taxonomy in words": lambda c: c.update(taxonomy="mll21"),
    "a class less": lambda c: c["taxonomy"]["classes"].pop(),
    "policy of no sense": lambda c: c["base"]["policy"].update(temperature=0),
    "policy in words": lambda c: c["base"].update(policy="strict"),
    "base in words": lambda c: c.update(base="starter"),
}


@pytest.mark.parametrize("change", TEXTS.values(), ids=TEXTS)
def test_texts_that_contradict_are_refused(
    saved: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    refused(changed(saved, change), TAUGHT)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"schema": 1, "schema": 1}'])
def test_a_text_that_is_no_object_is_refused(saved: Path, raw: bytes) -> None:
    (saved / TAUGHT).write_bytes(raw)
    refused(listed(saved), f"{TAUGHT} .* get the checkpoint again")


def test_arrays_that_are_none_are_refused(saved: Path) -> None:
    (saved / TAUGHT_ARRAYS).write_bytes(b"\xff" * 64)
    refused(listed(saved), "no valid safetensors file")


def test_a_base_of_other_classes_is_refused(saved: Path, base: Checkpoint) -> None:
    def rename(content: dict[str, Any]) -> None:
        content["base"]["taxonomy"]["title"] = "Another"

    refused(changed(saved, rename), "taught on other classes than config.json has")


def test_a_foreign_folder_is_not_replaced(
    base: Checkpoint, profile: Profile, tmp_path: Path
) -> None:
    (tmp_path / "thesis.docx").write_text("years", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"thesis\.docx"):
        save(tmp_path, base, profile)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_profile_that_contradicts_itself_is_never_written(
    base: Checkpoint, profile: Profile, tmp_path: Path
) -> None:
    wrong = replace(profile.head, bias=profile.head.bias[1:])
    with pytest.raises(CheckpointError, match="contradict each other"):
        save(tmp_path / "x", base, replace(profile, head=wrong))
    assert list(tmp_path.iterdir()) == []
