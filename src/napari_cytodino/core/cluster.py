"""Many images one after another, in local worker processes, or on a dask cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from napari_cytodino.core.batch import ImageTask, process_image, stems
from napari_cytodino.core.checkpoint import load_checkpoint
from napari_cytodino.core.errors import CytoDinoError, InputError
from napari_cytodino.core.inference import Classifier, Job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Run:
    """What is the same for every image.

    Attributes
    ----------
    checkpoint
        What `load_checkpoint` takes; each process loads it once.
    out
        Folder of the results; on a cluster one that all workers see.
    """

    checkpoint: str
    out: Path
    job: Job
    formats: tuple[str, ...] = ("csv",)


@dataclass(frozen=True)
class Outcome:
    """What became of one image; `error` says why there is no result.

    `unfamiliar`: how many cells are unlike the training cells, of how many.
    """

    image: Path
    cells: int = 0
    flagged: int = 0
    error: str = ""
    unfamiliar: tuple[int, int] = (0, 0)


@lru_cache(maxsize=1)
def classifier_for(checkpoint: str, device: str, batch_size: int) -> Classifier:
    """Return the one classifier of this process."""
    return Classifier(load_checkpoint(checkpoint), device, batch_size)


def process(task: ImageTask, stem: str, run: Run) -> Outcome:
    """Classify one image and write its results; faults are told, not raised."""
    try:
        classifier = classifier_for(run.checkpoint, run.job.device, run.job.batch_size)
        table = process_image(
            task, classifier, run.out, stem=stem, job=run.job, formats=run.formats
        )
    except CytoDinoError as error:
        return Outcome(task.image, error=str(error))
    flagged = 0 if table.empty else int((table["status"] != "auto").sum())
    strange = tuple(table.attrs.get("unfamiliar", (0, 0)))
    return Outcome(task.image, len(table), flagged, unfamiliar=(strange[0], strange[1]))


def process_all(
    tasks: Sequence[ImageTask], run: Run, *, workers: int = 0, scheduler: str = ""
) -> Iterator[Outcome]:
    """Yield the outcome of each image as it is done.

    Parameters
    ----------
    workers
        Local processes; 0 works in this process.
    scheduler
        Address of a running dask scheduler, instead of local processes.

    Raises
    ------
    InputError
        When both are given, dask.distributed is missing, or nobody answers.
    """
    names = stems([task.image for task in tasks])
    if workers and scheduler:
        raise InputError("Give --workers or --scheduler, not both.")
    if not workers and not scheduler:
        for task in tasks:
            yield process(task, names[task.image], run)
        return
    with _client(workers, scheduler) as client:
        from distributed import as_completed

        futures = {
            client.submit(process, task, names[task.image], run, pure=False): task
            for task in tasks
        }
        for future in as_completed(list(futures), loop=client.loop):
            if future.status == "finished":
                yield future.result()
            else:
                image = futures[future].image
                yield Outcome(image, error=f"the worker failed: {future.exception()}")


def _client(workers: int, scheduler: str) -> Any:
    try:
        import distributed
    except ImportError as error:
        raise InputError(
            "Working in parallel needs the package distributed; "
            "run: pip install 'napari-cytodino[scale]'."
        ) from error
    if scheduler:
        try:
            return distributed.Client(scheduler, timeout="10s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"No dask scheduler answers at '{scheduler}' ({error}); start it, or "
                "use --workers."
            ) from error
    threads = max(1, (os.cpu_count() or 1) // workers)
    cluster = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address=None,
        host="127.0.0.1",
        env={"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
    )
    return _ClosingClient(distributed.Client(cluster, set_as_default=False), cluster)


class _ClosingClient:
    """A client that takes its own cluster down with it."""

    def __init__(self, client: Any, cluster: Any) -> None:
        self.client, self.cluster = client, cluster

    def __enter__(self) -> Any:
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.cluster.close()
