"""SIGTERM in a real process: held back until a step has ended, never lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
import torch

from napari_cytodino.training.runs.preemption import (
    CODE,
    on_any_rank,
    sigterm_ends,
    sigterm_waits,
)

if TYPE_CHECKING:
    from pathlib import Path


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_code_is_that_of_a_shell() -> None:
    ended = subprocess.run(["sh", "-c", "sh -c 'kill -TERM $$'; echo $?"], stdout=-1)
    assert int(ended.stdout) == CODE == 143


def test_outside_of_steps_it_ends_the_block_as_an_error_would() -> None:
    before = signal.getsignal(signal.SIGTERM)
    rests = ["a folder"]

    def work() -> None:
        with sigterm_ends():
            try:
                terminate()
                time.sleep(10)
            finally:
                rests.clear()

    with pytest.raises(SystemExit) as caught:
        work()
    assert (rests, caught.value.code) == ([], CODE)
    assert signal.getsignal(signal.SIGTERM) is before


def test_within_steps_it_waits_until_it_is_asked_for() -> None:
    done = []

    def work() -> None:
        with sigterm_ends(), sigterm_waits() as asked:
            assert not asked()
            terminate()
            done.append("the step goes on")
            assert asked()
            assert asked(), "it is not forgotten"
            raise SystemExit(CODE)

    with pytest.raises(SystemExit) as caught:
        work()
    assert (done, caught.value.code) == (["the step goes on"], CODE)


def test_what_was_not_asked_for_in_time_still_ends_the_process() -> None:
    with pytest.raises(SystemExit) as caught, sigterm_waits():
        terminate()
    assert caught.value.code == CODE
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_thread_that_was_there_before_may_hear_it_too() -> None:
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait)
    thread.start()

    def work() -> None:
        with sigterm_waits() as asked:
            terminate()
            while not asked():
                time.sleep(0.001)

    try:
        with pytest.raises(SystemExit):
            work()
    finally:
        ends.set()
        thread.join()


def test_a_process_that_is_started_within_does_not_hear_it(tmp_path: Path) -> None:
    code = "import os; os.kill(os.getpid(), 15); print('lives')"
    with sigterm_waits():
        child = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert child.stdout.strip() == b"lives"


def test_another_thread_trains_without_listening() -> None:
    before, found = signal.getsignal(signal.SIGTERM), []

    def train() -> None:
        with sigterm_ends(), sigterm_waits() as asked:
            found.append((asked(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [(False, before)]


def test_one_process_asks_itself() -> None:
    device = torch.device("cpu")
    assert on_any_rank(True, device)
    assert not on_any_rank(False, device)
