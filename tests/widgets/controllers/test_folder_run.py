"""A run over many images: progress, time left, cancelled, failed, abandoned."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from napari_cytodino.batch.run import ImageResult
from napari_cytodino.common.errors import InputError
from napari_cytodino.widgets.controllers import folder_run
from napari_cytodino.widgets.controllers.folder_run import FolderRun
from napari_cytodino.widgets.session.messages import RunState
from napari_cytodino.widgets.workers.folders import FolderPlan, Ready, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLAN = FolderPlan(tuple(Path(f"{n}.png") for n in range(4)), (), "demo", Path("out"))


class Held:
    """Stands in for the work: one image for each `release`."""

    def __init__(self, demo: Any) -> None:
        self.gate, self.demo = threading.Semaphore(0), demo
        self.ended = threading.Event()

    def __call__(
        self,
        plan: FolderPlan,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> Iterator[Any]:
        try:
            yield Ready(self.demo)
            for number, image in enumerate(plan.images):
                assert self.gate.acquire(timeout=20)
                if plan.crops:
                    progress(number + 1, len(plan.images))
                else:
                    yield ImageResult(image, 3, 1, skipped=number == 0)
                if cancelled():
                    return
            if plan.crops:
                yield Tally(4, 4)
        finally:
            self.ended.set()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, demo: Any) -> Held:
    made = Held(demo)
    monkeypatch.setattr(folder_run, "folder_steps", made)
    return made


def test_progress_time_left_and_the_end(held: Held, qtbot: Any) -> None:
    run, states = FolderRun(), []
    run.changed.connect(lambda: states.append((run.state, run.progress.done)))
    run.start(PLAN)
    assert run.busy
    held.gate.release()
    qtbot.waitUntil(lambda: run.progress.done == 1)
    # what was done before says nothing of the rest
    assert run.progress.seconds_left is None
    held.gate.release()
    qtbot.waitUntil(lambda: run.progress.done == 2)
    assert run.progress.seconds_left is not None
    assert run.progress.seconds_left > 0
    held.gate.release(2)
    qtbot.waitUntil(lambda: not run.busy)
    assert (run.tally.done, run.tally.cells, run.tally.skipped) == (4, 12, 1)
    assert not run.stopped
    assert run.guarantee.startswith("Accepted cells:")
    assert states[0] == (RunState.OPENING, 0)
    assert states[-1] == (RunState.IDLE, 4)


def test_cancelled_after_the_image_under_way(held: Held, qtbot: Any) -> None:
    run = FolderRun()
    run.start(PLAN)
    held.gate.release()
    qtbot.waitUntil(lambda: run.progress.done == 1)
    run.cancel()
    assert run.state is RunState.STOPPING
    held.gate.release(4)
    qtbot.waitUntil(lambda: not run.busy)
    assert run.stopped
    assert run.tally.done == 2
    # another one may follow
    held.gate = threading.Semaphore(4)
    run.start(PLAN)
    qtbot.waitUntil(lambda: not run.busy)
    assert run.tally.done == 4
    assert not run.stopped


def test_crops_tell_of_each_batch(held: Held, qtbot: Any) -> None:
    from dataclasses import replace

    run = FolderRun()
    run.start(replace(PLAN, crops=True))
    held.gate.release(3)
    qtbot.waitUntil(lambda: run.progress.done == 3)
    assert run.tally.done == 0
    held.gate.release()
    qtbot.waitUntil(lambda: not run.busy)
    assert run.tally == Tally(4, 4)


def test_a_fault_ends_the_run_and_is_told(
    monkeypatch: pytest.MonkeyPatch, qtbot: Any, told: list[str]
) -> None:
    def fail(*args: Any) -> Any:
        raise InputError("The results cannot lie there.")
        yield

    monkeypatch.setattr(folder_run, "folder_steps", fail)
    run = FolderRun()
    run.start(PLAN)
    qtbot.waitUntil(lambda: not run.busy)
    assert told == [run.fault] == ["The results cannot lie there."]
    assert run.guarantee == ""


def test_closed_meanwhile_nothing_is_heard_any_more(held: Held, qtbot: Any) -> None:
    run, heard = FolderRun(), []
    run.start(PLAN)
    qtbot.waitUntil(lambda: run.state is RunState.CLASSIFYING)
    run.changed.connect(lambda: heard.append(run.state))
    run.close()
    assert not run.busy
    held.gate.release(4)
    qtbot.waitUntil(held.ended.is_set)
    qtbot.wait(50)
    assert heard == []
    assert run.tally.done == 0
