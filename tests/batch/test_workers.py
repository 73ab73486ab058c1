"""Real processes that are really killed: every call has one result, or a reason."""

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from napari_cytodino.batch import _workers as workers
from napari_cytodino.batch._workers import (
    KILLED,
    Lost,
    connected,
    local_cluster,
    spread,
)
from napari_cytodino.common.errors import InputError
from napari_cytodino.common.threads import cores

pytest.importorskip("distributed", reason="extra 'scale' is not installed")


def make_worker():
    """Return what a worker runs: made here, so that it is sent whole.

    A function of this module would be sent by its name, which a worker cannot import
    where pytest is called as a command.
    """

    def work(kind, place):
        import os
        import signal

        if kind == "killed once" and not place.exists():
            place.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "deadly":
            with place.open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "raises":
            raise ValueError("no such thing")
        return kind, os.environ["OMP_NUM_THREADS"]

    return work


def listening():
    """Return the addresses at which this process and its children listen."""
    import psutil

    me = psutil.Process()
    return [
        connection.laddr.ip
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on Windows")
@pytest.mark.filterwarnings("default::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_killed_worker_costs_no_result(tmp_path):
    import dask
    from dask.utils import parse_timedelta

    kinds = ["a", "killed once", "deadly", "raises", "b", "c", "d"]
    calls = [(kind, tmp_path / kind) for kind in kinds]
    with local_cluster(2, threads=1) as client:
        # none of what it opens can be reached from another machine
        assert set(listening()) == {"127.0.0.1"}
        # dask reads it when a worker is lost, not when the cluster starts
        lost = dask.config.get("distributed.deploy.lost-worker-timeout")
        assert parse_timedelta(lost) >= 300
        found = dict(spread(client, make_worker(), calls))
    assert sorted(found) == list(range(len(kinds)))
    for number, kind in enumerate(kinds):
        if kind == "deadly":
            assert found[number] == Lost(KILLED)
        elif kind == "raises":
            assert found[number].reason.endswith("ValueError: no such thing")
        else:
            assert found[number] == (kind, "1")
    # tried twice among the others and twice alone
    assert (tmp_path / "deadly").read_text() == "xxxx"


@pytest.mark.parametrize("fault", [AssertionError("no process"), TimeoutError("30 s")])
def test_a_worker_that_cannot_be_ended_costs_no_result(monkeypatch, caplog, fault):
    class Cluster:
        def close(self):
            raise fault

    class Client:
        def __init__(self, cluster, set_as_default):
            assert isinstance(cluster, Cluster)

        def close(self):
            pass

    stand_in = SimpleNamespace(LocalCluster=lambda **_: Cluster(), Client=Client)
    monkeypatch.setattr(workers, "_distributed", lambda: stand_in)
    with local_cluster(2) as client:
        assert isinstance(client, Client)
    assert str(fault) in caplog.text


@pytest.mark.filterwarnings("default::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_workers_or_scheduler_nothing_hangs(tmp_path, monkeypatch):
    import dask

    monkeypatch.setattr("napari_cytodino.batch._workers._LOOK", 0.1)
    file = tmp_path / "scheduler.json"
    line = "-m dask scheduler --host 127.0.0.1 --port 0 --dashboard-address 127.0.0.1:0"
    server = subprocess.Popen(
        [sys.executable, *line.split(), "--scheduler-file", str(file)],
        stderr=subprocess.DEVNULL,
    )
    try:
        while not file.exists():
            assert server.poll() is None
            time.sleep(0.1)
        quick = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
        with quick, connected(str(file)) as client:
            start = time.monotonic()
            lonely = dict(spread(client, abs, [(1,), (2,)], patience=0.5))
            assert time.monotonic() - start >= 0.5
            assert all("no worker was connected" in lonely[n].reason for n in (0, 1))
            threading.Timer(0.5, server.kill).start()
            left = dict(spread(client, abs, [(1,), (2,)]))
            assert all("went away" in left[n].reason for n in (0, 1))
    finally:
        server.kill()
        server.wait()


def test_nobody_answers(tmp_path):
    with pytest.raises(InputError, match="No dask scheduler answers at 'nonsense"):
        connected("nonsense://x").__enter__()
    file = tmp_path / "scheduler.json"
    for content in ("{}", "[]", "{", '{"address": 5}', '{"address": "nonsense://x"}'):
        file.write_text(content)
        with pytest.raises(InputError, match=r"No dask .*scheduler\.json"):
            connected(str(file)).__enter__()


def test_cores_are_those_we_may_use():
    assert 1 <= cores() <= (os.cpu_count() or 1)
