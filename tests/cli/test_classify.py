"""The cells of images: results where it says; else one sentence and exit code 2."""

import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_cytodino.batch.record import digest
from napari_cytodino.synthetic.smear import synthetic_smear


def test_classify_writes_what_it_says(invoke, tmp_path, picture, tiny_checkpoint):
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


def test_crops(invoke, tmp_path, picture, tiny_checkpoint):
    out = tmp_path / "out"
    result = invoke(
        "classify", picture, "--crops", "--checkpoint", tiny_checkpoint, "--out", out
    )
    assert result.exit_code == 0, result.output
    assert pd.read_csv(out / "cells.csv")["image"].tolist() == ["smear.png"]


def test_cells_foreign_only_together_break_the_promise(invoke, tmp_path):
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
    listed = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert (listed["unfamiliar"] == 1).all()
    assert listed["promise"].str.startswith("NO PROMISE HOLDS HERE").all()
    alone = invoke("classify", pictures[0], "--labels", given[1], *line[-4:],
                   "--out", tmp_path / "one")  # fmt: skip
    assert "No cell was accepted, so nothing is promised" in alone.output


def test_a_smaller_risk_never_accepts_more(invoke, tmp_path, picture):
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["classify", "gone.png"], "no image or folder gone.png"),
        (["classify", "IMAGE", "--format", "xls"], "'xls' names no export format"),
        (["classify", "IMAGE", "--checkpoint", "nonsense"], "nonsense"),
        (["classify", "IMAGE", "--shard", "3/2"], "names no shard"),
        (["classify", "IMAGE", "--device", "cuda9"], "'cuda9' is no device"),
        (["classify", "IMAGE", "--crops", "--points", "p.csv"], "not several"),
        (["classify", "IMAGE", "--crops", "--workers", "2"], "leave out --workers"),
        (["classify", "IMAGE", "--crops", "--scheduler", "x"], "leave out --workers"),
        (["classify", "IMAGE", "--labels", "a", "--labels", "b"], "2 label images"),
        (["classify", "IMAGE", "--labels", "gone.npy"], "no label image gone.npy"),
        (["classify", "IMAGE", "--field-of-view", "1"], "1 image pixels"),
        (["classify", "IMAGE", "--risk", "0.01"], "can promise no risk of 0.01"),
        (["classify", "IMAGE", "--checkpoint", "demo", "--risk", "2"], "risk is 2"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    invoke, tmp_path, picture, tiny_checkpoint, arguments, words, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    given = [picture if a == "IMAGE" else a for a in arguments]
    if "--checkpoint" not in given:
        given += ["--checkpoint", tiny_checkpoint]
    result = invoke(*given, "--out", out)
    assert result.exit_code == 2
    assert words in result.output
    assert result.output.count("\n") == 1
    assert not out.exists()


def test_one_bad_image_does_not_stop_the_rest(
    invoke, tmp_path, picture, tiny_checkpoint
):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    out = tmp_path / "out"
    result = invoke(
        "classify", broken, picture, "--checkpoint", tiny_checkpoint, "--out", out
    )
    assert result.exit_code == 2
    assert "in 1 images" in result.output
    assert f"Left out: {broken}" in result.output
    assert "Accepted cells: " in result.output
    assert (out / "smear.cells.csv").exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make six small images and a file that is none."""
    folder = tmp_path_factory.mktemp("many")
    for seed in range(6):
        smear = synthetic_smear((500, 600), 3, seed=seed)
        Image.fromarray(smear.image).save(folder / f"smear{seed}.png")
    (folder / "damaged.tif").write_bytes(b"II*\0" + b"\xff" * 60)
    return folder


def line_for(folder, out, checkpoint, *more):
    fixed = ["--threads", "1", "--batch-size", "4", "--device", "cpu"]
    return ["classify", str(folder), "--checkpoint", str(checkpoint), *fixed,
            "--out", str(out), *more]  # fmt: skip


@pytest.fixture
def whole(invoke, tmp_path, folder, tiny_checkpoint, monkeypatch):
    """Return the folder and the words of a run that nothing disturbed."""
    import torch

    threads = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = invoke(*line_for(folder, tmp_path / "whole", tiny_checkpoint))
    yield tmp_path / "whole", done
    torch.set_num_threads(threads)


def told_digest(text):
    return re.search(r"Digest of the results: ([0-9a-f]{64})", text)[1]


def test_a_run_is_told_and_the_next_one_skips(invoke, whole, folder, tiny_checkpoint):
    out, first = whole
    assert first.exit_code == 2
    assert "in 6 images" in first.output
    assert "0 were done before" in first.output
    [failed] = pd.read_csv(out / "failed.csv").to_dict("records")
    assert failed["image"] == str(folder / "damaged.tif")
    assert f"Left out: {failed['image']}: {failed['reason']}" in first.output
    assert told_digest(first.output) == digest(out, anew=True)
    (out / "smear3.cells.csv").write_text("edited")
    # the folder of results lies among the images, but its pictures are none
    line = line_for(folder, out, tiny_checkpoint)
    again = invoke(*line, str(out.parent))
    assert "5 were done before" in again.output
    assert told_digest(again.output) == told_digest(first.output)
    patterns = [str(folder / "**" / "*.png"), str(folder / "smear[0-2].*")]
    line[1:2] = patterns
    done = invoke(*line)
    assert done.exit_code == 0, done.output
    assert "6 were done before" in done.output
    assert not (out / "failed.csv").exists()
    assert "0 were done before" in invoke(*line, "--again").output


def test_shards_make_the_whole(invoke, whole, tmp_path, folder, tiny_checkpoint):
    for part in ("1/2", "2/2"):
        line = line_for(folder, tmp_path / "parts", tiny_checkpoint, "--shard", part)
        last = invoke(*line)
    assert told_digest(last.output) == told_digest(whole[1].output)
    assert len(list((tmp_path / "parts").glob("failed-*-of-2.csv"))) <= 1


def test_shards_of_crops_each_keep_their_table(
    invoke, tmp_path, folder, tiny_checkpoint
):
    line = line_for(folder, tmp_path, tiny_checkpoint, "--crops", "--shard")
    words = [invoke(*line, f"{i}/9").output for i in range(1, 10)]
    tables = sorted(tmp_path.glob("cells-*-of-9.csv"))
    images = [name for path in tables for name in pd.read_csv(path)["image"]]
    assert sorted(images) == sorted(path.name for path in folder.iterdir())
    told = [path for path in tables if any(f"Table: {path}\n" in w for w in words)]
    assert told == tables
    assert sum("No cell is in part" in w for w in words) == 9 - len(tables) > 0
    for path in tables:
        rows = pd.read_csv(path.with_suffix(".differential.csv"))
        assert rows["count"].sum() == pd.read_csv(path)["final_class"].count()
        number = path.stem.split("-")[1]
        assert "done before" in invoke(*line, f"{number}/9").output


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on Windows")
def test_workers_and_driver_killed_change_no_result(
    invoke, whole, tmp_path, folder, tiny_checkpoint
):
    pytest.importorskip("distributed", reason="extra 'scale' is not installed")
    import psutil

    out = tmp_path / "killed"
    line = line_for(folder, out, tiny_checkpoint, "--workers", "2")
    code = "from napari_cytodino.cli import app; app()"
    line = [sys.executable, "-c", code, *line]

    def wait_for(records):
        while len(list(out.glob("*.done.json"))) < records:
            assert driver.poll() is None
            time.sleep(0.02)

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    driver = subprocess.Popen(line, **quiet)
    try:
        family = psutil.Process(driver.pid)
        wait_for(1)
        for child in family.children(recursive=True):
            if any("spawn_main" in part for part in child.cmdline()):
                child.kill()
        wait_for(3)
        children = family.children(recursive=True)
    finally:
        driver.kill()
        driver.wait()
    # no process goes on without its driver
    assert psutil.wait_procs(children, timeout=20)[1] == []
    assert len(list(out.glob("*.done.json"))) < 6
    # what workers began, one process may end; benchmarks/batch.py ends it with workers
    done = invoke(*line_for(folder, out, tiny_checkpoint))
    assert done.exit_code == 2
    assert int(re.search(r"(\d+) were done before", done.output)[1]) >= 3
    assert told_digest(done.output) == told_digest(whole[1].output)
    assert digest(out, anew=True) == told_digest(done.output)
    assert pd.read_csv(out / "failed.csv")["image"].tolist() == [
        str(folder / "damaged.tif")
    ]


@pytest.mark.parametrize("side", ["-3", "nan", "1e9"])
def test_a_field_of_view_that_cannot_be_is_told_before_any_work(
    invoke, tmp_path, picture, tiny_checkpoint, side
):
    result = invoke(
        "classify", picture, "--checkpoint", tiny_checkpoint, "--field-of-view", side,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "out of 8 to 4096" in result.output
    assert not (tmp_path / "out").exists()
