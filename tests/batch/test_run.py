"""What one process gives, workers give; what is killed or fails is done anew."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import tifffile
from PIL import Image

from napari_cytodino.batch import images
from napari_cytodino.batch import run as cluster
from napari_cytodino.batch.inputs import ImageTask
from napari_cytodino.batch.record import digest
from napari_cytodino.batch.run import (
    BatchRun,
    classifier_for,
    classify_recorded,
    open_checkpoint,
    process_all,
    process_all_crops,
    reason,
)
from napari_cytodino.common.errors import (
    CheckpointError,
    CytoDinoError,
    InputError,
    StoppedError,
)
from napari_cytodino.inference.classification import ClassifyOptions
from napari_cytodino.synthetic.smear import synthetic_smear

JOB = ClassifyOptions(device="cpu", batch_size=4)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for seed in range(3):
        smear = synthetic_smear((500, 600), 3, seed=seed)
        Image.fromarray(smear.image).save(folder / f"smear{seed}.png")
    (folder / "poison.png").write_bytes(b"no picture")
    return [ImageTask(path) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def serial(tmp_path_factory, tasks, tiny_checkpoint, one_thread):
    """Return a run that nothing disturbed, with what came of each image."""
    out = tmp_path_factory.mktemp("serial")
    run = BatchRun(str(tiny_checkpoint), out, JOB, threads=1)
    return run, list(process_all(tasks, run))


def failures(out):
    return pd.read_csv(out / "failed.csv") if (out / "failed.csv").exists() else None


@pytest.mark.filterwarnings("default::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_workers_equal_one_process(tmp_path, tasks, serial):
    pytest.importorskip("distributed", reason="extra 'scale' is not installed")
    run, one = serial
    parallel = replace(run, out=tmp_path)
    two = sorted(process_all(tasks, parallel, workers=2), key=lambda o: o.image)
    assert one == two
    assert [bool(o.error) for o in one] == [True, False, False, False]
    assert "poison.png" in one[0].error
    for out in (run.out, tmp_path):
        [listed] = failures(out).to_dict("records")
        assert listed == {"image": str(tasks[0].image), "reason": one[0].error}
        listed = pd.read_csv(out / "summary.csv", keep_default_na=False)
        assert listed["image"].tolist() == [str(task.image) for task in tasks]
        assert listed["cells"].tolist() == [o.cells for o in one]
        assert listed["reason"].tolist() == [o.error for o in one]
        assert set(listed["promise"]) == {
            "Accepted cells: no guarantee: thresholds were set by hand"
        }
    assert digest(tmp_path, anew=True) == digest(run.out, anew=True) == digest(run.out)
    again = list(process_all(tasks, parallel))
    assert [o.skipped for o in again] == [False, True, True, True]
    assert [replace(o, skipped=False) for o in again] == one


def test_what_is_sent_means_the_same_in_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    task = ImageTask(Path("a.png"), points=Path("b/p.csv"))
    sent = cluster._absolute(task)
    assert sent == ImageTask(tmp_path / "a.png", points=tmp_path / "b" / "p.csv")


def test_only_what_is_not_done_is_done(tmp_path, tasks, serial):
    run, one = serial
    run = replace(run, out=tmp_path)
    whole = list(process_all(tasks[1:], run))
    assert failures(tmp_path) is None
    first = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert all(o.skipped for o in process_all(tasks[1:], run))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == first
    torn = tmp_path / "smear1.cells.csv"
    torn.write_bytes(torn.read_bytes()[:-9])
    (tmp_path / "smear2.overlay.png").unlink()
    again = list(process_all(tasks[1:], run))
    assert [o.skipped for o in again] == [True, False, False]
    assert [replace(o, skipped=False) for o in again] == whole == one[1:]
    assert digest(tmp_path, anew=True) == digest(run.out)
    assert torn.read_bytes() == first[torn.name]
    assert not any(o.skipped for o in process_all(tasks[1:], replace(run, again=True)))


@pytest.mark.parametrize(
    "change",
    [
        {"job": replace(JOB, field_of_view=90.0)},
        {"formats": ("geojson",)},
        {"job": replace(JOB, dtype="bfloat16")},
        {"checkpoint": "demo"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_request_is_done_anew(tmp_path, tasks, serial, change):
    run = replace(serial[0], out=tmp_path)
    classify_recorded(tasks[1], "s", run)
    before = digest(tmp_path)
    other = replace(run, **change)
    outcome = classify_recorded(tasks[1], "s", other)
    assert not outcome.error
    assert not outcome.skipped
    assert digest(tmp_path) != before
    assert classify_recorded(tasks[1], "s", other).skipped
    # a table of the earlier request does not stay beside the new one
    assert (tmp_path / "s.cells.csv").exists() == ("csv" in other.formats)


def test_labels_are_part_of_the_request(tmp_path, tasks, serial):
    run = replace(serial[0], out=tmp_path / "out")
    labels = tmp_path / "labels.tif"
    smear = synthetic_smear((500, 600), 3, seed=0)
    tifffile.imwrite(labels, smear.labels)
    task = replace(tasks[1], labels=labels)
    assert classify_recorded(task, "s", run).cells == 3
    assert classify_recorded(task, "s", run).skipped
    tifffile.imwrite(labels, (smear.labels == 1).astype("u2"))
    assert classify_recorded(task, "s", run).cells == 1
    tifffile.imwrite(labels, 0 * smear.labels)
    assert "holds no cell" in classify_recorded(task, "s", run).error
    labels.unlink()
    assert "no label image" in classify_recorded(task, "s", run).error


def test_an_image_without_cells_is_done_too(tmp_path, serial):
    blank = tmp_path / "blank.png"
    Image.new("RGB", (200, 200), "white").save(blank)
    run = replace(serial[0], out=tmp_path / "out")
    assert classify_recorded(ImageTask(blank), "blank", run).cells == 0
    assert [p.name for p in run.out.iterdir()] == ["blank.done.json"]
    assert classify_recorded(ImageTask(blank), "blank", run).skipped


def test_crops_have_one_record(tmp_path, tasks, serial):
    run = replace(serial[0], out=tmp_path)
    files = [task.image for task in tasks]
    first = process_all_crops(files, run)
    assert (first.cells, first.skipped) == (4, False)
    assert process_all_crops(files, run) == replace(first, skipped=True)
    before = digest(tmp_path)
    (tmp_path / "cells.provenance.json").write_text("{}")
    assert not process_all_crops(files, run).skipped
    assert digest(tmp_path, anew=True) == before
    assert process_all_crops(files[1:], run).cells == 3


KILL = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from napari_cytodino.common import files
from napari_cytodino.batch.inputs import ImageTask
from napari_cytodino.batch.run import BatchRun, classifier_for, classify_recorded
from napari_cytodino.inference.classification import ClassifyOptions

checkpoint, image, out = sys.argv[1:]
classifier_for(checkpoint, "cpu", 4)
for number in range(10):
    pid = os.fork()
    if not pid:
        left = [number]
        stock = os.fsync
        def deadly(handle):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            stock(handle)
        os.fsync = deadly
        job = ClassifyOptions(device="cpu", batch_size=4)
        run = BatchRun(checkpoint, Path(out) / str(number), job)
        outcome = classify_recorded(ImageTask(Path(image)), "s", run)
        os._exit(bool(outcome.error))
    code = os.waitpid(pid, 0)[1]
    if not code:
        break
    assert os.WTERMSIG(code) == signal.SIGKILL, code
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on Windows")
def test_a_kill_between_any_two_files_leaves_nothing_that_counts(
    tmp_path, tasks, serial
):
    run = serial[0]
    line = [sys.executable, "-c", KILL, run.checkpoint, tasks[1].image, tmp_path]
    done = subprocess.run(
        [str(part) for part in line], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    wanted = replace(run, out=tmp_path / "wanted")
    classify_recorded(tasks[1], "s", wanted)
    killed = sorted(path for path in tmp_path.iterdir() if path.name.isdecimal())
    # table, provenance, differential, picture, record; the last one was not killed
    assert [path.name for path in killed] == list("012345")
    for path in killed[:-1]:
        assert not (path / "s.done.json").exists()
        outcome = classify_recorded(tasks[1], "s", replace(run, out=path))
        assert (outcome.error, outcome.skipped) == ("", False)
        assert digest(path, anew=True) == digest(wanted.out)
    assert classify_recorded(tasks[1], "s", replace(run, out=killed[-1])).skipped


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit to set there")
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, tasks, serial):
    import resource

    run = replace(serial[0], out=tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system refuses to write further than this, as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        found = list(process_all(tasks[1:], run))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert all("cannot be written" in outcome.error for outcome in found)
    assert list(tmp_path.iterdir()) == []
    assert not any(outcome.error for outcome in process_all(tasks[1:], run))
    assert digest(tmp_path, anew=True) == digest(tmp_path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("3 GiB"), "memory ran out (3 GiB); "),
        (OSError(28, "No space left"), "the system refused: [Errno 28] No space left;"),
        (ZeroDivisionError("a\nb"), "unexpected ZeroDivisionError: a b;"),
        (InputError("as it is"), "as it is"),
    ],
)
def test_a_reason_is_one_line(error, words):
    assert reason(error).startswith(words)
    assert "\n" not in reason(error)


def test_whatever_one_image_raises_the_others_are_done(
    tmp_path, tasks, serial, monkeypatch
):
    stock = images.process_image
    errors = {"smear0.png": MemoryError("3 GiB"), "smear2.png": RecursionError("deep")}

    def faulty(task, *given, **options):
        if task.image.name in errors:
            raise errors[task.image.name]
        return stock(task, *given, **options)

    monkeypatch.setattr(cluster, "process_image", faulty)
    found = list(process_all(tasks[1:], replace(serial[0], out=tmp_path)))
    assert [bool(outcome.error) for outcome in found] == [True, False, True]
    told = [reason(error) for error in errors.values()]
    assert failures(tmp_path)["reason"].tolist() == told


def test_an_image_that_changes_meanwhile_is_not_done(
    tmp_path, tasks, serial, monkeypatch
):
    image = tmp_path / "a.png"
    image.write_bytes(tasks[1].image.read_bytes())
    stock = images.process_image

    def slow(task, *given, **options):
        table = stock(task, *given, **options)
        image.write_bytes(tasks[2].image.read_bytes())
        return table

    monkeypatch.setattr(cluster, "process_image", slow)
    run = replace(serial[0], out=tmp_path / "out")
    assert "changed while it was" in classify_recorded(ImageTask(image), "a", run).error
    assert not (run.out / "a.done.json").exists()
    monkeypatch.undo()
    assert not classify_recorded(ImageTask(image), "a", run).error


def test_one_model_a_process_and_no_other_than_asked(tiny_checkpoint):
    name = str(tiny_checkpoint)
    first = classifier_for(name, "cpu", 4)
    sha256 = first.checkpoint.sha256
    assert classifier_for(name, "cpu", 4, "auto", sha256) is first
    with pytest.raises(CheckpointError, match="000000000000 where the run was started"):
        classifier_for(name, "cpu", 4, "auto", "0" * 64)
    assert classifier_for(name, "cpu", 5) is not first


def test_a_run_is_checked_before_it_starts(tmp_path, tiny_checkpoint):
    run = BatchRun(str(tiny_checkpoint), tmp_path, ClassifyOptions(device="cuda"))
    known = open_checkpoint(run, elsewhere=True)
    assert known.name == tiny_checkpoint.name
    for job, words in (
        (ClassifyOptions(device="cuda9"), "'cuda9'"),
        (ClassifyOptions(dtype="int1"), "'int1'"),
        (ClassifyOptions(risk=0.01), "0.01"),
    ):
        with pytest.raises(InputError, match=words):
            open_checkpoint(replace(run, job=job), elsewhere=True)
    with pytest.raises(CytoDinoError, match="nonsense"):
        open_checkpoint(replace(run, checkpoint="nonsense"))
    assert "nonsense" in classify_recorded(
        ImageTask(tmp_path / "a.png"), "a", replace(run, checkpoint="nonsense")
    ).error  # fmt: skip


def test_one_way_of_working_at_a_time(tmp_path):
    run = BatchRun("demo", tmp_path, ClassifyOptions())
    with pytest.raises(InputError, match="not both"):
        list(process_all([], run, workers=1, scheduler="tcp://127.0.0.1:1"))
    with pytest.raises(InputError, match="No dask scheduler answers"):
        list(process_all([], run, scheduler="nonsense://x"))


@pytest.mark.parametrize("how", ["closed", "stopped", "refused", "no file"])
def test_a_run_that_is_stopped_lists_its_own_failures(tmp_path, tasks, serial, how):
    run = replace(serial[0], out=tmp_path)
    old = b"image,reason\nanother.png,of an earlier run\n"
    (tmp_path / "failed.csv").write_bytes(old)
    if how == "refused":
        with pytest.raises(InputError, match="No dask scheduler"):
            list(process_all(tasks, run, scheduler="nonsense://x"))
        assert (tmp_path / "failed.csv").read_bytes() == old
        return
    if how == "no file":
        (tmp_path / "failed.csv").unlink()
        (tmp_path / "failed.csv").mkdir()

    def stop(done, total):
        raise StoppedError

    outcomes = process_all(tasks, run, progress=stop)
    assert next(outcomes).image == tasks[0].image
    if how == "stopped":
        with pytest.raises(StoppedError):
            next(outcomes)
    else:
        outcomes.close()
    if how != "no file":
        assert failures(tmp_path)["image"].tolist() == [str(tasks[0].image)]
        outcomes = process_all(tasks[1:], run)
        next(outcomes)
        outcomes.close()
        assert failures(tmp_path) is None


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on Windows")
def test_a_part_of_a_job_array_lists_its_own_failures(tmp_path, tasks, serial):
    run = replace(serial[0], out=tmp_path, part="1-of-2")
    list(process_all([tasks[0], tasks[1]], run))
    assert (tmp_path / "failed-1-of-2.csv").exists()
    assert failures(tmp_path) is None


def test_the_list_promises_what_holds_for_the_number_type(tmp_path, serial):
    """The checkpoint has thresholds for float32 alone."""
    run, _ = serial
    run = replace(run, out=tmp_path, job=replace(run.job, dtype="bfloat16"))
    cluster._list([cluster.ImageResult(Path("a.png"), 9, 9)], run, elsewhere=False)
    [listed] = pd.read_csv(tmp_path / "summary.csv")["promise"]
    assert "uncalibrated, every cell goes to review" in listed
