"""The command line: results where it says; else one sentence and exit code 2."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_cytodino import __version__
from napari_cytodino.cli import app
from napari_cytodino.core.synthetic import synthetic_smear

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "smear.png"
    smear = synthetic_smear((700, 900), 5, seed=1)
    Image.fromarray(smear.image).save(path)
    np.save(path.with_suffix(".npy"), smear.labels)
    return path


def invoke(*arguments):
    result = RUNNER.invoke(app, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_classify_writes_what_it_says(tmp_path, picture, tiny_checkpoint):
    out = tmp_path / "out"
    labels = picture.with_suffix(".npy")
    result = invoke(
        "classify", picture, "--labels", labels, "--checkpoint", tiny_checkpoint,
        "--format", "csv,geojson", "--out", out, "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "5 cells in 1 images" in result.output
    assert "research use only" in result.output
    assert "no guarantee: thresholds were set by hand" in result.output
    assert len(pd.read_csv(out / "smear.cells.csv")) == 5
    assert (out / "smear.cells.geojson").exists()
    assert (out / "smear.overlay.png").exists()


def test_crops(tmp_path, picture, tiny_checkpoint):
    out = tmp_path / "out"
    result = invoke(
        "classify", picture, "--crops", "--checkpoint", tiny_checkpoint, "--out", out
    )
    assert result.exit_code == 0, result.output
    assert pd.read_csv(out / "cells.csv")["image"].tolist() == ["smear.png"]


def test_cells_foreign_only_together_break_the_promise(tmp_path):
    # one cell an image: no image alone can tell that it is from elsewhere
    rng = np.random.default_rng(0)
    for i in range(12):
        noise = rng.integers(0, 256, (96, 96, 3)).astype(np.uint8)
        noise[30:66, 30:66] = (90, 30, 130)
        Image.fromarray(noise).save(tmp_path / f"{i:02d}.png")
        labels = np.zeros((96, 96), np.uint8)
        labels[30:66, 30:66] = 1
        np.save(tmp_path / f"{i:02d}.npy", labels)
    given = [
        part for i in range(12) for part in ("--labels", tmp_path / f"{i:02d}.npy")
    ]
    pictures = sorted(tmp_path.glob("*.png"))
    line = ["classify", *pictures, *given, "--checkpoint", "demo", "--device", "cpu"]
    result = invoke(*line, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "NO PROMISE HOLDS HERE: 12 of 12 cells" in result.output
    alone = invoke("classify", pictures[0], "--labels", given[1], *line[-4:],
                   "--out", tmp_path / "one")  # fmt: skip
    assert "Accepted cells: guaranteed" in alone.output


def test_a_smaller_risk_never_accepts_more(tmp_path, picture):
    flagged = []
    for risk in ("0.1", "0.02", "0.001"):
        out = tmp_path / risk
        result = invoke(
            "classify", picture, "--labels", picture.with_suffix(".npy"),
            "--checkpoint", "demo", "--risk", risk, "--out", out, "--device", "cpu",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        assert f"{1 - float(risk):.1%} of accepted" in result.output or (
            f"no guarantee for {1 - float(risk):.1%}" in result.output
        )
        flagged.append((pd.read_csv(out / "smear.cells.csv")["status"] != "auto").sum())
    assert flagged == sorted(flagged)
    assert flagged[-1] == 5


def test_find(tmp_path, picture):
    result = invoke("find", picture, "--out", tmp_path / "found")
    assert result.exit_code == 0, result.output
    import tifffile

    labels = tifffile.imread(tmp_path / "found" / "smear.labels.tif")
    assert labels.shape == (700, 900)
    told = re.match(r"(\d+) cells", result.output)
    assert told
    assert labels.max() == int(told[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["classify", "gone.png"], "no image or folder gone.png"),
        (["classify", "IMAGE", "--format", "xls"], "'xls' names no export format"),
        (["classify", "IMAGE", "--checkpoint", "nonsense"], "nonsense"),
        (["classify", "IMAGE", "--shard", "3/2"], "names no shard"),
        (["classify", "IMAGE", "--device", "cuda9"], "'cuda9' is no device"),
        (["classify", "IMAGE", "--crops", "--points", "p.csv"], "not several"),
        (["classify", "IMAGE", "--labels", "a", "--labels", "b"], "2 label images"),
        (["classify", "IMAGE", "--labels", "gone.npy"], "no label image gone.npy"),
        (["classify", "IMAGE", "--field-of-view", "1"], "1 image pixels"),
        (["classify", "IMAGE", "--risk", "0.01"], "can promise no risk of 0.01"),
        (["classify", "IMAGE", "--checkpoint", "demo", "--risk", "2"], "risk is 2"),
        (["find", "gone.png"], "gone.png"),
        (["open", "gone.png"], "gone.png"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    tmp_path, picture, tiny_checkpoint, arguments, words, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    given = [picture if a == "IMAGE" else a for a in arguments]
    if given[0] != "open":
        given += ["--out", out]
    if given[0] == "classify" and "--checkpoint" not in given:
        given += ["--checkpoint", tiny_checkpoint]
    result = invoke(*given)
    assert result.exit_code == 2
    assert words in result.output
    assert result.output.count("\n") == 1
    assert not out.exists()


def test_one_bad_image_does_not_stop_the_rest(tmp_path, picture, tiny_checkpoint):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    out = tmp_path / "out"
    result = invoke(
        "classify", broken, picture, "--checkpoint", tiny_checkpoint, "--out", out
    )
    assert result.exit_code == 2
    assert "in 1 images" in result.output
    assert f"Left out: {broken}" in result.output
    assert (out / "smear.cells.csv").exists()


def test_version_and_checkpoints():
    assert invoke("--version").output.strip() == f"napari-cytodino {__version__}"
    listed = invoke("checkpoints").output
    assert "demo" in listed
    assert "SYNTHETIC" in listed
    assert "starter" in listed


def test_demo_without_a_display(tmp_path):
    result = invoke("demo", "--headless", "--out", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    told = re.findall(r": +(\S+\.(?:csv|png))", result.output)
    assert len(told) == 3
    assert all(Path(path).exists() for path in told)


def test_help_needs_no_torch():
    code = (
        "import sys; from typer.testing import CliRunner;"
        "from napari_cytodino.cli import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "assert not {'torch', 'transformers', 'napari'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
