"""Ahead by as much as was said, in order, and nothing is left behind."""

import gc
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.inference._prefetch import prefetch


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def soon(condition):
    """Return whether it comes true within five seconds."""
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    return condition()


class Counter:
    """Counts what was asked of it, and whether it was closed."""

    def __init__(self, end=10**6, fails_at=None):
        self.made, self.closed, self.threads = 0, False, set()
        self.end, self.fails_at = end, fails_at

    def items(self):
        try:
            for i in range(self.end):
                if i == self.fails_at:
                    raise OSError(f"disk gone at {i}")
                self.threads.add(threading.current_thread().name)
                self.made = i + 1
                yield i
        finally:
            self.closed = True


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers()), st.integers(1, 5))
def test_order_and_content_are_kept(items, depth):
    assert list(prefetch(items, depth)) == items


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_never_further_ahead_than_depth(depth):
    counter = Counter()
    ahead = prefetch(counter.items(), depth)
    for i in range(4):
        assert next(ahead) == i
        assert soon(lambda i=i: counter.made == i + 1 + depth)
        time.sleep(0.01)
        assert counter.made == i + 1 + depth
    ahead.close()
    assert counter.threads == {"prefetch"}


def test_the_next_is_made_while_this_one_is_worked_on():
    started = threading.Event()

    def items():
        yield 0
        started.set()
        yield 1

    ahead = prefetch(items())
    assert next(ahead) == 0
    assert started.wait(5)
    assert list(ahead) == [1]


def test_a_failure_comes_at_its_place_and_ends_it():
    counter = Counter(fails_at=3)
    ahead = prefetch(counter.items(), 5)
    assert next(ahead) == 0
    assert soon(lambda: counter.closed)  # it failed before 1 was asked for
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(OSError, match="disk gone at 3") as caught:
        next(ahead)
    assert "items" in [entry.name for entry in caught.traceback]
    assert list(ahead) == []


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_no_failure_leaves_the_consumer_waiting(error):
    def items():
        raise error("told")
        yield

    with pytest.raises(error, match="told"):
        list(prefetch(items()))


def test_what_cannot_be_iterated_is_told():
    with pytest.raises(TypeError, match="not iterable"):
        list(prefetch(3))


@pytest.mark.parametrize("how", ["close", "collect", "raise", "cycle"])
def test_abandoned_it_ends_and_closes_its_source(how):
    counter = Counter()
    ahead = prefetch(counter.items())
    assert next(ahead) == 0
    if how == "close":
        ahead.close()
    elif how == "raise":
        with pytest.raises(ZeroDivisionError):
            ahead.throw(ZeroDivisionError())
    elif how == "cycle":
        knot = [ahead]
        knot.append(knot)
        del knot
    del ahead
    gc.collect()
    assert counter.closed
    assert counter.made <= 3


def test_a_source_that_waits_holds_the_end_up_no_longer_than_its_wait():
    let_go = threading.Event()

    def items():
        yield 0
        let_go.wait(30)
        yield 1
        raise AssertionError("asked again after the end")

    ahead = prefetch(items())
    assert next(ahead) == 0
    threading.Timer(0.05, let_go.set).start()
    ahead.close()
    assert let_go.is_set()


def test_never_started_it_asks_for_nothing():
    counter = Counter()
    prefetch(counter.items()).close()
    assert counter.made == 0


def test_items_are_not_kept_after_they_were_handed_out():
    class Item:
        alive = 0

        def __init__(self):
            Item.alive += 1

        def __del__(self):
            Item.alive -= 1

    for item in prefetch((Item() for _ in range(20)), 2):
        del item
        # Two prepared ahead and one on its way.
        assert Item.alive <= 3


def test_depth_is_checked_before_anything_runs():
    with pytest.raises(InputError, match="depth of 0"):
        prefetch([], 0)


def test_one_left_in_a_global_does_not_keep_the_process_alive():
    code = (
        "from itertools import count\n"
        "from napari_cytodino.inference._prefetch import prefetch\n"
        "kept = prefetch(count())\n"
        "print(next(kept))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
