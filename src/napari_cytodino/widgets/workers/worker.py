"""One worker at a time: starts steps, hands them over, cancels together."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class _StepError:
    """An error that ended the steps, handed over like one of them.

    Raised through the worker, a RuntimeError (all that torch raises) would be taken by
    superqt for the worker's own removal: it would never say that it had finished.
    """

    error: BaseException


@dataclass
class _WorkerLink:
    """What a worker and its signals may reach.

    Qt keeps slots and finished workers alive that Python's collector cannot see, so
    they hold nothing but this, and it is emptied: a request holds a whole image.
    """

    steps: Callable[[Callable[[], bool]], Iterator[Any]] | None
    on_step: Callable[[Any], None] | None
    on_error: Callable[[BaseException], None] | None
    on_end: Callable[[bool], None] | None

    def generate(self, cancelled: Callable[[], bool]) -> Iterator[Any]:
        steps, self.steps = self.steps, None
        if steps is None or cancelled():
            return
        try:
            under_way = steps(cancelled)
            for step in under_way:
                yield step
                if cancelled():
                    break
            # what it has to put away it does here in the worker, and before the end
            if isinstance(under_way, Generator):
                under_way.close()
        except Exception as error:
            yield _StepError(error)

    def step(self, what: Any) -> None:
        if isinstance(what, _StepError):
            if self.on_error is not None:
                self.on_error(what.error)
        elif self.on_step is not None:
            self.on_step(what)

    def clear(self) -> None:
        self.steps = self.on_step = self.on_error = self.on_end = None


class Worker:
    """Runs generators in a worker thread; what they yield arrives on the GUI thread.

    Only one of them runs at a time. What an abandoned one still yields is not handed
    over.
    """

    def __init__(self) -> None:
        self._worker: Any = None
        self._link: _WorkerLink | None = None
        self._token = threading.Event()

    @property
    def busy(self) -> bool:
        """True while a worker runs."""
        return self._worker is not None

    def start(
        self,
        steps: Callable[[Callable[[], bool]], Iterator[Any]],
        *,
        on_step: Callable[[Any], None],
        on_error: Callable[[BaseException], None],
        on_end: Callable[[bool], None],
    ) -> None:
        """Start the generator that `steps` returns.

        Parameters
        ----------
        steps
            Called in the worker with a function that says whether to stop.
        on_end
            Called last, with True when the run was cancelled.

        Raises
        ------
        RuntimeError
            When another one runs.
        """
        from napari.qt.threading import GeneratorWorker
        from superqt.utils import create_worker

        if self.busy:
            raise RuntimeError("a worker is running; cancel it first")
        token = self._token = threading.Event()
        link = _WorkerLink(steps, on_step, on_error, self._ender(token, on_end))
        self._link = link
        # napari's create_worker lists each worker in the window and keeps it for good
        worker = create_worker(
            link.generate,
            token.is_set,
            _start_thread=False,
            _worker_class=GeneratorWorker,
            _ignore_errors=True,
        )
        worker.yielded.connect(link.step)
        worker.finished.connect(lambda: link.on_end and link.on_end(token.is_set()))
        self._worker = worker
        worker.start()

    def _ender(
        self, token: threading.Event, on_end: Callable[[bool], None]
    ) -> Callable[[bool], None]:
        def ended(cancelled: bool) -> None:
            if self._token is token:
                self._release()
                on_end(cancelled)

        return ended

    def _release(self) -> None:
        if self._link is not None:
            self._link.clear()
        self._worker, self._link = None, None

    def cancel(self) -> None:
        """Ask the worker to stop after the batch under way."""
        # not its own quit(), which would leave the steps half way, never closed
        self._token.set()

    def abandon(self) -> None:
        """Stop the worker and hear nothing of it any more."""
        self.cancel()
        self._release()
