"""Threads: order kept, progress told, nothing goes on after an interrupt."""

from __future__ import annotations

import threading
import time

import pytest

from napari_cytodino.common.threads import AHEAD, in_threads


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.02 if n == 0 else 0)
        return n * n

    items = range(2 * AHEAD + 3)
    assert list(in_threads(slow_first, items)) == [n * n for n in items]


def test_progress_counts_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    list(in_threads(str, [5, 6, 7], lambda done, total: told.append((done, total))))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_fault_reaches_the_caller() -> None:
    def fails(n: int) -> int:
        return 1 // n

    with pytest.raises(ZeroDivisionError):
        list(in_threads(fails, [1, 0]))


def test_an_interrupt_ends_the_work() -> None:
    done, lock = [], threading.Lock()

    def work(n: int) -> int:
        with lock:
            done.append(n)
        return n

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        list(in_threads(work, range(100 * AHEAD), interrupt))
    assert len(done) <= AHEAD
    assert set(threading.enumerate()) <= before
