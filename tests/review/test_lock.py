"""One writer at a time, and none for ever."""

import os
import signal
import subprocess
import sys

from napari_cytodino.review._lock import SUFFIX, WriterLock

HOLD = """
import sys
from pathlib import Path
from napari_cytodino.review._lock import WriterLock
lock, why = WriterLock.take(Path(sys.argv[1]))
print("held" if lock else why, flush=True)
sys.stdin.read()
"""


def test_a_second_taker_hears_who_holds_it_and_gets_it_after_release(tmp_path):
    path = tmp_path / "a.sqlite"
    first, why = WriterLock.take(path)
    assert why == ""
    second, why = WriterLock.take(path)
    assert second is None
    assert f"process {os.getpid()} on " in why
    first.release()
    third, _ = WriterLock.take(path)
    assert third is not None
    third.release()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_nothing(tmp_path):
    path = tmp_path / "a.sqlite"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        lock, why = WriterLock.take(path)
        assert lock is None
        assert f"process {holder.pid}" in why
        holder.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        holder.wait()
    lock, why = WriterLock.take(path)
    assert lock is not None, why
    lock.release()


def test_a_folder_that_is_missing_is_named(tmp_path):
    lock, why = WriterLock.take(tmp_path / "none" / "a.sqlite")
    assert lock is None
    assert f"{tmp_path / 'none'} cannot be written" in why


def test_a_broken_lock_file_is_named(tmp_path):
    path = tmp_path / "a.sqlite"
    broken = path.with_name(path.name + SUFFIX)
    broken.write_bytes(b"no database" * 100)
    lock, why = WriterLock.take(path)
    assert lock is None
    assert f"{broken} cannot be written" in why
