"""Teaching on the command line: a profile to classify with, or one sentence."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.synthetic.smear import synthetic_crops

FIELD = 80


@pytest.fixture(scope="module")
def cells(tmp_path_factory, tiny_checkpoint):
    """Return a folder of a folder for each of three classes, six cells in each."""
    folder = tmp_path_factory.mktemp("taught") / "cells"
    known = load_checkpoint(tiny_checkpoint).taxonomy.codes[3:6]
    for number, (pixels, code) in enumerate(
        zip(*synthetic_crops(known, 6, size=FIELD, seed=2), strict=True)
    ):
        (folder / code).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / code / f"{number:02d}.png")
    return folder


@pytest.fixture
def line(tiny_checkpoint, tmp_path):
    """Return what stands behind the cells on the command line."""
    fixed = ["--checkpoint", tiny_checkpoint, "--device", "cpu"]
    return [*fixed, "--out", tmp_path / "lab"]


def test_a_profile_is_taught_and_classified_with(invoke, cells, line, tmp_path):
    done = invoke("teach", cells, *line)
    assert done.exit_code == 0, done.output
    assert "taught with 18 cells of 3 classes" in done.output
    assert f"Profile: {tmp_path / 'lab'}\n" in done.output
    assert "research use only" in done.output
    assert "macro F1" in done.output.splitlines()[0]
    out = tmp_path / "out"
    run = invoke(
        "classify", cells, "--crops", "--checkpoint", tmp_path / "lab",
        "--device", "cpu", "--out", out,
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    # what was measured stands in the place of a promise
    assert "no guarantee: taught with 18 cells" in run.output
    table = pd.read_csv(out / "cells.csv")
    assert len(table) == 18
    truth = table["image"].str.split("/").str[0]
    assert (table["cell_class"] == truth).all()
    assert table["checkpoint"].str.startswith("lab@").all()


def test_a_profile_is_taught_on(invoke, cells, line, tmp_path):
    assert invoke("teach", cells, *line).exit_code == 0
    first = load_checkpoint(tmp_path / "lab")
    line[1] = tmp_path / "lab"
    again = invoke("teach", cells, *line)
    assert again.exit_code == 0, again.output
    second = load_checkpoint(tmp_path / "lab")
    # the same cells once more teach nothing new
    assert len(second.taught.lessons) == 18
    np.testing.assert_array_equal(second.taught.head.weights, first.taught.head.weights)
    assert second.taught.base == first.taught.base == "tiny"


def test_several_folders_and_own_classes(invoke, cells, line, tmp_path):
    more = tmp_path / "more"
    (more / "own").mkdir(parents=True)
    drawn, _ = synthetic_crops(None, 1, size=FIELD, seed=7)
    for number, pixels in enumerate(drawn[:3]):
        Image.fromarray(pixels).save(more / "own" / f"{number}.png")
    done = invoke("teach", cells, more, *line, "--new-class", "own=Our own kind")
    assert done.exit_code == 0, done.output
    assert "own: 3 cells" in done.output
    assert "Few examples, teach more of: own" in done.output
    made = load_checkpoint(tmp_path / "lab")
    assert made.taxonomy.classes[-1].name == "Our own kind"


def test_the_side_of_what_the_model_sees_can_be_given(invoke, cells, line, tmp_path):
    done = invoke("teach", cells, *line, "--field-of-view", "60")
    assert done.exit_code == 0, done.output
    wide = invoke("teach", cells, *line[:-1], tmp_path / "wide")
    assert wide.exit_code == 0
    keys = [load_checkpoint(tmp_path / n).taught.lessons.keys for n in ("lab", "wide")]
    assert not set(keys[0]) & set(keys[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone"], "no data folder or table gone"),
        (["gone.cytodino.sqlite"], "no record gone.cytodino.sqlite"),
        (["EMPTY"], "holds no labelled cell"),
        (["ONE"], "All 6 taught cells are of one class"),
        (["UNKNOWN"], "Blasts is no class of taxonomy"),
        (["BROKEN"], "1 of 2 taught cells cannot be read"),
        (["CELLS", "--checkpoint", "nonsense"], "no checkpoint 'nonsense'"),
        (["CELLS", "--device", "cuda9"], "'cuda9' is no device"),
        (["CELLS", "--field-of-view", "1"], "1"),
        (["CELLS", "--field-of-view", "nan"], "nan"),
        (["CELLS", "--new-class", "a b"], "1 to 16 letters"),
        (["CELLS", "--new-class", "=Name"], "1 to 16 letters"),
        (["CELLS", "--new-class", "own=Own=nowhere"], "'nowhere' is no lineage"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    invoke, tmp_path, tiny_checkpoint, cells, arguments, words, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    given = tmp_path / "given"
    codes = sorted(p.name for p in cells.iterdir())
    pictures = sorted((cells / codes[0]).iterdir())
    for name, folders in {
        "EMPTY": {},
        "ONE": {codes[0]: pictures},
        "UNKNOWN": {codes[0]: pictures, "Blasts": pictures},
        "BROKEN": {codes[0]: pictures[:1], codes[1]: [b"no picture"]},
    }.items():
        for code, files in folders.items():
            (given / name / code).mkdir(parents=True)
            for file in files:
                raw = file if isinstance(file, bytes) else file.read_bytes()
                place = "none.png" if isinstance(file, bytes) else file.name
                (given / name / code / place).write_bytes(raw)
        (given / name).mkdir(parents=True, exist_ok=True)
    line = [cells if a == "CELLS" else a for a in arguments]
    line = [given / a if a.isupper() else a for a in map(str, line)]
    if "--checkpoint" not in line:
        line += ["--checkpoint", tiny_checkpoint]
    result = invoke("teach", *line, "--out", tmp_path / "labs" / "lab")
    assert result.exit_code == 2
    assert words in result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["given"]


def test_a_folder_of_something_else_is_left_alone(invoke, cells, line, tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "thesis.docx").write_text("years", encoding="utf-8")
    result = invoke("teach", cells, *line)
    assert result.exit_code == 2
    assert "thesis.docx, which is no part of a checkpoint" in result.output
    assert [p.name for p in tmp_path.iterdir()] == ["lab"]
    assert [p.name for p in (tmp_path / "lab").iterdir()] == ["thesis.docx"]


def test_a_file_in_the_place_of_the_folder_is_told(invoke, cells, line, tmp_path):
    (tmp_path / "file").write_text("a file", encoding="utf-8")
    for out in (tmp_path / "file", tmp_path / "file" / "lab"):
        result = invoke("teach", cells, *line[:-1], out)
        assert result.exit_code == 2
        assert result.output.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_nothing_to_teach_is_a_matter_of_usage(invoke):
    result = invoke("teach")
    assert result.exit_code == 2
    assert "taught" in result.output.lower()


def test_help_needs_no_torch():
    code = (
        "import sys; from typer.testing import CliRunner;"
        "from napari_cytodino.cli import app;"
        "assert CliRunner().invoke(app, ['teach', '--help']).exit_code == 0;"
        "assert not {'torch', 'transformers', 'napari'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
