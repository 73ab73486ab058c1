"""Workers: order, errors, cancel, abandon."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from napari_cytodino.widgets.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Log:
    """Hears a runner."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.errors: list[str] = []
        self.ends: list[bool] = []
        self.threads: set[bool] = set()

    def step(self, what: Any) -> None:
        self.threads.add(threading.current_thread() is threading.main_thread())
        self.steps.append(what)

    def error(self, error: BaseException) -> None:
        self.errors.append(str(error))

    def start(self, runner: Worker, steps: Any) -> None:
        runner.start(
            steps, on_step=self.step, on_error=self.error, on_end=self.ends.append
        )


@pytest.fixture
def log() -> Log:
    return Log()


def test_steps_arrive_in_order_on_the_main_thread(qtbot: Any, log: Log) -> None:
    runner = Worker()
    log.start(runner, lambda cancelled: iter(range(5)))
    assert runner.busy
    with pytest.raises(RuntimeError, match="a worker is running"):
        log.start(runner, lambda cancelled: iter([]))
    qtbot.waitUntil(lambda: log.ends == [False])
    assert log.steps == [0, 1, 2, 3, 4]
    assert log.threads == {True}
    assert not runner.busy


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, MemoryError])
@pytest.mark.filterwarnings("ignore:RuntimeError in aborted thread:RuntimeWarning")
def test_an_error_ends_the_run_and_the_next_one_starts(
    qtbot: Any, log: Log, kind: type[Exception]
) -> None:
    """A RuntimeError too, where a warning is only a warning, as for a user."""

    def broken(cancelled: Callable[[], bool]) -> Iterator[int]:
        yield 1
        raise kind("no such thing")

    runner = Worker()
    log.start(runner, broken)
    qtbot.waitUntil(lambda: log.ends == [False])
    assert log.errors == ["no such thing"]
    log.start(runner, lambda cancelled: iter([2]))
    qtbot.waitUntil(lambda: len(log.ends) == 2)
    assert log.steps == [1, 2]


@pytest.mark.parametrize("how", ["cancel", "abandon"])
def test_it_stops_between_steps(qtbot: Any, log: Log, how: str) -> None:
    seen, go = [], threading.Event()

    def endless(cancelled: Callable[[], bool]) -> Iterator[int]:
        while not cancelled() and len(seen) < 10_000:
            seen.append(1)
            yield len(seen)
            go.wait(0.01)

    runner = Worker()
    log.start(runner, endless)
    qtbot.waitUntil(lambda: len(log.steps) > 1)
    getattr(runner, how)()
    heard = len(log.steps)
    if how == "cancel":
        qtbot.waitUntil(lambda: log.ends == [True])
    else:
        assert not runner.busy
        qtbot.wait(100)
        assert log.ends == []
        assert len(log.steps) == heard
    assert len(seen) < 10_000


def test_steps_that_are_cancelled_put_away_before_the_end(qtbot: Any, log: Log) -> None:
    put_away: list[tuple[bool, bool]] = []

    def endless(cancelled: Callable[[], bool]) -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            main = threading.current_thread() is threading.main_thread()
            put_away.append((log.ends == [], main))

    runner = Worker()
    log.start(runner, endless)
    qtbot.waitUntil(lambda: len(log.steps) > 0)
    runner.cancel()
    qtbot.waitUntil(lambda: log.ends == [True])
    assert put_away == [(True, False)]


def test_nothing_is_kept_alive(qtbot: Any) -> None:
    runner, ghosts = Worker(), []

    def run() -> None:
        log = Log()
        image = Log()  # as the request of a run holds its image
        ghosts.extend([weakref.ref(log), weakref.ref(image)])
        log.start(runner, lambda cancelled: iter([1, len(image.steps)]))

    run()
    qtbot.waitUntil(lambda: not runner.busy)
    qtbot.wait(20)
    gc.collect()
    assert [ghost() for ghost in ghosts] == [None, None]
