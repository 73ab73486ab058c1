"""SIGTERM, which a cluster sends before it takes a machine away: a state, then 143."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


CODE = 128 + signal.SIGTERM
"""Exit code, 143: the one a shell gives to a process that SIGTERM ended."""


def _end(*_: Any) -> None:
    raise SystemExit(CODE)


def _can_listen() -> bool:
    # Windows has no SIGTERM to wait for; Python hears signals in its main thread alone
    main = threading.current_thread() is threading.main_thread()
    return main and hasattr(signal, "pthread_sigmask")


@contextmanager
def sigterm_ends() -> Iterator[None]:
    """Have SIGTERM end the block as an error would, so that no rest is left behind.

    Raises
    ------
    SystemExit
        With code 143, when it comes.
    """
    if not _can_listen():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def sigterm_waits() -> Iterator[Callable[[], bool]]:
    """Hold SIGTERM back while the block runs, and tell the block whether it came.

    Processes that the block starts never see it: a loader that a cluster ends together
    with the run would cost the step under way.

    Yields
    ------
    callable
        True from the moment it came. The block stops as soon as it may.

    Raises
    ------
    SystemExit
        With code 143, where the block ended before it had asked.
    """
    came = threading.Event()

    def asked() -> bool:
        return came.is_set() or signal.SIGTERM in signal.sigpending()

    if not _can_listen():
        yield came.is_set
        return
    # threads that were there before may still be given it, so a handler is needed too
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield asked
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        signal.signal(signal.SIGTERM, before)
    if came.is_set():
        raise SystemExit(CODE)


def on_any_rank(asked: bool, device: torch.device) -> bool:
    """Say whether any process of the run was asked to stop; all get the same answer.

    Each gets the signal at its own moment, and a state is written by all or by none.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return asked
    answer = torch.tensor(int(asked), device=device)
    torch.distributed.all_reduce(answer, op=torch.distributed.ReduceOp.MAX)
    return bool(answer)
