"""The next batch is prepared in a thread while the last one is worked on."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Event, Semaphore, Thread, current_thread
from typing import TYPE_CHECKING, Generic, TypeVar

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable


T = TypeVar("T")


def prefetch(batches: Iterable[T], depth: int = 2) -> Generator[T, None, None]:
    """Yield what `batches` yields, in its order, prepared ahead in a thread.

    The thread starts with the first `next` and has ended when the generator is
    exhausted, closed or collected; it first finishes the one batch in preparation. A
    generator given as `batches` is closed with it. What `batches` raises is raised
    here, after the batches before it.

    Parameters
    ----------
    depth
        Batches prepared beyond the one that was handed out last; at least 1.

    Raises
    ------
    InputError
        When depth is below 1.
    """
    if depth < 1:
        raise InputError(f"A depth of {depth} prepares nothing ahead; use 1 or more.")
    return _hand_out(batches, _Shelf(depth))


class _Shelf(Generic[T]):
    """What producer and consumer share; it knows neither, so both can be collected."""

    def __init__(self, depth: int) -> None:
        self.made: SimpleQueue[Future[T] | None] = SimpleQueue()
        self.room = Semaphore(depth)
        self.stop = Event()


def _hand_out(batches: Iterable[T], shelf: _Shelf[T]) -> Generator[T, None, None]:
    # A daemon: a generator left in a global must not keep the interpreter alive.
    thread = Thread(target=_fill, args=(batches, shelf), name="prefetch", daemon=True)
    thread.start()
    try:
        while (future := shelf.made.get()) is not None:
            shelf.room.release()
            yield future.result()
    finally:
        shelf.stop.set()
        shelf.room.release()
        # The garbage collector may run this in any thread, this one included.
        if thread is not current_thread():
            thread.join()


def _fill(batches: Iterable[T], shelf: _Shelf[T]) -> None:
    try:
        iterator = iter(batches)
        while shelf.room.acquire() and not shelf.stop.is_set():
            shelf.made.put(_done(next(iterator)))
    except StopIteration:
        pass
    except BaseException as error:
        failed: Future[T] = Future()
        failed.set_exception(error)
        shelf.made.put(failed)
    finally:
        if isinstance(batches, Generator):
            batches.close()
        shelf.made.put(None)


def _done(item: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(item)
    return future
