"""Work spread over a dask cluster whose workers may be killed at any time."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cytodino.common import InputError, cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


logger = logging.getLogger(__name__)

KILLED = (
    "each process that worked on it was ended from outside, most likely because memory "
    "ran out; give a worker more memory, or use fewer workers"
)
"""Why an image has no result that ended its process even when it was alone."""

PATIENCE = 300.0
"""Seconds to wait for a worker while none is connected."""

_LOOK = 5.0

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_SETTINGS = {
    # one more try elsewhere; then `spread` tries alone, to find out which one it was
    "distributed.scheduler.allowed-failures": 1,
    # Nothing of ours lies in dask's memory that it could spill, and a paused worker
    # would wait for ever; one beyond its limit is still ended (`terminate`).
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    # A killed worker is started again by its nanny; where that takes longer than this
    # (15 s by default, on a busy machine too little), dask gives the place up for good.
    "distributed.deploy.lost-worker-timeout": "300s",
}


@dataclass(frozen=True)
class Lost:
    """Instead of a result: why there is none."""

    reason: str


@contextmanager
def local_cluster(workers: int, threads: int = 0) -> Iterator[Any]:
    """Give a client of worker processes on this machine, which end with the block.

    Parameters
    ----------
    threads
        Of each process; 0 shares the cores.

    Raises
    ------
    InputError
        When dask.distributed is missing.
    """
    distributed = _distributed()
    import dask

    given = str(threads or max(1, cores() // workers))
    environment = {
        name: given if threads else os.environ.get(name, given) for name in _THREADS
    }
    with ExitStack() as stack:
        # some are read when a worker is lost
        stack.enter_context(dask.config.set(_SETTINGS))
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            # None would open port 8787 to the network
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            silence_logs="ERROR",
            env=environment,
        )
        stack.callback(_close, cluster)
        client = distributed.Client(cluster, set_as_default=False)
        stack.callback(client.close)
        yield client


def _close(cluster: Any) -> None:
    """End the workers; what was computed is here already, whatever becomes of them.

    distributed fails with "can only join a started process" where a killed worker is
    just being started again; such a process ends with this one.
    """
    try:
        cluster.close()
    except (AssertionError, OSError) as error:
        logger.warning("A worker could not be ended (%s); it ends with this.", error)


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """Give a client of a running scheduler.

    Parameters
    ----------
    scheduler
        Its address, or the file it wrote with ``--scheduler-file``.

    Raises
    ------
    InputError
        When dask.distributed is missing, or nobody answers.
    """
    distributed = _distributed()
    try:
        address = _address(scheduler)
        client = distributed.Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"No dask scheduler answers at '{scheduler}' ({error}); start it, or "
            "use --workers."
        ) from error
    with client:
        yield client


def _address(scheduler: str) -> str:
    if not Path(scheduler).is_file():
        return scheduler
    content = json.loads(Path(scheduler).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("address"), str):
        raise ValueError("the file names no address")
    return str(content["address"])


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise InputError(
            "Working in parallel needs the package distributed; "
            "run: pip install 'napari-cytodino[scale]'."
        ) from error
    return distributed


def spread(
    client: Any,
    function: Callable[..., Any],
    calls: Sequence[tuple[Any, ...]],
    *,
    patience: float = PATIENCE,
) -> Iterator[tuple[int, Any]]:
    """Call a function many times on a cluster; yield number and result as they come.

    Each worker gets one call at a time. A call whose worker is killed is made again
    elsewhere. One that has lost several workers is made last, with no other one beside
    it; where it ends its workers even then, its result is `Lost`, and no other one is
    blamed for it.

    Parameters
    ----------
    patience
        Seconds without any worker after which all that is left is `Lost`.
    """
    suspects = []
    for number, result in _round(client, function, calls, range(len(calls)), patience):
        if result == Lost(KILLED):
            suspects.append(number)
        else:
            yield number, result
    for suspect in suspects:
        yield from _round(client, function, calls, [suspect], patience)


def _round(
    client: Any,
    function: Callable[..., Any],
    calls: Sequence[tuple[Any, ...]],
    numbers: Iterable[int],
    patience: float,
) -> Iterator[tuple[int, Any]]:
    waiting, running = deque(numbers), dict[Any, int]()
    while waiting or running:
        try:
            room = max(1, _workers(client)) - len(running)
            for _ in range(min(room, len(waiting))):
                future = client.submit(function, *calls[waiting[0]], pure=False)
                running[future] = waiting.popleft()
            finished = _first_finished(client, list(running), patience)
        except _gone() as error:
            for number in (*running.values(), *waiting):
                yield number, Lost(_why_gone(error))
            return
        for future in finished:
            number = running.pop(future)
            yield number, _result(future)


def _first_finished(client: Any, futures: list[Any], patience: float) -> set[Any]:
    from distributed import wait

    alone_since = None
    while True:
        try:
            with client.as_current():
                ready = wait(futures, timeout=_LOOK, return_when="FIRST_COMPLETED")
            return set(ready.done)
        except TimeoutError:
            now = time.monotonic()
            alone_since = None if _workers(client) else alone_since or now
            if alone_since is not None and now - alone_since >= patience:
                raise _NoWorkerError from None


def _workers(client: Any) -> int:
    if client.status in ("closing", "closed"):
        raise ConnectionError("the client is closed")
    return len(client.nthreads())


class _NoWorkerError(Exception):
    """No worker was connected for too long."""


def _gone() -> tuple[type[BaseException], ...]:
    from concurrent.futures import CancelledError

    return (OSError, CancelledError, _NoWorkerError)


def _why_gone(error: BaseException) -> str:
    if isinstance(error, _NoWorkerError):
        return (
            "no worker was connected to the dask scheduler; start some (dask worker "
            "ADDRESS) and run the same command again"
        )
    return (
        "the dask scheduler went away before it was done; start it anew and run the "
        "same command again"
    )


def _result(future: Any) -> Any:
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    error = future.exception()
    if isinstance(error, KilledWorker):
        return Lost(KILLED)
    return Lost(f"the worker failed: {type(error).__name__}: {error}")
