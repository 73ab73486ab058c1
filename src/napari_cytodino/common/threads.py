"""Work on many files in a few threads, in order, stopped at once when interrupted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def cores() -> int:
    """Return how many cores this process may use; job systems give a part of them."""
    from dask.system import CPU_COUNT

    return int(CPU_COUNT)


T = TypeVar("T")

R = TypeVar("R")

WORKERS = 4
"""Decoding releases the interpreter; more threads than this only wait for the disk."""

AHEAD = 256
"""Items handed out at a time: bounds the memory, and the wait after an interrupt."""


def no_progress(done: int, total: int) -> None:
    """Show no progress."""


def in_threads(
    function: Callable[[T], R],
    items: Sequence[T],
    progress: Callable[[int, int], None] = no_progress,
) -> Iterator[R]:
    """Yield ``function(item)`` for each item, in the order of the items.

    Parameters
    ----------
    function : callable
        Called from several threads; what it raises is raised here.
    items : sequence
        What it is called with.
    progress : callable
        Called with the number of items done and of all, after each one.
    """
    done = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(items), AHEAD):
            for result in pool.map(function, items[start : start + AHEAD]):
                done += 1
                progress(done, len(items))
                yield result
