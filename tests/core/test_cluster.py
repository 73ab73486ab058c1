"""Workers give what one process gives; a fault is told and stops nothing."""

import pandas as pd
import pytest
from PIL import Image

from napari_cytodino.core.batch import ImageTask
from napari_cytodino.core.cluster import Run, process, process_all
from napari_cytodino.core.errors import InputError
from napari_cytodino.core.inference import Job
from napari_cytodino.core.synthetic import synthetic_smear


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for seed in range(3):
        smear = synthetic_smear((500, 600), 3, seed=seed)
        Image.fromarray(smear.image).save(folder / f"smear{seed}.png")
    (folder / "poison.png").write_bytes(b"no picture")
    return [ImageTask(path) for path in sorted(folder.iterdir())]


def results(out):
    return {p.name: pd.read_csv(p) for p in sorted(out.glob("*.cells.csv"))}


@pytest.mark.filterwarnings("default::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_workers_equal_one_process(tmp_path, tasks, tiny_checkpoint):
    pytest.importorskip("distributed", reason="extra 'scale' is not installed")
    job = Job(device="cpu")
    serial = Run(str(tiny_checkpoint), tmp_path / "serial", job)
    parallel = Run(str(tiny_checkpoint), tmp_path / "parallel", job)
    one = sorted(process_all(tasks, serial), key=lambda o: o.image)
    two = sorted(process_all(tasks, parallel, workers=2), key=lambda o: o.image)
    assert one == two
    assert [bool(o.error) for o in one] == [True, False, False, False]
    assert "poison.png" in one[0].error
    first, second = results(serial.out), results(parallel.out)
    assert list(first) == list(second)
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name], atol=1e-4)


def test_a_fault_is_an_outcome(tmp_path, tasks):
    outcome = process(tasks[0], "x", Run("nonsense", tmp_path, Job(device="cpu")))
    assert "nonsense" in outcome.error
    assert outcome.cells == 0


def test_one_way_of_working_at_a_time(tmp_path):
    run = Run("demo", tmp_path, Job())
    with pytest.raises(InputError, match="not both"):
        list(process_all([], run, workers=1, scheduler="tcp://127.0.0.1:1"))


def test_nobody_answers(tmp_path):
    pytest.importorskip("distributed", reason="extra 'scale' is not installed")
    run = Run("demo", tmp_path, Job())
    with pytest.raises(InputError, match="No dask scheduler answers"):
        list(process_all([], run, scheduler="nonsense://x"))
