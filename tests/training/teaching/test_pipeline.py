"""Teaching from disk and from arrays: a profile that works, or nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.cells.crops import CropStack
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.saving import save_calibrated
from napari_cytodino.common.errors import CheckpointError, CytoDinoError, InputError
from napari_cytodino.exports.tables import export
from napari_cytodino.inference.classification import ClassifyOptions, classify
from napari_cytodino.inference.classifier import Classifier
from napari_cytodino.teaching.classes import new_class
from napari_cytodino.training.evaluation.answers import pixel_answers
from napari_cytodino.training.teaching.pipeline import (
    classes_of,
    lessons_of,
    teach,
    teach_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_cytodino.checkpoints.checkpoint import Checkpoint
    from napari_cytodino.synthetic.smear import Smear

FIELD = 80


def files(tiny: Checkpoint, out: Path, *taught: Path, **more: Any) -> Any:
    return teach_files(taught, str(tiny.folder), out, device="cpu", **more)


def called(checkpoint: Checkpoint, pixels: Any) -> list[str]:
    """Return what a run calls single cells."""
    job = ClassifyOptions(device="cpu")
    table = classify(CropStack(pixels), None, checkpoint, job=job)
    return table["cell_class"].tolist()


def same(one: Checkpoint, two: Checkpoint) -> None:
    """Compare two profiles; what shares a batch moves the last bits of features."""
    for name in ("lessons", "head"):
        for key, value in vars(getattr(one.taught, name)).items():
            other = getattr(getattr(two.taught, name), key)
            if isinstance(value, tuple):
                assert value == other
            else:
                near = {"rtol": 2e-3, "atol": 1e-3, "err_msg": key}
                np.testing.assert_allclose(value, other, **near)


def test_class_folders_teach_a_profile(
    class_folders: Path, tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    seen: list[tuple[int, int]] = []
    outcome = files(
        tiny, tmp_path / "new" / "lab", class_folders,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert called(tiny, drawn[0]) != drawn[1]
    assert called(outcome.checkpoint, drawn[0]) == drawn[1]
    assert outcome.checkpoint.sha256 == load_checkpoint(tmp_path / "new/lab").sha256
    taught = outcome.checkpoint.taught
    assert (taught.base, taught.base_sha256) == (tiny.name, tiny.sha256)
    assert taught.summary == outcome.lines[0]
    assert outcome.lines[0].startswith("taught with 18 cells of 3 classes")
    assert outcome.report["n"] == 18
    assert [row["code"] for row in outcome.report["per_class"]] == sorted(set(drawn[1]))
    assert any("teach more of" in line for line in outcome.lines)
    card = outcome.checkpoint.card
    assert card.startswith("# lab:")
    assert all(line in card for line in outcome.lines)
    assert seen[-1] == (18, 18)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_figures_are_of_heads_that_did_not_know_the_cell(
    tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    # verdicts by chance are learned by nobody
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 32, 32, 3), np.uint8)
    codes = rng.permutation([tiny.taxonomy.codes[k % 2] for k in range(60)]).tolist()
    for k, code in enumerate(codes):
        (tmp_path / "noise" / code).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[k]).save(tmp_path / "noise" / code / f"{k}.png")
    outcome = files(tiny, tmp_path / "lab", tmp_path / "noise", field_of_view=32)
    # 0.5 and three standard errors
    assert abs(outcome.report["accuracy"] - 0.5) < 0.2


def test_patients_of_a_table_are_kept_and_left_out_together(
    write_table: Callable[..., Path], tiny: Checkpoint, tmp_path: Path
) -> None:
    patients = [f"P{k % 10}" for k in range(18)]
    outcome = files(tiny, tmp_path / "lab", write_table(patient_id=patients))
    lessons = outcome.checkpoint.taught.lessons
    assert sorted(lessons.groups) == sorted(patients)
    assert "patients or images apart (10)" in outcome.lines[0]


def test_where_some_patients_are_not_known_none_are_said_to_be_apart(
    tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    groups = [f"P{k}" if k < 11 else "" for k in range(18)]
    made = teach(*drawn, tiny, out=tmp_path / "a", groups=groups, device="cpu")
    assert "apart" not in made.taught.summary


def test_a_reviewed_table_teaches_its_cells(
    tmp_path: Path, tiny: Checkpoint, make_field: Callable[..., Any]
) -> None:
    codes = tiny.taxonomy.codes
    said = {
        7 + 3 * k: (codes[k % 2], "A. Reader", "2026-01-02T03:04:05Z") for k in range(6)
    }
    field = make_field(8, reviews=said)
    pixels = np.random.default_rng(0).integers(0, 256, (*field.labels.shape, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "a.png")
    path = export(field.table, tmp_path / "a.cells.csv")
    outcome = files(tiny, tmp_path / "lab", path, field_of_view=16)
    assert outcome.checkpoint.taught.lessons.counts() == {codes[0]: 3, codes[1]: 3}
    assert set(outcome.checkpoint.taught.lessons.groups) == {"a.png"}


def test_readers_who_contradict_each_other_teach_nothing_of_that_cell(
    tmp_path: Path, tiny: Checkpoint, smear: Smear, write_record: Callable[..., Path]
) -> None:
    one, two = tiny.taxonomy.codes[:2]
    cells = cells_from_labels(smear.labels)
    first = {0: one, 1: one, 2: two, 3: two}
    record = write_record(tmp_path / "case", cells, first, first | {0: two, 4: one})
    outcome = files(tiny, tmp_path / "lab", record)
    assert outcome.checkpoint.taught.lessons.counts() == {one: 2, two: 2}
    assert f"One cell was called {one} and {two}; it taught nothing." in outcome.lines


def test_a_case_teaches_what_a_run_on_its_image_answers(
    tmp_path: Path, tiny: Checkpoint, smear: Smear, write_record: Callable[..., Path]
) -> None:
    cells = cells_from_labels(smear.labels)
    codes = [tiny.taxonomy.codes[k % 2] for k in range(len(cells))]
    record = write_record(tmp_path / "case", cells, dict(enumerate(codes)))
    profile = files(tiny, tmp_path / "lab", record).checkpoint
    job = ClassifyOptions(device="cpu")
    table = classify(np.asarray(smear.image), cells, profile, job=job)
    assert table["cell_class"].tolist() == codes


def test_several_sources_teach_together(
    class_folders: Path,
    write_table: Callable[..., Path],
    tiny: Checkpoint,
    tmp_path: Path,
) -> None:
    # the same pictures once more, and one of them under another class
    codes = [tiny.taxonomy.codes[3]] * 6
    codes[5] = tiny.taxonomy.codes[4]
    both = files(tiny, tmp_path / "lab", class_folders, write_table(codes))
    assert len(both.checkpoint.taught.lessons) == 17
    assert sum("it taught nothing" in line for line in both.lines) == 1


def test_many_contradictions_are_counted(
    class_folders: Path,
    write_table: Callable[..., Path],
    tiny: Checkpoint,
    tmp_path: Path,
) -> None:
    table = write_table([tiny.taxonomy.codes[9]] * 7)
    outcome = files(tiny, tmp_path / "lab", class_folders, table)
    assert len(outcome.checkpoint.taught.lessons) == 11
    assert sum("it taught nothing" in line for line in outcome.lines) == 5
    assert outcome.lines[-1] == "2 more cells were called differently."


# --- on and on -------------------------------------------------------------------


def test_teaching_on_equals_teaching_at_once(
    tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    pixels, codes = drawn
    # both parts need two classes; the second brings the third, and cells known already
    first, second = np.r_[0:3, 6:9], np.r_[2:7, 9:18]
    part = teach(
        pixels[first], [codes[k] for k in first], tiny, out=tmp_path / "a", device="cpu"
    )
    more = teach(
        pixels[second], [codes[k] for k in second], str(tmp_path / "a"),
        out=tmp_path / "a", device="cpu",
    )  # fmt: skip
    whole = teach(pixels, codes, tiny, out=tmp_path / "b", device="cpu")
    assert len(part.taught.lessons) == 6
    same(more, whole)
    assert more.taught.base_sha256 == tiny.sha256
    assert more.taxonomy == whole.taxonomy
    assert more.policy == whole.policy


def test_temperature_and_thresholds_stay_those_of_the_base_however_often_it_is_taught(
    tiny: Checkpoint,
    tmp_path: Path,
    drawn: tuple[Any, list[str]],
    make_calibration: Callable[..., Any],
) -> None:
    made = make_calibration(tiny.taxonomy, temperature=2.5)
    base = load_checkpoint(save_calibrated(tmp_path / "base", tiny, made, None, ""))
    one = teach(*drawn, base, out=tmp_path / "one", device="cpu")
    two = teach(*drawn, one, out=tmp_path / "two", device="cpu")
    same(one, two)
    for profile in (one, two):
        assert profile.taught.base_policy == base.policy
        assert profile.taught.base_taxonomy == base.taxonomy
        assert profile.policy.temperature == 1.0
        assert profile.policy.min_confidence == base.policy.min_confidence
        assert profile.guarantee().startswith("no guarantee: taught with 18 cells")
    assert base.guarantee().startswith("guaranteed")


def test_the_order_of_cells_changes_nothing(
    tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    pixels, codes = drawn
    order = np.random.default_rng(0).permutation(len(codes))
    one = teach(pixels, codes, tiny, out=tmp_path / "a", device="cpu")
    turned = [codes[k] for k in order]
    two = teach(pixels[order], turned, tiny, out=tmp_path / "b", device="cpu")
    same(one, two)


def test_a_single_class_can_be_taught_to_a_profile(
    tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    pixels, codes = drawn
    first = teach(pixels[:12], codes[:12], tiny, out=tmp_path / "a", device="cpu")
    second = teach(pixels[12:], codes[12:], first, out=tmp_path / "b", device="cpu")
    assert called(second, pixels) == codes
    assert load_checkpoint(tmp_path / "a").sha256 == first.sha256


# --- arrays and classes ----------------------------------------------------------


def test_arrays_teach_as_files_do(
    class_folders: Path, tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    by_files = files(tiny, tmp_path / "a", class_folders).checkpoint
    by_arrays = teach(*drawn, str(tiny.folder), out=str(tmp_path / "b"), device="cpu")
    same(by_files, by_arrays)


def test_patients_of_arrays_are_kept(
    tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    groups = [f"P{k % 3}" for k in range(18)]
    made = teach(*drawn, tiny, out=tmp_path / "a", groups=groups, device="cpu")
    assert sorted(made.taught.lessons.groups) == sorted(groups)


def test_a_class_of_the_users_own_is_taught(
    tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    pixels, codes = drawn
    own = [new_class(tiny.taxonomy, "own", "Our own kind")]
    named = ["own" if code == codes[0] else code for code in codes]
    made = teach(pixels, named, tiny, out=tmp_path / "a", new_classes=own, device="cpu")
    assert made.taxonomy.codes == (*tiny.taxonomy.codes, "own")
    assert called(made, pixels) == named
    # six cells of it: enough not to send each of them to a reader
    assert "own" not in made.policy.rare
    few = teach(
        pixels[3:], named[3:], tiny, out=tmp_path / "b", new_classes=own, device="cpu"
    )
    assert few.policy.rare == ("own",)


def test_classes_as_they_are_written_on_the_command_line(tiny: Checkpoint) -> None:
    lineage = tiny.taxonomy.lineages[1].name
    words = ["a=Kind A", f" b = Kind B = {lineage} ", "c"]
    made = classes_of(words, str(tiny.folder))
    assert [(c.code, c.name, c.lineage) for c in made] == [
        ("a", "Kind A", ""), ("b", "Kind B", lineage), ("c", "c", ""),
    ]  # fmt: skip
    assert len({c.colour for c in made}) == 3
    assert classes_of([], str(tiny.folder)) == ()
    for wrong in ("a=A=nowhere", "=A", "a b=A", tiny.taxonomy.codes[0], "a/b"):
        with pytest.raises(InputError):
            classes_of([wrong], str(tiny.folder))
    with pytest.raises(InputError, match="'a' is a class already"):
        classes_of(["a=A", "a=B"], str(tiny.folder))


def test_an_evaluation_judges_the_taught_answers(
    tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    pixels, codes = drawn
    own = [new_class(tiny.taxonomy, "own")]
    named = ["own" if code == codes[0] else code for code in codes]
    made = teach(pixels, named, tiny, out=tmp_path / "a", new_classes=own, device="cpu")
    logits, _ = pixel_answers(made, [pixels])
    assert [made.taxonomy.codes[k] for k in logits.argmax(axis=1)] == named


# --- refused, and nothing written ------------------------------------------------


def nothing(tmp_path: Path, before: set[str]) -> None:
    assert {p.name for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (lambda c: [c[0]] * 18, "All 18 taught cells are of one class"),
        (lambda c: ["nobody", *c[1:]], "'nobody' is no class .* of your own"),
        (lambda c: c[1:], "18 cells have 17 verdicts; give one for each"),
        (lambda c: [], "18 cells have 0 verdicts"),
    ],
)
def test_verdicts_that_teach_nothing_are_refused(
    tiny: Checkpoint,
    tmp_path: Path,
    drawn: tuple[Any, list[str]],
    codes: Callable[[list[str]], list[str]],
    words: str,
) -> None:
    with pytest.raises(InputError, match=words):
        teach(drawn[0], codes(drawn[1]), tiny, out=tmp_path / "a" / "b", device="cpu")
    nothing(tmp_path, set())


@pytest.mark.parametrize(
    "cells",
    [np.zeros((0, 80, 80, 3), np.uint8), np.zeros((80, 80, 3), np.uint8), []],
    ids=["none", "one", "empty"],
)
def test_what_is_no_stack_of_cells_is_refused(
    tiny: Checkpoint, tmp_path: Path, cells: Any
) -> None:
    with pytest.raises(InputError):
        teach(cells, [], tiny, out=tmp_path / "a", device="cpu")
    nothing(tmp_path, set())


def test_groups_of_another_number_are_refused(
    tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    with pytest.raises(InputError):
        teach(*drawn, tiny, out=tmp_path / "a", groups=["P1"], device="cpu")
    nothing(tmp_path, set())


def test_one_class_only_is_refused(
    class_folders: Path, tiny: Checkpoint, tmp_path: Path
) -> None:
    folder = class_folders / tiny.taxonomy.codes[3]
    (tmp_path / "one").mkdir()
    folder.rename(tmp_path / "one" / folder.name)
    with pytest.raises(InputError, match=r"All 6 taught cells .* of another class too"):
        files(tiny, tmp_path / "lab", tmp_path / "one")
    nothing(tmp_path, {"cells", "one"})


def test_an_unknown_class_is_refused_before_a_picture_is_read(
    class_folders: Path, tiny: Checkpoint, tmp_path: Path
) -> None:
    for picture in class_folders.rglob("*.png"):
        picture.write_bytes(b"no picture")
    (class_folders / tiny.taxonomy.codes[3]).rename(class_folders / "Blasts")
    with pytest.raises(InputError, match="Blasts is no class"):
        files(tiny, tmp_path / "lab", class_folders)
    nothing(tmp_path, {"cells"})


def test_a_record_of_a_class_that_nobody_knows_is_refused(
    tmp_path: Path, tiny: Checkpoint, smear: Smear, write_record: Callable[..., Path]
) -> None:
    said = {0: tiny.taxonomy.codes[0], 1: "nobody"}
    record = write_record(tmp_path / "case", cells_from_labels(smear.labels), said)
    with pytest.raises(InputError, match=r"'nobody' is no class .* of your own"):
        files(tiny, tmp_path / "lab", record)
    nothing(tmp_path, {"case"})


def test_a_class_of_the_users_own_is_known_on_disk_too(
    class_folders: Path, tiny: Checkpoint, tmp_path: Path
) -> None:
    (class_folders / tiny.taxonomy.codes[3]).rename(class_folders / "own")
    own = classes_of(["own=Our own kind"], str(tiny.folder))
    outcome = files(tiny, tmp_path / "lab", class_folders, new_classes=own)
    assert outcome.checkpoint.taxonomy.codes[-1] == "own"
    assert "| own | Our own kind | 6 |" in outcome.checkpoint.card
    # taught on without naming it again
    again = teach_files(
        [class_folders], str(tmp_path / "lab"), tmp_path / "two", device="cpu"
    )
    assert again.checkpoint.taxonomy == outcome.checkpoint.taxonomy


@pytest.mark.parametrize("many", [1, 3])
def test_unreadable_pictures_are_told_and_teach_nothing(
    class_folders: Path, tiny: Checkpoint, tmp_path: Path, many: int
) -> None:
    for broken in sorted(class_folders.rglob("*.png"))[6 : 6 + many]:
        broken.write_bytes(b"no picture")
    words = f"{many} of 18 taught cells cannot be read.* mend or remove"
    with pytest.raises(InputError, match=words):
        files(tiny, tmp_path / "lab", class_folders)
    nothing(tmp_path, {"cells"})


def test_an_unreadable_picture_is_named(
    class_folders: Path, tiny: Checkpoint, tmp_path: Path
) -> None:
    broken = sorted(class_folders.rglob("*.png"))[7]
    broken.write_bytes(b"no picture")
    with pytest.raises(InputError, match=broken.name):
        files(tiny, tmp_path / "lab", class_folders)


def test_a_foreign_folder_keeps_what_it_holds(
    class_folders: Path, tiny: Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.docx").write_text("years", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"thesis\.docx"):
        files(tiny, out, class_folders)
    assert [p.name for p in out.iterdir()] == ["thesis.docx"]
    nothing(tmp_path, {"cells", "mine"})


def test_a_file_in_the_way_is_told(
    class_folders: Path, tiny: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "lab").write_text("a file", encoding="utf-8")
    for out in (tmp_path / "lab", tmp_path / "lab" / "inner"):
        with pytest.raises(CytoDinoError, match=r"lab.* choose another folder"):
            files(tiny, out, class_folders)
    assert (tmp_path / "lab").read_text("utf-8") == "a file"


def test_pictures_of_the_taught_cells_are_not_in_the_profile(
    class_folders: Path, tiny: Checkpoint, tmp_path: Path
) -> None:
    outcome = files(tiny, tmp_path / "lab", class_folders)
    names = {p.suffix for p in outcome.checkpoint.folder.iterdir()}
    assert names == {".md", ".json", ".safetensors"}


def test_no_cells_are_no_lessons(tiny: Checkpoint) -> None:
    with pytest.raises(InputError, match="0 cells to teach with"):
        lessons_of([], [], [], Classifier(tiny, "cpu"))


def test_a_profile_keeps_the_field_of_view_it_was_taught_with(
    tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    usual = teach(*drawn, tiny, out=tmp_path / "a", device="cpu")
    assert usual.preprocessing == tiny.preprocessing
    own = teach(*drawn, tiny, out=tmp_path / "b", field_of_view=24, device="cpu")
    assert own.preprocessing.field_of_view == 24


def test_another_profile_in_the_place_is_kept(
    tiny: Checkpoint, tmp_path: Path, drawn: tuple[Any, list[str]]
) -> None:
    first = teach(*drawn, tiny, out=tmp_path / "lab", device="cpu")
    with pytest.raises(CytoDinoError, match="already; teach on that one"):
        teach(*drawn, tiny, out=tmp_path / "lab", device="cpu")
    again = teach(*drawn, first, out=tmp_path / "lab", device="cpu")
    assert again.folder == first.folder
